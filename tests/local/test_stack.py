"""The `backbone` command, as a person uses it while a stack is up: up again, killed, up, asked, told."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress

import httpx
import jwt
import psutil
import pytest
from backbone.catalogue import BY_NAME
from backbone.waiting import SILENT, wait_for

from tests.local.conftest import LIMIT_SECONDS, Command, left_alone, pids, ready, scalar


def test_status_has_the_form_that_others_read(backbone: Command) -> None:
    status = ready(backbone)

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
    passwords = json.loads((backbone.home / "credentials.json").read_text())["roles"]
    owners = [password for role, password in passwords.items() if role.endswith("_owner")]
    assert len(owners) == len(BY_NAME)
    for several in backbone.state.services.values():
        for one in several:
            known = " ".join(psutil.Process(one.process.pid).environ().values())
            assert not any(password in known for password in owners)


def test_up_twice_changes_nothing(backbone: Command) -> None:
    before = backbone.state
    backbone("up")
    assert backbone.state == before
    # From another terminal, whose shell is set up in another way.
    backbone("up", PATH=f"{os.environ['PATH']}:/elsewhere", LANG="C.UTF-8")
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
    # Who passes requests on to each process of payments, and who looks at each of its doors, has to be told.
    told = {"gateway-1", "provider-health-1"}
    assert left_alone(before, more) >= before.keys() - told
    assert left_alone(more, fewer) >= before.keys() - told
    assert fewer.keys() == before.keys()


def test_a_service_that_died_is_started_and_the_others_are_left_alone(backbone: Command) -> None:
    before = pids(backbone.status())
    psutil.Process(before["audit-1"]).kill()
    wait_for(
        "audit to be gone",
        lambda: backbone.status()["services"]["audit"]["pid"] is None,
        limit_seconds=20,
        progress=SILENT,
    )
    assert not backbone.status()["services"]["audit"]["ready"]

    backbone("up")

    assert left_alone(before, pids(ready(backbone))) == before.keys() - {"audit-1"}


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


@pytest.mark.parametrize("words", [("topics", "apply"), ("topics", "list"), ("clock", "show")])
def test_the_other_commands_can_be_given_at_any_time(backbone: Command, words: tuple[str, ...]) -> None:
    backbone(*words)


def test_a_token_opens_what_its_role_may_see(backbone: Command) -> None:
    token = backbone("token", "--role", "billing", "--for", "payments").stdout.strip()
    payments = backbone.status()["services"]["payments"]["url"]
    asked = f"{payments}/payments?reference=none"
    assert answered(asked) == 401
    assert answered(asked, token) == 200


def test_a_token_without_a_service_is_one_for_the_gateway_and_says_who_acts(backbone: Command) -> None:
    token = backbone("token", "--role", "billing").stdout.strip()
    services = backbone.status()["services"]
    through_the_door = f"{services['gateway']['url']}/v1/payments?reference=none"
    assert answered(through_the_door, token) == 200
    # What staff show to the gateway opens nothing behind it.
    assert answered(f"{services['payments']['url']}/payments?reference=none", token) == 401
    coach = backbone("token", "--role", "coach").stdout.strip()
    assert answered(through_the_door, coach) == 403
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["name"], claims["roles"]) == ("maria-rossi", "Maria Rossi", ["billing"])


def answered(url: str, token: str | None = None) -> int:
    """The status of the answer of somebody who has time for one: who is too busy says so first, or nothing."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    statuses: list[int] = []

    def told() -> bool:
        with suppress(httpx.TransportError):
            statuses.append(httpx.get(url, headers=headers, timeout=10, trust_env=False).status_code)
        return bool(statuses) and statuses[-1] < 500

    wait_for(f"an answer of {url}", told, limit_seconds=60, progress=SILENT)
    return statuses[-1]


def test_the_clock_moves_for_everybody_and_keeps_its_place(backbone: Command) -> None:
    backbone("clock", "advance", "3d")
    assert "4 days, 12:00:00 ahead" in backbone("clock", "advance", "36h").stdout
    assert "4 days, 12:00:00 ahead" in backbone("clock", "show").stdout


def test_logs_of_a_service_and_of_one_process(backbone: Command) -> None:
    assert backbone("logs", "payments", "--lines", "1").stdout.strip()
    assert backbone("logs", "payments-1").stdout.strip()
    assert "database system is ready" in backbone("logs", "postgres", "--lines", "100000").stdout
    assert "these have: " in backbone("logs", "kiosk", code=1).stderr


async def test_everything_killed_comes_back_with_the_data(backbone: Command) -> None:
    before = backbone.status()
    await scalar(before["postgres"]["admin_url"], "CREATE TABLE kept AS SELECT 7 AS value")
    for _, process in backbone.state.processes():
        process.kill()

    backbone("up")

    after = ready(backbone)
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
