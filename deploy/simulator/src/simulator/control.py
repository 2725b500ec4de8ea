"""The control origin: what a test or a demo turns, and what it looks at. JSON in, JSON out; `GET /` lists it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator import control_money
from simulator.control_inputs import (
    Action,
    Endpoints,
    Flush,
    Forgery,
    NoSuchThingError,
    Payout,
    Period,
    Reset,
    Script,
    known,
)
from simulator.delivery import Delivery, Endpoint
from simulator.faults import Dial, Once
from simulator.gocardless import acting, lifecycle, mandates, operations
from simulator.gocardless.mandates import CHANGES as MANDATE_ENDS
from simulator.gocardless.organisation import RefusedError as GoCardlessRefusedError
from simulator.http import BodyTooLargeError, json_response, read_body
from simulator.settings import Provider
from simulator.stripe import billing, payments
from simulator.stripe.account import RefusedError as StripeRefusedError
from simulator.stripe.objects import AUTOMATIC
from simulator.stripe.outcomes import OUTCOMES
from simulator.world import PROVIDERS, World

Handler = Callable[[World, Request, bytes], Awaitable[tuple[int, Any]]]
_STALE_SECONDS: Final = -301
_FUTURE_SECONDS: Final = 301


async def index(_: World, __: Request, ___: bytes) -> tuple[int, Any]:
    """List what the control origin can do."""
    return 200, [
        {"method": method, "path": path, "does": (handler.__doc__ or "").partition("\n")[0]}
        for method, path, handler in OPERATIONS
    ]


async def health(world: World, _: Request, __: bytes) -> tuple[int, Any]:
    """Say that the simulator runs, what time it is in business and what waits."""
    return 200, {
        "status": "ok",
        "business_time": world.clock.now().isoformat(),
        "pending_deliveries": len(world.dispatcher.pending()),
    }


async def list_endpoints(world: World, _: Request, __: bytes) -> tuple[int, Any]:
    """List where webhooks go, without the secrets."""
    return 200, {
        "endpoints": [
            {"provider": one.provider, "url": one.url, "api_version": one.api_version or None}
            for one in world.dispatcher.endpoints
        ]
    }


async def put_endpoints(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Send webhooks to these endpoints from now on: provider, url, secrets, api_version (Stripe)."""
    wanted = Endpoints.model_validate_json(body)
    world.point(
        [
            Endpoint(one.provider, one.url, tuple(one.secrets), one.api_version, one.payload == "thin")
            if one.provider == "stripe"
            else Endpoint(one.provider, one.url, tuple(one.secrets))
            for one in wanted.endpoints
        ]
    )
    return await list_endpoints(world, request, b"")


async def get_faults(world: World, _: Request, __: bytes) -> tuple[int, Any]:
    """Show the fault dials, and what is set for once."""
    return 200, {
        provider: {
            **world.faults[provider].dial.model_dump(),
            "next": [once.model_dump() for once in world.faults[provider].once],
        }
        for provider in PROVIDERS
    }


async def put_faults(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Set one provider's dial; what is not given goes back to nothing, and so does what was set for once."""
    world.faults[_provider(request)].turn(Dial.model_validate_json(body))
    world.dispatcher.release_windows()
    world.dispatcher.wake()
    return await get_faults(world, request, b"")


async def post_next_fault(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Let something go wrong with this provider's next delivery, once; several queue up."""
    world.faults[_provider(request)].once.append(Once.model_validate_json(body))
    return await get_faults(world, request, b"")


async def put_outcomes(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Script a customer's next charges: names of card outcomes, or `confirm` and BECS causes; one each."""
    script = Script.model_validate_json(body).outcomes
    customer_id = request.path_params["id"]
    stripes = _provider(request) == "stripe"
    names = list(OUTCOMES) if stripes else lifecycle.outcomes()
    for outcome in script:
        known(outcome, names, "outcome")
    customer = world.stripe.customer(customer_id) if stripes else world.gocardless.customer(customer_id)
    customer.outcomes = list(script)
    return 200, {"customer": customer_id, "outcomes": customer.outcomes}


async def act_on_payment(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Let something happen to a payment: GoCardless submit, confirm, pay_out, fail, late_fail, charge_back, settle,
    autoretry; Stripe settle, fail."""
    action = Action.model_validate_json(body)
    payment_id = request.path_params["id"]
    if payment_id.startswith("pi_"):
        return 200, _act_on_intent(world, payment_id, action)
    return 200, _act_on_debit(world, payment_id, action)


async def act_on_mandate(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Let something happen to a GoCardless mandate: activate (through submitted), cancel, fail, expire, ..."""
    action = Action.model_validate_json(body)
    known(action.action, ["activate", "cancel", *MANDATE_ENDS], "action")
    mandate = world.gocardless.book.mandates.get(request.path_params["id"])
    if mandate is None:
        raise NoSuchThingError(f"No mandate {request.path_params['id']}")
    if action.action in MANDATE_ENDS:
        mandates.change(world.gocardless, mandate, action.action)
    if action.action == "cancel":
        world.gocardless.cancel_mandate(mandate)
    while action.action == "activate" and mandate.status != "active":
        world.gocardless.advance_mandate(mandate)
    return 200, operations.shape(world.gocardless, mandate)


async def post_payout(world: World, _: Request, body: bytes) -> tuple[int, Any]:
    """Pay out confirmed GoCardless payments together, net of what came back since."""
    wanted = Payout.model_validate_json(body or b"{}").payments
    book = world.gocardless.book
    chosen = (
        [payment for payment in book.payments.values() if payment.status == "confirmed"]
        if wanted is None
        else [world.gocardless.payment(payment_id) for payment_id in wanted]
    )
    return 201, operations.shape(world.gocardless, world.gocardless.pay_out(chosen))


async def post_period(world: World, _: Request, body: bytes) -> tuple[int, Any]:
    """Bill a month at Stripe as a subscription does: invoice created, finalised and collected or not."""
    wanted = Period.model_validate_json(body)
    invoice = billing.bill_period(
        world.stripe,
        wanted.customer,
        amount=wanted.amount_minor,
        currency=wanted.currency,
        description=wanted.description,
        subscription=wanted.subscription,
    )
    return 201, world.stripe.render(invoice, world.stripe.api_version)


async def collect_invoice(world: World, request: Request, _: bytes) -> tuple[int, Any]:
    """Let Stripe try an open invoice again by itself."""
    invoice = billing.held(world.stripe, request.path_params["id"])
    billing.collect(world.stripe, invoice)
    return 200, world.stripe.render(invoice, world.stripe.api_version)


async def post_advance(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Do now what the business clock has made due."""
    world.advance()
    return await health(world, request, body)


async def list_calls(world: World, request: Request, _: bytes) -> tuple[int, Any]:
    """List what the providers' APIs were asked, newest first: ?provider=, ?method=, ?path= (its beginning), ?limit=."""
    query = request.query_params
    chosen = [
        asdict(call)
        for call in world.calls.newest_first()
        if query.get("provider", call.provider) == call.provider
        and query.get("method", call.method).upper() == call.method
        and call.path.startswith(query.get("path", ""))
    ]
    return 200, {"total": len(chosen), "items": chosen[: _limit(query.get("limit", "100"))]}


async def list_deliveries(world: World, request: Request, _: bytes) -> tuple[int, Any]:
    """List deliveries, newest first: ?state=pending|delivered|failed|dropped, ?provider=, ?event=, ?limit=100."""
    query = request.query_params
    chosen = [
        _summary(delivery)
        for delivery in reversed(world.dispatcher.deliveries.values())
        if query.get("state", delivery.state) == delivery.state
        and query.get("provider", delivery.provider) == delivery.provider
        and ("event" not in query or query["event"] in delivery.event_ids)
    ]
    return 200, {"total": len(chosen), "items": chosen[: _limit(query.get("limit", "100"))]}


async def get_delivery(world: World, request: Request, _: bytes) -> tuple[int, Any]:
    """Show one delivery with its body."""
    delivery = _delivery(world, request.path_params["id"])
    return 200, _summary(delivery) | {"body": delivery.body.decode()}


async def resend_delivery(world: World, request: Request, _: bytes) -> tuple[int, Any]:
    """Send a delivery's body once more, rightly signed."""
    return 201, _summary(world.dispatcher.resend(_delivery(world, request.path_params["id"])))


async def post_forgery(world: World, _: Request, body: bytes) -> tuple[int, Any]:
    """Send a falsified copy of a delivery (the newest, or `delivery`), once: altered_byte, other_secret, ..."""
    wanted = Forgery.model_validate_json(body)
    if wanted.delivery is not None:
        original = _delivery(world, wanted.delivery)
    else:
        sent = [one for one in world.dispatcher.deliveries.values() if one.provider == wanted.provider]
        if not sent:
            raise NoSuchThingError(f"{wanted.provider} has sent nothing that could be forged")
        original = sent[-1]
    if wanted.how.endswith("timestamp") and original.provider != "stripe":
        raise GoCardlessRefusedError("GoCardless signs no timestamp")
    offset = {"stale_timestamp": _STALE_SECONDS, "future_timestamp": _FUTURE_SECONDS}.get(wanted.how, 0)
    tampering = wanted.how if wanted.how in {"altered_byte", "other_secret"} else None
    return 201, _summary(world.dispatcher.forge(original, original.body, tampering, offset))


async def post_flush(world: World, _: Request, body: bytes) -> tuple[int, Any]:
    """Wait until everything is delivered, {"timeout_seconds": 10}; 504 with what still waits otherwise."""
    timeout_seconds = Flush.model_validate_json(body or b"{}").timeout_seconds
    world.post_batch()
    done = await world.dispatcher.flush(timeout_seconds)
    waiting = world.dispatcher.pending()
    return (200 if done else 504), {"pending": len(waiting), "items": [_summary(one) for one in waiting[:100]]}


async def post_reset(world: World, request: Request, body: bytes) -> tuple[int, Any]:
    """Forget everything and begin again, {"seed": ...}: the same seed gives the same ids again."""
    world.reset(Reset.model_validate_json(body or b"{}").seed)
    return await health(world, request, body)


OPERATIONS: Final[list[tuple[str, str, Handler]]] = [
    ("GET", "/", index),
    ("GET", "/health", health),
    ("GET", "/endpoints", list_endpoints),
    ("PUT", "/endpoints", put_endpoints),
    ("GET", "/faults", get_faults),
    ("PUT", "/faults/{provider}", put_faults),
    ("POST", "/faults/{provider}/next", post_next_fault),
    ("PUT", "/{provider}/customers/{id}/outcomes", put_outcomes),
    ("POST", "/payments/{id}/actions", act_on_payment),
    ("POST", "/mandates/{id}/actions", act_on_mandate),
    ("POST", "/payouts", post_payout),
    ("POST", "/stripe/periods", post_period),
    ("POST", "/stripe/invoices/{id}/collect", collect_invoice),
    *control_money.OPERATIONS,
    ("POST", "/advance", post_advance),
    ("GET", "/calls", list_calls),
    ("GET", "/deliveries", list_deliveries),
    ("GET", "/deliveries/{id}", get_delivery),
    ("POST", "/deliveries/{id}/resend", resend_delivery),
    ("POST", "/forgeries", post_forgery),
    ("POST", "/flush", post_flush),
    ("POST", "/reset", post_reset),
]


def routes(world: World) -> list[Route]:
    """Return the routes of the control origin."""
    return [Route(path, _endpoint(world, handler), methods=[method]) for method, path, handler in OPERATIONS]


def _endpoint(world: World, handler: Handler) -> Any:
    async def handle(request: Request) -> Response:
        try:
            body = await read_body(request, world.settings.body_max_bytes)
            status, shape = await handler(world, request, body)
        except BodyTooLargeError as error:
            status, shape = 413, {"error": str(error)}
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the body"
            status, shape = 422, {"error": f"{place}: {first['msg']}"}
        except (StripeRefusedError, GoCardlessRefusedError) as error:
            status, shape = (404 if error.status == 404 else 409), {"error": error.message}
        except NoSuchThingError as error:
            status, shape = 404, {"error": str(error)}
        except ValueError as error:
            status, shape = 422, {"error": str(error)}
        return json_response(shape, status)

    return handle


def _act_on_intent(world: World, intent_id: str, action: Action) -> Any:
    known(action.action, ["settle", "fail"], "action")
    intent = payments.held(world.stripe, intent_id)
    outcome = action.outcome or ("debit_not_authorized" if action.action == "fail" else "processing")
    known(outcome, list(OUTCOMES), "outcome")
    payments.settle(world.stripe, AUTOMATIC, intent, outcome)
    billing.settled(world.stripe, AUTOMATIC, intent)
    return world.stripe.render(intent, world.stripe.api_version)


def _act_on_debit(world: World, payment_id: str, action: Action) -> Any:
    organisation = world.gocardless
    payment = organisation.payment(payment_id)
    if action.cause is not None:
        known(action.cause, lifecycle.outcomes()[1:], "cause")
    known(action.action, list(acting.ACTIONS), "action")
    acting.act(organisation, payment, action.action, action.cause, will_attempt_retry=action.will_attempt_retry)
    return operations.shape(organisation, payment)


def _provider(request: Request) -> Provider:
    for provider in PROVIDERS:
        if request.path_params["provider"] == provider:
            return provider
    raise NoSuchThingError(f"No provider {request.path_params['provider']!r}; there are: {', '.join(PROVIDERS)}")


def _delivery(world: World, delivery_id: str) -> Delivery:
    if delivery_id not in world.dispatcher.deliveries:
        raise NoSuchThingError(f"No delivery {delivery_id}")
    return world.dispatcher.deliveries[delivery_id]


def _limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= 10_000:
        raise ValueError("limit: 1 to 10000")
    return limit


def _summary(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "provider": delivery.provider,
        "url": delivery.url,
        "event_ids": delivery.event_ids,
        "event_types": delivery.event_types,
        "state": delivery.state,
        "copy_of": None if delivery.copy_of is None else f"dlv_{delivery.copy_of:06d}",
        "forged": delivery.forged,
        "next_attempt_at": delivery.next_attempt_at,
        "attempts": [
            {
                "at": attempt.at,
                "ms": attempt.milliseconds,
                "status": attempt.status,
                "error": attempt.error,
                "fault": attempt.fault,
            }
            for attempt in delivery.attempts
        ],
    }
