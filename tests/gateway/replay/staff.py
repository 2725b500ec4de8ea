"""Preparations of what staff decide: invoices that are open or paid, payments of nobody, payouts that arrived."""

from __future__ import annotations

from itertools import count
from typing import Any

from chassis.ids import new_id

from tests.gateway.replay.calls import Call, before, makes
from tests.gateway.replay.world import World
from tests.payments.providers import card_payment, charge_succeeded, deliver, works
from tests.payments.pure import payloads, payloads_money

INVOICE, MATCH = "/v1/invoices/{invoice_id}", "/v1/matches/{match_id}"
PAYMENT = "/v1/payments/{payment_id}"
REASON = {"reason": "he said so on the telephone"}
_NUMBERS = count(1)


async def a_member(world: World) -> str:
    """Somebody whose customer nobody else is given meanwhile: the customer's id is the member's."""
    member = f"mark-{new_id()}"
    given = {"name": "Mark Stevens", "customers": [{"provider": "stripe", "reference": member}]}
    await world.ask("PUT", f"/v1/members/{member}", json=given)
    return member


async def an_invoice(world: World, *outcomes: str, member: str | None = None) -> dict[str, Any]:
    ours = world.services["payments"]
    member = member or await a_member(world)
    await deliver(ours, *card_payment(f"staff{next(_NUMBERS)}", outcomes=outcomes, customer=member))
    await works(ours)
    found = (await world.ask("GET", f"/v1/invoices?member_id={member}"))["items"][0]
    shown: dict[str, Any] = await world.ask("GET", f"/v1/invoices/{found['id']}")
    return shown


def _about(call: Call, invoice: dict[str, Any]) -> None:
    call.names["invoice_id"] = invoice["id"]
    call.expects(invoice["version"])


@makes("invoice_id")
async def an_open_invoice(world: World, call: Call) -> None:
    _about(call, await an_invoice(world, "insufficient_funds"))


@before(f"POST {INVOICE}/write-off", problem="conflict")
@before(f"POST {INVOICE}/record-payment", problem="conflict")
async def one_that_is_paid(world: World, call: Call) -> None:
    _about(call, await an_invoice(world, "succeed"))


@before(f"POST {INVOICE}/apply-credit")
async def of_a_member_with_credit(world: World, call: Call) -> None:
    member = await a_member(world)
    other = await an_invoice(world, "insufficient_funds", member=member)
    headers = {"If-Match": f'"{other["version"]}"'}
    over = {"amount_minor": 12_000, "how": "cash"}
    await world.ask("POST", f"/v1/invoices/{other['id']}/record-payment", json=over, headers=headers)
    _about(call, await an_invoice(world, "insufficient_funds", member=member))


@before(f"POST {INVOICE}/apply-credit", problem="conflict")
async def more_than_the_credit(world: World, call: Call) -> None:
    call.json = {"amount_minor": 10**11}


@before(f"POST {INVOICE}/withdraw-decision")
async def one_that_was_written_off(world: World, call: Call) -> None:
    headers = {"If-Match": call.headers["If-Match"]}
    path = f"/v1/invoices/{call.names['invoice_id']}/write-off"
    after = await world.ask("POST", path, json=REASON, headers=headers)
    call.json = {**call.json, "decision_id": after["decisions"][0]["id"]}
    call.expects(after["version"])


@before("POST /v1/payouts/{payout_id}/bank")
async def a_payout_that_was_made(world: World, call: Call) -> None:
    ours = world.services["payments"]
    shown = payloads_money.payout(f"po_{new_id()}", status="paid")
    await deliver(ours, payloads.stripe_event("payout.paid", shown, at=payloads.AT))
    await works(ours)
    payout = (await world.ask("GET", f"/v1/payouts?reference={shown['id']}"))["items"][0]
    call.names["payout_id"] = payout["id"]
    call.expects(payout["version"])


@before("POST /v1/payouts/{payout_id}/bank", problem="conflict")
async def on_a_day_that_lies_ahead(world: World, call: Call) -> None:
    await a_payout_that_was_made(world, call)
    call.json = {"on": "2199-01-01"}


async def a_strangers_payment(world: World) -> str:
    ours = world.services["payments"]
    number = next(_NUMBERS)
    await deliver(ours, charge_succeeded(f"stranger{number}", customer=f"cus_stranger{number}"))
    await works(ours)
    return str((await world.ask("GET", "/v1/payments?awaiting=true"))["items"][0]["id"])


async def a_proposal(world: World, *, role: str) -> dict[str, Any]:
    payment = await a_strangers_payment(world)
    given = {"member_id": "mark-stevens", **REASON}
    proposed: dict[str, Any] = await world.ask("POST", f"/v1/payments/{payment}/matches", json=given, role=role)
    return proposed


def _match(call: Call, proposed: dict[str, Any]) -> None:
    call.names["match_id"] = proposed["id"]
    call.expects(proposed["version"])


@makes("match_id")
async def somebody_elses_proposal(world: World, call: Call) -> None:
    _match(call, await a_proposal(world, role="billing"))


@before(f"POST {MATCH}/agree", problem="conflict")
async def ones_own_proposal(world: World, call: Call) -> None:
    _match(call, await a_proposal(world, role="owner"))


@before(f"POST {MATCH}/deny", problem="conflict")
async def one_that_was_denied(world: World, call: Call) -> None:
    headers = {"If-Match": call.headers["If-Match"]}
    _match(call, await world.ask("POST", f"/v1/matches/{call.names['match_id']}/deny", json=REASON, headers=headers))


@before(f"POST {PAYMENT}/matches")
async def of_nobody(world: World, call: Call) -> None:
    call.names["payment_id"] = await a_strangers_payment(world)


@before(f"POST {PAYMENT}/matches", problem="conflict")
async def of_somebody_who_is_known(world: World, call: Call) -> None:
    await one_that_brought_money(world, call)


@before(f"POST {PAYMENT}/refunds", f"GET {PAYMENT}/refunds")
async def one_that_brought_money(world: World, call: Call) -> None:
    paid = await an_invoice(world, "succeed")
    found = (await world.ask("GET", f"/v1/payments?member_id={paid['member_id']}"))["items"]
    call.names["payment_id"] = next(each["id"] for each in found if each["state"] == "succeeded")


@before(f"POST {PAYMENT}/refunds", problem="conflict")
async def more_than_it_brought(world: World, call: Call) -> None:
    await one_that_brought_money(world, call)
    call.json = {**call.json, "amount_minor": 10**11}
