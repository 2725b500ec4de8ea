"""What whoever deploys the service sees of it: its commands, and one clear sentence for each mistake."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import asyncpg
import pytest
from chassis import provisioning

from tests.support.infrastructure import TemporaryDatabase

SECRET = "not_to_be_told_0001"
USABLE = {
    "PAYMENTS_DATABASE_URL": f"postgresql://payments:{SECRET}@127.0.0.1:1/backbone",
    "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
}


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m payments` with nothing but these settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAYMENTS_")}
    return subprocess.run(
        [sys.executable, "-m", "payments", *arguments],
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refusal(answer: subprocess.CompletedProcess[str]) -> str:
    """The one sentence on standard error of a command that failed."""
    assert answer.returncode != 0
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    assert SECRET not in line
    return line


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"PAYMENTS_DATABSE_URL": "x"},
            "payments: PAYMENTS_DATABSE_URL is not a setting of payments; did you mean PAYMENTS_DATABASE_URL?",
        ),
        (
            {"PAYMENTS_DATABASE_URL": f"mysql://payments:{SECRET}@127.0.0.1/backbone"},
            "payments: PAYMENTS_DATABASE_URL must look like postgresql://user:password@host:port/database",
        ),
        (
            {"PAYMENTS_DATABASE_URL": f"postgresql://payments:{SECRET}@127.0.0.1:port/backbone"},
            "payments: PAYMENTS_DATABASE_URL must look like postgresql://user:password@host:port/database",
        ),
        (
            {"PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1"},
            "payments: PAYMENTS_KAFKA_BOOTSTRAP_SERVERS must be host:port, several separated by commas",
        ),
        (
            {"PAYMENTS_STRIPE_WEBHOOK_SECRETS": "short"},
            "payments: PAYMENTS_STRIPE_WEBHOOK_SECRETS every signing secret must have at least 16 characters",
        ),
        (
            {"PAYMENTS_BUSINESS_TIMEZONE": "Australia/Sidney"},
            "payments: PAYMENTS_BUSINESS_TIMEZONE must name a time zone, for example Australia/Sydney",
        ),
        (
            {"PAYMENTS_STRIPE_API_URL": "api.stripe.com"},
            "payments: PAYMENTS_STRIPE_API_URL must look like https://host",
        ),
    ],
    ids=["unknown", "not-postgresql", "no-port", "kafka", "short-secret", "time-zone", "api-url"],
)
def test_a_setting_that_cannot_be_used_is_named_in_one_sentence(changed: dict[str, str], sentence: str) -> None:
    answer = run("serve", **USABLE | changed)
    assert (answer.returncode, refusal(answer)) == (2, sentence)


def test_a_setting_that_is_missing_is_named() -> None:
    assert refusal(run("serve")) == "payments: PAYMENTS_DATABASE_URL is not set"


def test_a_port_that_is_taken_is_said_with_what_to_do() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        sentence = refusal(run("serve", **USABLE, PAYMENTS_HTTP_PORT=str(port)))
    assert sentence.startswith(f"payments: cannot listen on 127.0.0.1:{port}: ")
    assert sentence.endswith("set PAYMENTS_HTTP_PORT to a free port, or to 0 for any")


def test_settings_lists_every_setting_and_needs_none() -> None:
    answer = run("settings")
    assert answer.returncode == 0
    listed = {line.split()[0] for line in answer.stdout.splitlines()}
    assert {"PAYMENTS_DATABASE_URL", "PAYMENTS_STRIPE_WEBHOOK_SECRETS", "PAYMENTS_WORKER_BATCH_MAX_EVENTS"} <= listed


def test_help_names_every_command() -> None:
    answer = run("--help")
    assert answer.returncode == 0
    assert all(command in answer.stdout for command in ("serve", "migrate", "settings"))
    assert run("sing").returncode == 2
    assert refusal(run("serve", "loudly", **USABLE)) == "payments: serve takes no arguments"


async def test_migrate_makes_the_schema_and_may_be_repeated(fresh_database: TemporaryDatabase) -> None:
    assert "PAYMENTS_OWNER_DATABASE_URL is not set" in refusal(run("migrate", **USABLE))
    roles = provisioning.Roles("payments", fresh_database.password, fresh_database.password)
    await provisioning.provision(fresh_database.admin_url, roles)
    given = {**USABLE, "PAYMENTS_OWNER_DATABASE_URL": fresh_database.owner_url_for("payments")}
    for _ in range(2):
        answer = run("migrate", **given)
        assert (answer.returncode, answer.stderr) == (0, "")
    connection = await asyncpg.connect(fresh_database.url_for("payments"))
    try:
        assert await connection.fetchval("SELECT count(*) FROM payments.webhook_deliveries") == 0
    finally:
        await connection.close()


def test_migrate_without_postgresql_says_so() -> None:
    given = {**USABLE, "PAYMENTS_OWNER_DATABASE_URL": f"postgresql://payments_owner:{SECRET}@127.0.0.1:1/backbone"}
    assert "127.0.0.1" in refusal(run("migrate", **given))
