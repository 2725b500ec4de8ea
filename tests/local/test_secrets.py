"""Secrets and state of local mode are their owner's alone, and are never seen half written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from backbone import processes
from backbone.credentials import Credentials
from backbone.faults import LocalError
from backbone.files import write_private
from backbone.processes import Process
from backbone.state import Server, ServiceProcess, State
from chassis.tokens import Verifier, mint
from contracts.envelope import Actor


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_credentials_are_made_once_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    made = Credentials.load(file, ["payments_owner", "payments"])
    assert Credentials.load(file, ["payments_owner", "payments"]) == made
    assert mode_of(file) == 0o600
    assert len({*made.roles.values(), made.postgres_admin, made.stripe_webhook, made.gocardless_webhook}) == 5


def test_a_new_service_gets_passwords_and_the_others_keep_theirs(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    before = Credentials.load(file, ["payments"])
    after = Credentials.load(file, ["payments", "tasks"])
    assert after.roles["payments"] == before.roles["payments"]
    assert after.roles.keys() == {"payments", "tasks"}


def test_services_accept_what_the_key_signs(tmp_path: Path) -> None:
    credentials = Credentials.load(tmp_path / "credentials.json", [])
    actor = Actor(kind="staff", id="maria.rossi", name="Maria Rossi")
    token = mint(credentials.token_private_key, audience="payments", actor=actor, scopes=["payments:read"])
    identity = Verifier(credentials.token_public_key, audience="payments").verify(token)
    assert identity.actor == actor


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.write_text("{")
    with pytest.raises(LocalError, match="is damaged: `backbone reset` starts afresh"):
        Credentials.load(file, [])


def test_a_private_file_is_private_whatever_was_there_before(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text("old")
    file.chmod(0o644)
    before = os.umask(0)
    try:
        write_private(file, "new")
    finally:
        os.umask(before)
    assert file.read_text() == "new"
    assert mode_of(file) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_the_state_reads_as_it_was_written(tmp_path: Path) -> None:
    me = Process.of(os.getpid())
    state = State(
        postgres=Server(source="embedded", url="postgresql://a:b@127.0.0.1:1/c", process=me),
        services={"payments": [ServiceProcess(instance="payments-1", url="http://x", process=me, settings="0")]},
        sources={"postgres": "embedded"},
    )
    state.save(tmp_path / "state.json")
    assert State.load(tmp_path / "state.json") == state
    assert mode_of(tmp_path / "state.json") == 0o600
    assert State.load(tmp_path / "none.json") == State()


def test_a_damaged_state_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"postgres": 7}')
    with pytest.raises(LocalError, match=r"state.json is damaged"):
        State.load(tmp_path / "state.json")


def test_processes_are_found_by_what_stands_in_their_environment(tmp_path: Path) -> None:
    assert processes.marked("LOCAL_STACK", str(tmp_path)) == []
