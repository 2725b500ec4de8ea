"""Ports stay where a reader expects them and move, aloud, where somebody else already listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from backbone.faults import LocalError
from backbone.ports import Ports, free_port, is_free
from backbone.settings import DEFAULT_PORTS
from backbone.waiting import SILENT, Silent


class Heard(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def said(self, sentence: str) -> None:
        self.sentences.append(sentence)


@contextmanager
def somebody_listens(port: int) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", port)) as server:
        yield server.getsockname()[1]


def test_a_taken_default_moves_and_says_so() -> None:
    heard = Heard()
    default = DEFAULT_PORTS["audit"]
    taken = not is_free(default)
    with somebody_listens(0 if taken else default):
        port = Ports({}, heard).choose("audit")
    assert port != default
    assert heard.sentences == [f"port {default} for audit is taken: using {port}"]


def test_a_port_that_somebody_insists_on_does_not_move() -> None:
    with somebody_listens(0) as taken, pytest.raises(LocalError, match=f"port {taken} is taken, .* for payments"):
        Ports({"payments": taken}, SILENT).choose("payments")


def test_a_port_is_chosen_once() -> None:
    ports = Ports({}, SILENT)
    assert ports.choose("payments-2") == ports.choose("payments-2")


def test_no_two_names_share_a_port() -> None:
    insisted = free_port()
    ports = Ports({"kafka": insisted}, SILENT)
    names = [*DEFAULT_PORTS, *(f"payments-{number}" for number in range(2, 12))]
    chosen = [ports.choose(name) for name in names]
    assert len(set(chosen)) == len(names)
    assert ports.choose("kafka") == insisted


def test_a_free_port_is_none_that_an_outgoing_connection_might_take_meanwhile() -> None:
    given = [free_port() for _ in range(50)]
    assert len(set(given)) == len(given)
    assert max(given) < 32_768


def test_a_default_gives_way_to_what_another_name_insists_on() -> None:
    heard = Heard()
    ports = Ports({"audit": DEFAULT_PORTS["payments"]}, heard)
    assert ports.choose("payments") != DEFAULT_PORTS["payments"]
    assert heard.sentences
