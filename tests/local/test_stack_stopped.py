"""The `backbone` command, as a person uses it where nothing runs: interrupted, failed, given servers of others."""

from __future__ import annotations

import signal
import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from backbone.kafka import Broker, serves
from backbone.postgres import Cluster
from backbone.waiting import SILENT, wait_for

from tests.local.conftest import Command, ready, scalar, servers_on


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
    failed = stopped("up", code=1, AUDIT_BODY_MAXBYTES="1")
    assert "AUDIT_BODY_MAXBYTES is not a setting of audit; did you mean AUDIT_BODY_MAX_BYTES?" in failed.stderr
    assert stopped.running() == []


def test_a_port_that_is_none_is_refused_before_anything_starts(stopped: Command) -> None:
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
            assert ready(command)["postgres"]["admin_url"] == private_postgres.admin_url
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
