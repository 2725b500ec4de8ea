"""What the GoCardless API can be asked to do, one short function each, and what can be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from simulator.gocardless import parameters, refunds, shapes
from simulator.gocardless.objects import BankAccount, Customer, Event, Json, Mandate, Payment, Refund, Thing
from simulator.gocardless.organisation import NoSuchThingError, Organisation, RefusedError

Run = Callable[[Organisation, Any, str], Thing]


@dataclass(frozen=True, slots=True)
class Collection:
    """`filters` maps what a list can be narrowed by to how a thing answers it."""

    name: str
    filters: dict[str, Callable[[Organisation, Any], Any]]


def _status(_: Organisation, thing: Any) -> Any:
    return thing.status


def _link(name: str) -> Callable[[Organisation, Any], Any]:
    return lambda _, event: event.links.get(name)


COLLECTIONS: Final = {
    collection.name: collection
    for collection in (
        Collection("customers", {"email": lambda _, thing: thing.email}),
        Collection("customer_bank_accounts", {"customer": lambda _, thing: thing.customer}),
        Collection(
            "mandates",
            {
                "customer": lambda _, thing: thing.customer,
                "customer_bank_account": lambda _, thing: thing.bank_account,
                "reference": lambda _, thing: thing.reference,
                "status": _status,
            },
        ),
        Collection(
            "payments",
            {
                "customer": lambda organisation, thing: organisation.book.mandates[thing.mandate].customer,
                "mandate": lambda _, thing: thing.mandate,
                "status": _status,
            },
        ),
        Collection(
            "refunds",
            {"mandate": lambda _, thing: thing.mandate, "payment": lambda _, thing: thing.payment, "status": _status},
        ),
        Collection("payouts", {"status": _status, "reference": lambda _, thing: thing.reference}),
        Collection(
            "events",
            {
                "action": lambda _, thing: thing.action,
                "resource_type": lambda _, thing: thing.resource_type,
                "mandate": _link("mandate"),
                "payment": _link("payment"),
                "payout": _link("payout"),
                "refund": _link("refund"),
                "parent_event": _link("parent_event"),
            },
        ),
    )
}


def retrieve(organisation: Organisation, collection: Collection, thing_id: str) -> Json:
    """Return one thing. Raises NoSuchThingError."""
    return shape(organisation, _held(organisation, collection.name, thing_id))


def page(organisation: Organisation, collection: Collection, wanted: parameters.Page) -> tuple[list[Json], Json]:
    """Return a page, newest first, and its `meta` with the cursors. Raises RefusedError for an unknown filter."""
    filters = wanted.model_extra or {}
    for name in filters:
        if name not in collection.filters:
            raise RefusedError(
                f"Unknown filter {name}", reason="invalid_filters", status=400, error_type="invalid_api_usage"
            )
    things = [
        thing
        for thing in reversed(list(getattr(organisation.book, collection.name).values()))
        if wanted.created_at.holds(thing.created_at)
        and all(collection.filters[name](organisation, thing) == value for name, value in filters.items())
    ]
    return _cut(things, wanted, lambda thing: shape(organisation, thing))


def payout_items(organisation: Organisation, wanted: parameters.Page) -> tuple[list[Json], Json]:
    """Return the lines of one payout. Raises RefusedError without `payout`."""
    payout_id = (wanted.model_extra or {}).get("payout")
    if payout_id is None:
        raise RefusedError("can't be blank", field="payout", error_type="validation_failed")
    payout = _held(organisation, "payouts", payout_id)
    numbered = [f"item-{number}" for number in range(len(payout.items))]
    things = dict(zip(numbered, payout.items, strict=True))
    return _cut(numbered, wanted, lambda number: shapes.payout_item(things[number], organisation.book))


def creditor(creditor_id: str = shapes.CREDITOR) -> Json:
    """Return the one creditor of this organisation. Raises NoSuchThingError for any other id."""
    if creditor_id != shapes.CREDITOR:
        raise NoSuchThingError
    return shapes.creditor()


def shape(organisation: Organisation, thing: Any) -> Json:
    """Return anything as the API shows it."""
    return shapes.event(thing) if isinstance(thing, Event) else shapes.render(organisation.book, thing)


def create_customer(organisation: Organisation, wanted: parameters.CreateCustomer, _: str) -> Customer:
    """Add a customer."""
    return organisation.create_customer(**wanted.model_dump())


def create_bank_account(organisation: Organisation, wanted: parameters.CreateBankAccount, _: str) -> BankAccount:
    """Add a bank account."""
    return organisation.create_bank_account(
        wanted.links.customer,
        account_holder_name=wanted.account_holder_name,
        account_number=wanted.account_number,
        metadata=wanted.metadata,
    )


def create_mandate(organisation: Organisation, wanted: parameters.CreateMandate, _: str) -> Mandate:
    """Add a mandate."""
    account = _held(organisation, "customer_bank_accounts", wanted.links.customer_bank_account)
    return organisation.create_mandate(account, reference=wanted.reference, metadata=wanted.metadata)


def cancel_mandate(organisation: Organisation, _: parameters.Change, thing_id: str) -> Mandate:
    """Cancel a mandate."""
    mandate: Mandate = _held(organisation, "mandates", thing_id)
    organisation.cancel_mandate(mandate)
    return mandate


def create_payment(organisation: Organisation, wanted: parameters.CreatePayment, _: str) -> Payment:
    """Ask for a debit."""
    return organisation.create_payment(
        _held(organisation, "mandates", wanted.links.mandate),
        amount=wanted.amount,
        currency=wanted.currency,
        description=wanted.description,
        reference=wanted.reference,
        retry_if_possible=wanted.retry_if_possible,
        metadata=wanted.metadata,
    )


def cancel_payment(organisation: Organisation, _: parameters.Change, thing_id: str) -> Payment:
    """Cancel a debit that has not left."""
    payment = organisation.payment(thing_id)
    organisation.cancel(payment)
    return payment


def retry_payment(organisation: Organisation, _: parameters.Change, thing_id: str) -> Payment:
    """Try a failed debit again."""
    payment = organisation.payment(thing_id)
    organisation.retry(payment, by_request=True)
    return payment


def create_refund(organisation: Organisation, wanted: parameters.CreateRefund, _: str) -> Refund:
    """Give part of a debit back."""
    return refunds.create(
        organisation,
        organisation.payment(wanted.links.payment),
        amount=wanted.amount,
        confirmed_minor=wanted.total_amount_confirmation,
        reference=wanted.reference,
        metadata=wanted.metadata,
    )


def put_metadata(kind: str) -> Run:
    """Return the operation that replaces the metadata of one `kind`."""

    def put(organisation: Organisation, wanted: parameters.Change, thing_id: str) -> Thing:
        thing: Thing = _held(organisation, kind, thing_id)
        if isinstance(thing, Customer | Mandate | Payment):
            thing.metadata = wanted.metadata
        return thing

    return put


def _held(organisation: Organisation, kind: str, thing_id: str) -> Any:
    things = getattr(organisation.book, kind)
    if thing_id not in things:
        raise NoSuchThingError
    return things[thing_id]


def _cut(things: list[Any], wanted: parameters.Page, render: Callable[[Any], Json]) -> tuple[list[Json], Json]:
    ids = [thing if isinstance(thing, str) else thing.id for thing in things]
    for cursor in (wanted.after, wanted.before):
        if cursor is not None and cursor not in ids:
            raise RefusedError(
                "Invalid cursor", reason="invalid_cursor_parameters", status=400, error_type="invalid_api_usage"
            )
    first = ids.index(wanted.after) + 1 if wanted.after is not None else 0
    last = ids.index(wanted.before) if wanted.before is not None else len(things)
    if wanted.before is not None and wanted.after is None:
        first = max(0, last - wanted.limit)
    last = min(last, first + wanted.limit)
    chosen = things[first:last]
    cursors = {
        "before": ids[first] if chosen and first > 0 else None,
        "after": ids[last - 1] if chosen and last < len(things) else None,
    }
    return [render(thing) for thing in chosen], {"cursors": cursors, "limit": wanted.limit}


OPERATIONS: Final[dict[tuple[str, str], tuple[type[parameters.Parameters], Run]]] = {
    ("POST", "customers"): (parameters.CreateCustomer, create_customer),
    ("PUT", "customers/{id}"): (parameters.Change, put_metadata("customers")),
    ("POST", "customer_bank_accounts"): (parameters.CreateBankAccount, create_bank_account),
    ("POST", "mandates"): (parameters.CreateMandate, create_mandate),
    ("PUT", "mandates/{id}"): (parameters.Change, put_metadata("mandates")),
    ("POST", "mandates/{id}/actions/cancel"): (parameters.Change, cancel_mandate),
    ("POST", "payments"): (parameters.CreatePayment, create_payment),
    ("PUT", "payments/{id}"): (parameters.Change, put_metadata("payments")),
    ("POST", "payments/{id}/actions/cancel"): (parameters.Change, cancel_payment),
    ("POST", "payments/{id}/actions/retry"): (parameters.Change, retry_payment),
    ("POST", "refunds"): (parameters.CreateRefund, create_refund),
}
