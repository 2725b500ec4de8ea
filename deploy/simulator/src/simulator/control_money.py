"""The part of the control origin that moves money back and to the bank: disputes, refunds, payouts, fees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request

from simulator.control_inputs import Action, NoSuchThingError, StripeDispute, StripeFees, known
from simulator.gocardless import operations
from simulator.gocardless import refunds as gocardless_refunds
from simulator.stripe import disputes, payouts, refunds
from simulator.stripe.objects import AUTOMATIC, Thing
from simulator.world import World

Handler = Callable[[World, Request, bytes], Awaitable[tuple[int, Any]]]


async def put_fees(world: World, _: Request, body: bytes) -> tuple[int, Any]:
    """Say when a charge's balance transaction is known at Stripe: {"late": true} tells it by charge.updated."""
    world.stripe.late_fees = StripeFees.model_validate_json(body).late
    return 200, {"late": world.stripe.late_fees}


async def post_dispute(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Let a cardholder's bank dispute a Stripe charge: {"inquiry", "reason", "amount_minor"}."""
    wanted = StripeDispute.model_validate_json(body or b"{}")
    charge = world.stripe.book.charges.get(request.path_params["id"])
    if charge is None:
        raise NoSuchThingError(f"No charge {request.path_params['id']}")
    dispute = disputes.open_(
        world.stripe, charge, inquiry=wanted.inquiry, reason=wanted.reason, amount=wanted.amount_minor
    )
    return 201, _shown(world, dispute)


async def act_on_dispute(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Let a dispute go on: escalate (an inquiry), submit, win, lose, close (an inquiry)."""
    action = Action.model_validate_json(body).action
    known(action, ["escalate", "submit", "win", "lose", "close"], "action")
    dispute = disputes.held(world.stripe, request.path_params["id"])
    match action:
        case "escalate":
            disputes.escalate(world.stripe, dispute)
        case "close":
            disputes.close_inquiry(world.stripe, dispute)
        case "win" | "lose":
            disputes.decide(world.stripe, dispute, "won" if action == "win" else "lost")
        case _:
            disputes.submit(world.stripe, AUTOMATIC, dispute, {"uncategorized_text": "Signed agreement"}, {})
    return 200, _shown(world, dispute)


async def act_on_stripe_refund(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Let a Stripe refund come back from the bank: fail, `cause` is one of Stripe's failure reasons."""
    wanted = Action.model_validate_json(body)
    known(wanted.action, ["fail"], "action")
    reason = wanted.cause or refunds.FAILURES[0]
    known(reason, list(refunds.FAILURES), "cause")
    return 200, _shown(world, refunds.fail(world.stripe, refunds.held(world.stripe, request.path_params["id"]), reason))


async def post_stripe_payout(world: World, _: Request, __: bytes) -> tuple[int, Any]:
    """Let Stripe pay out by itself everything that it has not paid out yet."""
    return 201, _shown(world, payouts.pay_out(world.stripe))


async def act_on_stripe_payout(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Let a Stripe payout go on: arrive (and be reconciled), reconcile (before it arrives), fail, cancel."""
    action = Action.model_validate_json(body).action
    known(action, ["arrive", "reconcile", "fail", "cancel"], "action")
    payout = payouts.held(world.stripe, request.path_params["id"])
    match action:
        case "arrive":
            payouts.arrive(world.stripe, payout)
        case "reconcile":
            payouts.reconcile(world.stripe, payout)
        case "fail":
            payouts.fail(world.stripe, payout)
        case _:
            payouts.cancel(world.stripe, AUTOMATIC, payout)
    return 200, _shown(world, payout)


async def act_on_gocardless_refund(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Let a GoCardless refund go on: pay, fail, return_funds."""
    action = Action.model_validate_json(body).action
    known(action, list(gocardless_refunds.ACTIONS), "action")
    refund = gocardless_refunds.held(world.gocardless, request.path_params["id"])
    return 200, operations.shape(world.gocardless, gocardless_refunds.act(world.gocardless, refund, action))


def _shown(world: World, thing: Thing) -> Any:
    return world.stripe.render(thing, world.stripe.api_version)


OPERATIONS: Final[list[tuple[str, str, Handler]]] = [
    ("PUT", "/stripe/fees", put_fees),
    ("POST", "/stripe/charges/{id}/disputes", post_dispute),
    ("POST", "/stripe/disputes/{id}/actions", act_on_dispute),
    ("POST", "/stripe/refunds/{id}/actions", act_on_stripe_refund),
    ("POST", "/stripe/payouts", post_stripe_payout),
    ("POST", "/stripe/payouts/{id}/actions", act_on_stripe_payout),
    ("POST", "/gocardless/refunds/{id}/actions", act_on_gocardless_refund),
]
