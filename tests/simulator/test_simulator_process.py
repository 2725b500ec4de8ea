"""The simulator as a process: its settings, its clock, and going on after a stop."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from simulator.control import OPERATIONS
from simulator.settings import Settings

from tests.simulator.conftest import Inbox, Simulator, Start, environment, simulator_process
from tests.simulator.waiting import eventually

DAY_SECONDS = 86_400


def refused(**settings: object) -> str:
    """What a simulator with these settings says before it ends with 2."""
    variables = environment(Inbox(url="http://127.0.0.1:9"), **settings)
    ended = subprocess.run(
        [sys.executable, "-m", "simulator"], env=variables, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    return ended.stderr.strip()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"retry_scal": 1}, "simulator: unknown settings: SIMULATOR_RETRY_SCAL"),
        ({"stripe_port": "many"}, "simulator: SIMULATOR_STRIPE_PORT: Input should be a valid integer"),
        ({"stripe_webhook_urls": "ftp://x"}, "ftp://x is not an http or https URL"),
        ({"stripe_webhook_secrets": ""}, "SIMULATOR_STRIPE_WEBHOOK_URLS needs SIMULATOR_STRIPE_WEBHOOK_SECRETS"),
        ({"state_file": "/nowhere/state.json"}, "No such file or directory: '/nowhere"),
    ],
)
def test_settings_that_mean_nothing_are_refused_in_one_sentence(settings: dict[str, object], sentence: str) -> None:
    said = refused(**settings)
    assert sentence in said
    assert "\n" not in said


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"control: cannot listen on 127.0.0.1:{port}" in refused(control_port=port)


def test_help_documents_every_setting() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "simulator", "--help"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    for name, field in Settings.model_fields.items():
        assert f"SIMULATOR_{name.upper()}" in said
        assert field.description, name


def test_it_ends_cleanly_when_told_to(start: Start) -> None:
    simulator = start()
    simulator.process.send_signal(signal.SIGTERM)
    assert simulator.process.wait(10) in {0, -signal.SIGTERM}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_simulator_goes_on_and_repeats_no_id(inbox: Inbox, tmp_path: Path, how: signal.Signals) -> None:
    variables = environment(inbox, state_file=tmp_path / "state.json", retry_scale=2 / 3600)
    inbox.answers = [500]
    with simulator_process(variables) as before:
        member = before.member()
        payment = before.debit(before.mandate())
        before.act(payment, "confirm")
        saved = tmp_path / "state.json"
        eventually(lambda: payment.id in saved.read_text(), "the payment is saved")
        eventually(lambda: '"status":500' in saved.read_text(), "the failed attempt is saved")
        ids = {member.id, payment.id, *(one["id"] for one in before.deliveries())}
        before.process.send_signal(how)
        before.process.wait(10)

    with simulator_process(variables) as after:
        assert after.stripe.v1.customers.retrieve(member.id).name == "Mark Stevens"
        assert after.gocardless.payments.get(payment.id).status == "confirmed"
        after.flush()
        new = {after.member().id, after.debit(after.mandate()).id}
        assert not new & ids
        after.flush()
        assert all(one["state"] == "delivered" for one in after.deliveries())
    assert "customer.created" in inbox.stripe_types()
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0


def test_what_waited_for_an_endpoint_that_has_moved_goes_to_the_new_one(inbox: Inbox, tmp_path: Path) -> None:
    state_file = tmp_path / "state.json"
    with simulator_process(
        environment(inbox, state_file=state_file, stripe_webhook_urls="http://127.0.0.1:9/old", retry_scale=1)
    ) as before:
        member = before.member()
        eventually(lambda: bool(before.deliveries()[0]["attempts"]), "the first attempt")

    moved = environment(inbox, state_file=state_file, stripe_webhook_urls=f"{inbox.url}/new")
    with simulator_process(moved) as after:
        (waiting,) = after.deliveries()
        assert (waiting["state"], waiting["url"]) == ("pending", f"{inbox.url}/new")
        after.do("POST", f"/deliveries/{waiting['id']}/resend")
        eventually(lambda: bool(inbox.at("new")), "it has arrived")
    assert inbox.at("new")[0].json["data"]["object"]["id"] == member.id


def test_a_state_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text('{"generation": "many"}')
    assert "is no snapshot of this simulator" in refused(state_file=file)


class MovedClock:
    """The clock of local mode, moved by its file."""

    def __init__(self, file: Path, simulator: Simulator) -> None:
        self.file, self.simulator = file, simulator

    def move_days(self, days: int) -> None:
        before = self.simulator.do("GET", "/health")["business_time"]
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps({"offset_seconds": days * DAY_SECONDS}))
        draft.replace(self.file)
        eventually(lambda: self.simulator.do("GET", "/health")["business_time"][:10] != before[:10], "the clock moved")
        self.simulator.do("POST", "/advance")
        self.simulator.flush()


@pytest.fixture
def clock(start: Start, tmp_path: Path) -> MovedClock:
    file = tmp_path / "clock.json"
    return MovedClock(file, start(clock_file=file, stripe_smart_retries="true"))


def test_business_days_take_a_debit_to_the_bank_and_back(clock: MovedClock, inbox: Inbox) -> None:
    payment = clock.simulator.debit(clock.simulator.mandate())
    created = payment.created_at

    clock.move_days(10)

    events = [event for one in inbox.at("gocardless") for event in one.json["events"]]
    own = [event for event in events if event["links"].get("payment") == payment.id]
    assert [event["action"] for event in own] == ["created", "submitted", "confirmed", "paid_out"]
    days = [event["created_at"][:10] for event in own]
    assert days[0] == created[:10]
    assert days == sorted(set(days)), "each step is dated on the day when it was due"


def test_a_scripted_debit_fails_when_the_bank_answers(clock: MovedClock, inbox: Inbox) -> None:
    mandate = clock.simulator.mandate()
    customer = clock.simulator.gocardless.mandates.get(mandate.id).links.customer
    clock.simulator.do("PUT", f"/gocardless/customers/{customer}/outcomes", {"outcomes": ["bank_account_closed"]})
    payment = clock.simulator.debit(mandate)

    clock.move_days(10)

    assert clock.simulator.gocardless.payments.get(payment.id).status == "failed"
    assert inbox.gocardless_actions()[-1] == "payments.failed"


def test_stripes_own_retry_comes_after_three_days(clock: MovedClock, inbox: Inbox) -> None:
    member = clock.simulator.member()
    outcomes = {"outcomes": ["insufficient_funds", "succeed"]}
    clock.simulator.do("PUT", f"/stripe/customers/{member.id}/outcomes", outcomes)
    invoice = clock.simulator.do("POST", "/stripe/periods", {"customer": member.id, "amount_minor": 11_000})
    assert invoice["next_payment_attempt"] == invoice["created"] + 3 * DAY_SECONDS

    clock.move_days(4)

    assert clock.simulator.stripe.v1.invoices.retrieve(invoice["id"]).status == "paid"
    assert inbox.stripe_types()[-1] == "invoice_payment.paid"


def test_the_readme_lists_every_operation_of_the_control_origin() -> None:
    readme = (Path(__file__).parents[2] / "deploy" / "simulator" / "README.md").read_text()
    missing = [path for method, path, _ in OPERATIONS if path != "/" and f"`{method} {path}`" not in readme]
    assert not missing


def test_a_clock_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "clock.json"
    file.write_text("tomorrow")
    assert "holds no clock offset" in refused(clock_file=file)
