"""The `backbone` command, as a person uses it: up, up again, killed, up, interrupted, down, reset.

One stack, with the real services, serves all tests of a running one; those of a stopped one stand together at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import psutil
import pytest
from backbone import processes
from backbone.catalogue import BY_NAME
from backbone.health import is_ready
from backbone.kafka import Broker, serves
from backbone.postgres import Cluster
from backbone.stack import MARK
from backbone.state import State
from backbone.waiting import SILENT, wait_for

LIMIT_SECONDS = 240


class Command:
    """The command, in a place of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKBONE_")}
        self.environment["BACKBONE_HOME"] = str(home)

    def __call__(self, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "backbone", *arguments],
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == code, done.stderr
        return done

    def begun(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, not waited for."""
        return subprocess.Popen(
            [sys.executable, "-m", "backbone", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def state(self) -> State:
        return State.load(self.home / "state.json")

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return document

    def running(self) -> list[processes.Process]:
        """Everything of this stack that runs, whether the state knows it or not."""
        found = set(processes.marked(MARK, str(self.home)))
        return [*found, *servers_on(self.home)]


def servers_on(home: Path) -> list[processes.Process]:
    """PostgreSQL and Java processes that work on this stack's data."""
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["name"] in {"postgres", "java"} and any(str(home) in word for word in words):
            found.append(processes.Process.of(process.info["pid"]))
    return found


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    home = Path(tempfile.mkdtemp(prefix="backbone-stack-"))
    home.chmod(0o711)
    command = Command(home)
    try:
        yield command
    finally:
        command("reset", "--yes")
        assert command.running() == []
        shutil.rmtree(home)


@pytest.fixture
def backbone(command: Command) -> Command:
    """The command, with a stack that is up."""
    state = command.state
    if not state.is_up or not all(process.running for _, process in state.processes()):
        command("up")
    return command


@pytest.fixture
def stopped(command: Command) -> Command:
    """The command, with a stack that has been up and is down."""
    if command.state.is_up:
        command("down")
    assert command.running() == []
    return command


def left_alone(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """The instances that are the same processes as before."""
    return {instance for instance, pid in before.items() if after.get(instance) == pid}


def pids(status: dict[str, Any]) -> dict[str, int]:
    return {one["instance"]: one["pid"] for service in status["services"].values() for one in service["processes"]}


async def scalar(url: str, query: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close(timeout=10)


def test_status_has_the_form_that_others_read(backbone: Command) -> None:
    status = backbone.status()

    assert status.keys() == {"postgres", "kafka", "services", "simulator", "webhook_secrets"}
    assert status["postgres"].keys() == {"admin_url", "services"}
    assert status["postgres"]["services"].keys() == set(BY_NAME)
    assert status["kafka"].keys() == {"bootstrap_servers"}
    assert status["simulator"].keys() == {"url", "stripe", "gocardless"}
    assert status["webhook_secrets"].keys() == {"stripe", "gocardless"}
    assert status["services"].keys() == set(BY_NAME)
    for name, service in status["services"].items():
        assert service.keys() == {"url", "pid", "ready", "processes"}
        (process,) = service["processes"]
        assert process == {
            "instance": f"{name}-1",
            "url": service["url"],
            "pid": service["pid"],
            "ready": True,
        }
        assert service["ready"]
        assert is_ready(service["url"])


def test_secrets_are_the_owners_alone(backbone: Command) -> None:
    for name in ("state.json", "credentials.json"):
        assert stat.S_IMODE((backbone.home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((backbone.home / "logs").stat().st_mode) == 0o700
    secrets = backbone.status()["webhook_secrets"].values()
    shown_to_everybody = [" ".join(psutil.Process(process.pid).cmdline()) for process in backbone.running()]
    assert not any(secret in line for secret in secrets for line in shown_to_everybody)


async def test_each_service_has_a_role_that_reaches_its_own_schema_alone(backbone: Command) -> None:
    url = backbone.status()["postgres"]["services"]["payments"]
    assert await scalar(url, "SELECT current_user::text") == "payments"
    assert await scalar(url, "SELECT has_schema_privilege('payments', 'USAGE')")
    assert not await scalar(url, "SELECT has_schema_privilege('audit', 'USAGE')")
    assert not await scalar(url, "SELECT has_schema_privilege('payments', 'CREATE')")


def test_no_service_that_serves_knows_the_owners_password(backbone: Command) -> None:
    for several in backbone.state.services.values():
        for one in several:
            assert not any("OWNER" in name for name in psutil.Process(one.process.pid).environ())


def test_up_twice_changes_nothing(backbone: Command) -> None:
    before = backbone.state
    backbone("up")
    assert backbone.state == before


async def test_migrations_run_when_they_are_new_and_when_asked_for(backbone: Command) -> None:
    admin_url = backbone.status()["postgres"]["admin_url"]
    assert "waiting for the migrations" not in backbone("up").stderr
    # As in a database that was restored from before the last migration.
    await scalar(admin_url, "COMMENT ON SCHEMA payments IS 'migrations of yesterday'")
    said = backbone("up").stderr
    assert "waiting for the migrations of payments" in said
    assert "waiting for the migrations of audit" not in said
    assert "waiting for the migrations of audit" in backbone("migrate").stderr


def test_the_table_for_people_hides_the_passwords(backbone: Command) -> None:
    admin_url = backbone.status()["postgres"]["admin_url"]
    shown = backbone("status").stdout
    assert "payments-1" in shown
    assert admin_url.partition("@")[0].rpartition(":")[2] not in shown


def test_more_processes_of_a_service_and_fewer_again(backbone: Command) -> None:
    before = pids(backbone.status())

    backbone("up", "--processes", "payments=2")
    more = pids(backbone.status())
    backbone("up")
    still = pids(backbone.status())
    backbone("up", "--processes", "payments=1")
    fewer = pids(backbone.status())

    assert more.keys() == {*before, "payments-2"}
    assert still == more
    # The gateway has to be told where payments is.
    told = {"gateway-1"}
    assert left_alone(before, more) >= before.keys() - told
    assert left_alone(more, fewer) >= before.keys() - told
    assert fewer.keys() == before.keys()


def test_a_service_that_died_is_started_and_the_others_are_left_alone(backbone: Command) -> None:
    before = backbone.status()
    psutil.Process(before["services"]["audit"]["pid"]).kill()
    wait_for(
        "audit to be gone",
        lambda: backbone.status()["services"]["audit"]["pid"] is None,
        limit_seconds=20,
        progress=SILENT,
    )
    assert not backbone.status()["services"]["audit"]["ready"]

    backbone("up")

    after = backbone.status()
    assert after["services"]["audit"]["ready"]
    assert after["services"]["audit"]["pid"] != before["services"]["audit"]["pid"]
    assert after["services"]["payments"] == before["services"]["payments"]


def test_a_service_whose_settings_changed_starts_anew(backbone: Command) -> None:
    before = pids(backbone.status())
    backbone("up", PAYMENTS_LOG_LEVEL="debug")
    changed = pids(backbone.status())
    backbone("up")
    again = pids(backbone.status())
    assert changed["payments-1"] != before["payments-1"]
    assert again["payments-1"] != changed["payments-1"]
    assert left_alone(before, changed) == left_alone(changed, again) == before.keys() - {"payments-1"}


def test_a_setting_that_a_service_does_not_know_is_explained(backbone: Command) -> None:
    before = pids(backbone.status())
    failed = backbone("up", code=1, PAYMENTS_BODY_MAXBYTES="1")
    assert "PAYMENTS_BODY_MAXBYTES is not a setting of payments; did you mean PAYMENTS_BODY_MAX_BYTES?" in failed.stderr
    assert pids(backbone.status()) == before


@pytest.mark.parametrize("words", [("migrate",), ("topics", "apply"), ("topics", "list"), ("clock", "show")])
def test_the_other_commands_can_be_given_at_any_time(backbone: Command, words: tuple[str, ...]) -> None:
    backbone(*words)
    backbone(*words)


def test_a_token_opens_what_its_role_may_see(backbone: Command) -> None:
    token = backbone("token", "--role", "billing", "--for", "payments").stdout.strip()
    payments = backbone.status()["services"]["payments"]["url"]
    asked = f"{payments}/payments?reference=none"
    assert httpx.get(asked).status_code == 401
    assert httpx.get(asked, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_the_clock_moves_for_everybody_and_keeps_its_place(backbone: Command) -> None:
    backbone("clock", "advance", "3d")
    assert "4 days, 12:00:00 ahead" in backbone("clock", "advance", "36h").stdout
    assert "4 days, 12:00:00 ahead" in backbone("clock", "show").stdout


def test_logs_of_a_service_and_of_one_process(backbone: Command) -> None:
    assert backbone("logs", "payments", "--lines", "1").stdout.strip()
    assert backbone("logs", "payments-1").stdout.strip()
    assert "database system is ready" in backbone("logs", "postgres").stdout
    assert "these have: " in backbone("logs", "kiosk", code=1).stderr


async def test_everything_killed_comes_back_with_the_data(backbone: Command) -> None:
    before = backbone.status()
    await scalar(before["postgres"]["admin_url"], "CREATE TABLE kept AS SELECT 7 AS value")
    for _, process in backbone.state.processes():
        process.kill()

    backbone("up")

    after = backbone.status()
    assert all(service["ready"] for service in after["services"].values())
    assert await scalar(after["postgres"]["admin_url"], "SELECT value FROM kept") == 7
    assert after["webhook_secrets"] == before["webhook_secrets"]


async def test_a_stack_whose_state_was_lost_is_found_again(backbone: Command) -> None:
    before = {process for _, process in backbone.state.processes()}
    (backbone.home / "state.json").unlink()

    backbone("up")

    assert not any(process.running for process in before)
    assert await scalar(backbone.status()["postgres"]["admin_url"], "SELECT value FROM kept") == 7


def test_reset_asks_first(backbone: Command) -> None:
    refused = backbone("reset", code=1)
    assert str(backbone.home) in refused.stdout + refused.stderr
    assert backbone.state.is_up


def test_two_commands_at_once_wait_for_each_other(backbone: Command) -> None:
    both = [backbone.begun("up", "--processes", "audit=2"), backbone.begun("up", "--processes", "audit=1")]
    for one in both:
        _, said = one.communicate(timeout=LIMIT_SECONDS)
        assert one.returncode == 0, said
    assert len(backbone.running()) == len(backbone.state.processes())


def test_down_may_be_repeated(stopped: Command) -> None:
    stopped("down")
    assert "the stack is not up" in stopped("status", code=1).stderr
    assert "the stack is not up" in stopped("migrate", code=1).stderr


def test_ctrl_c_leaves_nothing_that_was_started(stopped: Command) -> None:
    interrupted = stopped.begun("up")
    wait_for("PostgreSQL to run", lambda: bool(servers_on(stopped.home)), limit_seconds=60, progress=SILENT)
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate(timeout=60)

    assert interrupted.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert stopped.running() == []
    assert not stopped.state.is_up


def test_a_failed_up_stops_what_it_started(stopped: Command) -> None:
    failed = stopped("up", code=1, AUDIT_HTTP_PORT="none")
    assert "AUDIT_HTTP_PORT must be a port from 1 to 65535, not none" in failed.stderr
    assert stopped.running() == []


def test_a_port_that_is_insisted_on_and_taken(stopped: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        failed = stopped("up", code=1, BACKBONE_PORTS=f"postgres={port}")
    assert f"port {port} is taken, and BACKBONE_PORTS wants it for postgres" in failed.stderr
    assert stopped.running() == []


async def test_servers_that_are_given_are_used_and_left_alone(private_postgres: Cluster, private_kafka: Broker) -> None:
    with tempfile.TemporaryDirectory(prefix="backbone-given-") as home:
        command = Command(Path(home))
        command.environment |= {
            "BACKBONE_POSTGRES_URL": private_postgres.admin_url,
            "BACKBONE_KAFKA": private_kafka.bootstrap_servers,
        }
        command("up")
        try:
            status = command.status()
            assert status["postgres"]["admin_url"] == private_postgres.admin_url
            assert all(service["ready"] for service in status["services"].values())
            assert servers_on(command.home) == []
        finally:
            command("reset", "--yes")
    assert await scalar(private_postgres.admin_url, "SELECT has_schema_privilege('payments', 'payments', 'USAGE')")
    assert serves(private_kafka.port)


def test_a_given_server_that_lets_nobody_in_is_one_sentence(postgres: str, tmp_path: Path) -> None:
    wrong = urlsplit(postgres)
    wrong = wrong._replace(netloc=f"postgres:wrong@{wrong.netloc.rpartition('@')[2]}")
    command = Command(tmp_path / "home")
    failed = command("up", code=1, BACKBONE_POSTGRES_URL=urlunsplit(wrong), BACKBONE_KAFKA="127.0.0.1:1")
    assert "PostgreSQL at BACKBONE_POSTGRES_URL does not let us in: password authentication failed" in failed.stderr
