"""What staff decide over HTTP: with a version and a key, once, to the cent, and with a refusal that says what to do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from chassis import tokens
from contracts.envelope import Actor
from contracts.events import (
    InvoiceUpdated,
    OperationalTaskRequested,
    PaymentMatchUpdated,
    PaymentUpdated,
    PayoutDescribed,
)
from contracts.roles import ROLES
from contracts.topics import PAYMENTS_EVENTS, TASKS_COMMANDS, TASKS_EVENTS
from simulator import samples

from tests.payments import standing
from tests.payments.providers import Payments, card_payment, charge_succeeded, deliver, know_mark, works
from tests.payments.pure import payloads, payloads_money
from tests.payments.recovering import a_completed_task
from tests.payments.test_journey import balances
from tests.support.services import PRIVATE_KEY

OWNER = Actor(kind="staff", id="owner", name="Owner")


async def an_unpaid_invoice(
    payments: Payments, *, version: str = samples.BASIL, outcome: str = "insufficient_funds"
) -> dict[str, Any]:
    await know_mark(payments)
    await deliver(payments, *card_payment("october", version=version, outcomes=(outcome,)))
    await works(payments)
    (invoice,) = (await payments.get("/invoices?state=open"))["items"]
    found: dict[str, Any] = await payments.get(f"/invoices/{invoice['id']}")
    return found


async def does(
    payments: Payments, thing: str, found: dict[str, Any], verb: str, body: Any = None, **headers: str
) -> httpx.Response:
    given = {"If-Match": f'"{found["version"]}"', **headers}
    return await payments.call("POST", f"/{thing}/{found['id']}/{verb}", json=body, headers=given)


def as_the_owner(payments: Payments) -> dict[str, str]:
    token = tokens.mint(PRIVATE_KEY, audience="payments", actor=OWNER, scopes=ROLES["owner"])
    return {"Authorization": f"Bearer {token}"}


async def test_an_invoice_is_written_off_once_under_one_key(payments: Payments) -> None:
    invoice = await an_unpaid_invoice(payments)
    assert (invoice["due"]["amount_minor"], invoice["decisions"]) == (11_000, [])
    given = {"reason": "he has moved to Perth"}
    key = {"Idempotency-Key": "write-off-1"}

    first = await does(payments, "invoices", invoice, "write-off", given, **key)
    again = await does(payments, "invoices", invoice, "write-off", given, **key)

    assert (first.status_code, first.json()) == (200, again.json())
    shown = first.json()
    assert (shown["state"], shown["due"]["amount_minor"], shown["written_off"]["amount_minor"]) == (
        "uncollectible",
        0,
        11_000,
    )
    assert first.headers["etag"] == f'"{shown["version"]}"'
    assert dict(await balances(payments))["5200 bad_debts"] == 10_000
    told = (await payments.emitted(PAYMENTS_EVENTS, InvoiceUpdated))[-1].data
    assert (told.actor.name, told.body["change"], told.reason) == ("Maria Rossi", "written off", given["reason"])
    assert len(told.body["journal_ids"]) == 1
    await standing.check(payments)


async def test_a_decision_needs_the_version_that_was_read(payments: Payments) -> None:
    invoice = await an_unpaid_invoice(payments)
    given = {"reason": "he has moved to Perth"}
    path = f"/invoices/{invoice['id']}/write-off"
    assert (await payments.call("POST", path, json=given)).status_code == 428
    stale = {**invoice, "version": invoice["version"] + 1}
    assert (await does(payments, "invoices", stale, "write-off", given)).status_code == 412
    assert "5200 bad_debts" not in dict(await balances(payments))
    two = await asyncio.gather(*(does(payments, "invoices", invoice, "write-off", given) for _ in range(2)))
    assert sorted(answer.status_code for answer in two) == [200, 409]


async def test_what_is_refused_says_what_to_do(payments: Payments) -> None:
    invoice = await an_unpaid_invoice(payments)
    much = await does(payments, "invoices", invoice, "write-off", {"amount_minor": 11_001, "reason": "all of it"})
    assert (much.status_code, "write off at most that" in much.json()["detail"]) == (409, True)
    none = await does(payments, "invoices", invoice, "apply-credit", {})
    assert (none.status_code, none.json()["detail"]) == (
        409,
        "The member has a credit of AUD 0.00: use no more than that.",
    )
    desk = {"Authorization": f"Bearer {payments.token('front_desk')}"}
    given = {"reason": "no"}
    assert (await does(payments, "invoices", invoice, "write-off", given, **desk)).status_code == 403


async def test_the_outcome_of_a_recovery_task_writes_the_debt_off(payments: Payments) -> None:
    """Told by the tasks service, and delivered twice; before basil a payment that failed names its invoice."""
    await an_unpaid_invoice(payments, version=samples.BEFORE_BASIL)
    (payment,) = [each for each in (await payments.get("/payments"))["items"] if each["state"] == "failed"]
    await payments.receives(TASKS_EVENTS, a_completed_task(payment["id"], "write_off"))

    found = dict(await balances(payments))
    assert (found["5200 bad_debts"], found.get("1100 member_receivable:mark-stevens", 0)) == (10_000, 0)
    assert (await payments.get("/invoices?state=uncollectible"))["items"] != []
    ((actor,),) = await payments.rows("SELECT actor ->> 'name' FROM payments.staff_commands WHERE name = 'write_off'")
    assert actor == "tasks", "whoever told of it"
    await standing.check(payments)


async def test_a_write_off_of_what_nobody_knows_is_asked_about_again_with_the_reason(payments: Payments) -> None:
    """From basil on a payment that failed names no invoice: which one it was meant for is not guessed."""
    invoice = await an_unpaid_invoice(payments, outcome="stolen_card")
    (payment,) = (await payments.get("/payments"))["items"]
    assert (payment["invoice_id"], payment["state"]) == (None, "failed")

    await payments.receives(TASKS_EVENTS, a_completed_task(payment["id"], "write_off"))

    assert "5200 bad_debts" not in dict(await balances(payments))
    first, again = [each.data.body for each in await payments.emitted(TASKS_COMMANDS, OperationalTaskRequested)]
    assert (again["dedupe_key"], again.get("blocked")) == (first["dedupe_key"], None)
    assert "nothing was written off, because nobody has told which invoice it is for" in again["note"]
    retry = (await payments.get(f"/payments/{payment['id']}"))["retry"]
    assert (retry["state"], retry["why"]) == ("recovery", "no_invoice")

    assert (await does(payments, "invoices", invoice, "write-off", {"reason": "he has moved"})).status_code == 200
    await payments.receives(TASKS_EVENTS, a_completed_task(payment["id"], "write_off"))
    assert (await payments.get(f"/payments/{payment['id']}"))["retry"]["state"] == "closed"
    assert dict(await balances(payments))["5200 bad_debts"] == 10_000
    assert len(await payments.emitted(TASKS_COMMANDS, OperationalTaskRequested)) == 2
    await standing.check(payments)


async def test_cash_pays_an_invoice_and_a_mistake_is_taken_back(payments: Payments) -> None:
    invoice = await an_unpaid_invoice(payments)
    paid = await does(payments, "invoices", invoice, "record-payment", {"amount_minor": 12_000, "how": "cash"})
    assert (paid.status_code, paid.json()["state"], paid.json()["due"]["amount_minor"]) == (200, "paid", 0)
    found = dict(await balances(payments))
    assert (found["1290 other_receipts"], found["2200 member_credit:mark-stevens"]) == (12_000, -1_000)

    (decision,) = paid.json()["decisions"]
    mistake = {"decision_id": decision["id"], "reason": "the wrong member"}
    back = await does(payments, "invoices", paid.json(), "withdraw-decision", mistake)
    assert (back.status_code, back.json()["state"], back.json()["decisions"]) == (200, "open", [])
    assert "1290 other_receipts" not in dict(await balances(payments))
    gone = await does(payments, "invoices", back.json(), "withdraw-decision", mistake)
    assert gone.status_code == 404
    await standing.check(payments)


async def test_credit_pays_an_invoice_once_however_many_use_it_at_once(payments: Payments) -> None:
    invoice = await an_unpaid_invoice(payments)
    over = await does(payments, "invoices", invoice, "record-payment", {"amount_minor": 16_000, "how": "bank transfer"})
    assert over.status_code == 200
    await deliver(payments, *card_payment("november", outcomes=("insufficient_funds",)))
    await deliver(payments, *card_payment("december", outcomes=("insufficient_funds",)))
    await works(payments)
    open_ones = (await payments.get("/invoices?state=open&member_id=mark-stevens"))["items"]
    used = await asyncio.gather(
        *(does(payments, "invoices", each, "apply-credit", {"amount_minor": 5_000}) for each in open_ones)
    )
    assert sorted(answer.status_code for answer in used) == [200, 409]
    assert "2200 member_credit:mark-stevens" not in dict(await balances(payments))
    await standing.check(payments)


async def test_a_payout_is_banked_and_leaves_the_bank_when_it_fails(payments: Payments) -> None:
    paid = payloads.stripe_event("payout.paid", payloads_money.payout(status="paid"), at=payloads.AT)
    await deliver(payments, paid)
    await works(payments)
    (payout,) = (await payments.get("/payouts"))["items"]
    on = datetime.fromtimestamp(payloads.AT + 4 * 86_400, UTC).date()

    banked = await does(payments, "payouts", payout, "bank", {"on": on.isoformat()})

    assert (banked.status_code, dict(await balances(payments))["1300 bank"]) == (200, 10_783)
    assert (await payments.get(f"/payouts/{payout['id']}"))["banked_at"] is not None
    twice = await does(payments, "payouts", banked.json(), "bank", {"on": on.isoformat()})
    assert twice.status_code == 409
    told = (await payments.emitted(PAYMENTS_EVENTS, PayoutDescribed))[-1].data
    assert (told.body["change"], told.actor.name) == ("banked", "Maria Rossi")
    failed = payloads_money.payout(status="failed")
    await deliver(payments, payloads.stripe_event("payout.failed", failed, at=payloads.AT + 5 * 86_400))
    await works(payments)
    assert await balances(payments) == []
    await standing.check(payments)


async def a_strangers_payment(payments: Payments) -> dict[str, Any]:
    await know_mark(payments, stripe="cus_of_marks")
    await deliver(payments, charge_succeeded("stranger", customer="cus_nobody_knows"))
    await works(payments)
    (payment,) = (await payments.get("/payments?awaiting=true"))["items"]
    found: dict[str, Any] = payment
    return found


async def proposes(payments: Payments, payment: dict[str, Any], **more: Any) -> httpx.Response:
    given = {"member_id": "mark-stevens", "reason": "he said so on the telephone", **more}
    return await payments.call("POST", f"/payments/{payment['id']}/matches", json=given)


async def test_money_of_nobody_is_matched_by_two_people_at_its_original_time(payments: Payments) -> None:
    payment = await a_strangers_payment(payments)
    proposed = await proposes(payments, payment)
    assert (proposed.status_code, proposed.json()["state"]) == (201, "proposed")
    assert dict(await balances(payments))["2400 unidentified_receipts:stripe"] == -11_000

    own = await does(payments, "matches", proposed.json(), "agree")
    assert (own.status_code, "somebody else has to agree" in own.json()["detail"]) == (409, True)
    agreed = await does(payments, "matches", proposed.json(), "agree", **as_the_owner(payments))

    assert (agreed.status_code, agreed.json()["state"], agreed.json()["decided_by_name"]) == (200, "agreed", "Owner")
    assert await balances(payments) == [
        ("1200 clearing:stripe", 11000),
        ("2100 gst_payable", -1000),
        ("4100 membership_revenue", -10000),
    ]
    lines = (await payments.get("/members/mark-stevens/ledger"))["lines"]
    assert {line["effective_at"] for line in lines} == {payment["created_at"]} or len(lines) == 2
    assert (await payments.get("/payments?awaiting=true"))["items"] == []
    changes = [each.data.body["change"] for each in await payments.emitted(PAYMENTS_EVENTS, PaymentMatchUpdated)]
    assert changes == ["proposed", "agreed"]
    matched = [
        each.data
        for each in await payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)
        if each.data.body["change"] == "matched"
    ]
    assert [(each.actor.name, each.body["member"]["name"]) for each in matched] == [("Owner", "Mark Stevens")]
    await standing.check(payments)


async def test_a_proposal_is_denied_withdrawn_and_made_anew(payments: Payments) -> None:
    payment = await a_strangers_payment(payments)
    first = (await proposes(payments, payment)).json()
    assert (await proposes(payments, payment)).status_code == 409
    denied = await does(payments, "matches", first, "deny", {"reason": "his sister's"}, **as_the_owner(payments))
    assert denied.json()["state"] == "denied"
    assert (await does(payments, "matches", denied.json(), "agree", **as_the_owner(payments))).status_code == 409
    second = (await proposes(payments, payment)).json()
    withdrawn = await does(payments, "matches", second, "deny", {"reason": "my mistake"})
    assert withdrawn.json()["state"] == "withdrawn"
    assert (await proposes(payments, payment, member_id="nobody")).status_code == 404
    assert [each["state"] for each in (await payments.get("/matches"))["items"]] == ["withdrawn", "denied"]


async def test_an_exact_reference_matches_by_itself_once(payments: Payments) -> None:
    """Scenario 11."""
    await a_strangers_payment(payments)
    for _ in range(2):
        await know_mark(payments, stripe="cus_nobody_knows")
        await works(payments)
    assert dict(await balances(payments))["1200 clearing:stripe"] == 11_000
    assert "2400 unidentified_receipts:stripe" not in dict(await balances(payments))
    told = [
        each.data.body["change"]
        for each in await payments.emitted(PAYMENTS_EVENTS, PaymentUpdated)
        if each.data.body["change"] == "matched"
    ]
    assert told == ["matched"]
    known = (await payments.get("/payments"))["items"][0]
    refused = await proposes(payments, known)
    assert (refused.status_code, "change the member's references" in refused.json()["detail"]) == (409, True)


@pytest.mark.parametrize("path", ["/invoices", "/payouts", "/matches"])
async def test_what_there_is_not_is_not_decided_about(payments: Payments, path: str) -> None:
    verb = {"/invoices": "write-off", "/payouts": "bank", "/matches": "deny"}[path]
    body: Any = {"on": "2026-10-01"} if verb == "bank" else {"reason": "no"}
    unknown = {"id": "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e91", "version": 1}
    assert (await does(payments, path[1:], unknown, verb, body)).status_code == 404
