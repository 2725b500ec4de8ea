"""Test results count for the version that they were run for, when somebody whom the gateway knows has signed them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chassis.clock import real_now
from chassis.version import source_version
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway.board.measures import incomplete
from gateway.board.results import Passed, Results, ResultsRefusedError, signed
from gateway.main import service

from contracts import evidence as e
from tests.gateway.behind import a_gateway
from tests.support import results
from tests.support.infrastructure import TemporaryDatabase
from tests.support.results import Tally

KEY = Ed25519PrivateKey.generate()
SUITES = {"contract": Passed(service="gateway", version="0123456789ab", passed_at=real_now())}


def kept(tmp_path: Path, content: bytes) -> Results:
    file = tmp_path / "test-results.json"
    file.write_bytes(content)
    return Results(file, (KEY.public_key(),))


def test_what_was_signed_is_read_again(tmp_path: Path) -> None:
    assert kept(tmp_path, signed(SUITES, KEY)).read() == SUITES


def test_what_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert Results(None, (KEY.public_key(),)).read() == {}
    assert Results(tmp_path / "none.json", (KEY.public_key(),)).read() == {}
    file = kept(tmp_path, signed(SUITES, KEY)).file
    assert Results(file, ()).read() == {}, "nobody's signature counts"


@pytest.mark.parametrize("field", ["version", "service", "passed_at"])
def test_what_was_altered_is_refused(tmp_path: Path, field: str) -> None:
    content = json.loads(signed(SUITES, KEY))
    content["suites"]["contract"][field] = "2026-11-24T00:00:00Z" if field == "passed_at" else "ba9876543210"
    with pytest.raises(ResultsRefusedError):
        kept(tmp_path, json.dumps(content).encode()).read()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"suites": {}, "signature": "%%"}', b"[" * 100_000])
def test_what_is_no_list_of_results_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ResultsRefusedError):
        kept(tmp_path, content).read()


def test_what_a_stranger_signed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsRefusedError):
        kept(tmp_path, signed(SUITES, Ed25519PrivateKey.generate())).read()


def a_report(nodeid: str, outcome: str = "passed", when: str = "call") -> pytest.TestReport:
    return pytest.TestReport(nodeid, (nodeid, 0, ""), {}, outcome, None, when)  # type: ignore[arg-type]


def test_a_suite_has_passed_when_all_of_it_ran_and_nothing_failed() -> None:
    collected = [
        f"{place}test_it.py::test" if place.endswith("/") else f"{place}::test"
        for place in results.SUITES["contract"][1]
    ]
    tally = Tally()
    for nodeid in collected[:-1]:
        tally.note(a_report(nodeid))
    assert tally.passed(collected) == []
    assert tally.passed(collected[:-1]) == [], "a part of the suite speaks for nothing"

    tally.note(a_report(collected[-1]))
    assert tally.passed(collected) == ["contract"]

    tally.note(a_report(collected[0], "failed", "teardown"))
    assert tally.passed(collected) == []


def test_a_run_leaves_its_results_beside_those_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(results.KEY_VARIABLE, raising=False)
    results.leave(["contract"], tmp_path)
    results.leave(["replay"], tmp_path)

    found = json.loads((tmp_path / "test-results.json").read_bytes())["suites"]
    assert {suite: each["version"] for suite, each in found.items()} == {
        "contract": source_version("gateway"),
        "replay": source_version("payments"),
    }
    assert (tmp_path / "test-signing-key.pem").stat().st_mode & 0o077 == 0


async def test_the_gateway_tells_of_them_and_of_what_its_operations_do_not_say(
    gateway_database: TemporaryDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(results.KEY_VARIABLE, raising=False)
    results.leave(["contract"], tmp_path)
    told: dict[str, Any] = {
        "test_results_file": str(tmp_path / "test-results.json"),
        "test_results_public_keys": (tmp_path / "test-signing-key.pub.pem").read_text(),
    }
    async with a_gateway(gateway_database, relay=False, **told) as gateway:
        answer = await gateway.call("GET", "/evidence")
    found = {each["name"]: each["value"] for each in answer.json()}
    assert found[f"{e.TESTS_PASSED.name}:contract"] == source_version("gateway")
    assert found[e.OPERATIONS_INCOMPLETE.name] == len(list(incomplete(service.openapi())))


def test_an_operation_that_does_not_say_enough_is_counted() -> None:
    whole: dict[str, Any] = {
        "x-scope": "board:read",
        "x-audit-event": "none",
        "x-limit": "read",
        "responses": {"200": {"content": {"application/json": {"example": {}}}}},
    }
    assert list(incomplete({"paths": {"/v1/board": {"get": whole}}})) == []
    for lacks in ("x-scope", "x-audit-event", "x-limit"):
        less = {name: value for name, value in whole.items() if name != lacks}
        assert list(incomplete({"paths": {"/v1/board": {"get": less}}})) == ["GET /v1/board"]
    assert list(incomplete({"paths": {"/v1/board": {"get": {**whole, "responses": {"200": {}}}}}})) == ["GET /v1/board"]
