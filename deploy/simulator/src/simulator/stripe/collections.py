"""Reading an account: one thing by id, pages of a collection, and expanding ids into the things they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from simulator.stripe.account import Account, NoSuchThingError, RefusedError, render_event
from simulator.stripe.objects import Event, Json
from simulator.stripe.parameters import Created, Page

_PENDING_SECONDS: Final = 2 * 86_400


@dataclass(frozen=True, slots=True)
class Collection:
    """`prefix` starts the ids of its things; `filters` are the attributes that a list can be narrowed by."""

    path: str
    kind: str
    attribute: str
    prefixes: tuple[str, ...]
    filters: tuple[str, ...]


COLLECTIONS: Final = {
    collection.path: collection
    for collection in (
        Collection("customers", "customer", "customers", ("cus_",), ("email",)),
        Collection("payment_methods", "PaymentMethod", "payment_methods", ("pm_",), ("customer", "type")),
        Collection("payment_intents", "payment_intent", "payment_intents", ("pi_",), ("customer",)),
        Collection("charges", "charge", "charges", ("ch_", "py_"), ("customer", "payment_intent")),
        Collection(
            "balance_transactions",
            "balance transaction",
            "balance_transactions",
            ("txn_",),
            ("source", "payout", "type", "currency"),
        ),
        Collection("invoiceitems", "invoiceitem", "invoice_items", ("ii_",), ("customer", "invoice")),
        Collection("invoice_payments", "invoice payment", "invoice_payments", ("inpay_",), ("invoice", "status")),
        Collection("invoices", "invoice", "invoices", ("in_",), ("customer", "status", "subscription")),
        Collection("refunds", "refund", "refunds", ("re_",), ("charge", "payment_intent")),
        Collection("disputes", "dispute", "disputes", ("du_",), ("charge", "payment_intent")),
        Collection("payouts", "payout", "payouts", ("po_",), ("status",)),
        Collection("credit_notes", "credit_note", "credit_notes", ("cn_",), ("invoice", "customer")),
        Collection("events", "event", "events", ("evt_",), ("type",)),
    )
}


def retrieve(account: Account, collection: Collection, thing_id: str, api_version: str) -> Json:
    """Return one thing. Raises NoSuchThingError."""
    things = getattr(account.book, collection.attribute)
    if thing_id not in things:
        raise NoSuchThingError(collection.kind, thing_id, "id")
    return _render(account, things[thing_id], api_version)


def page(account: Account, collection: Collection, wanted: Page, api_version: str) -> Json:
    """Return a page, newest first. Raises RefusedError for a filter or a cursor that means nothing."""
    things = [thing for thing in reversed(_things(account, collection)) if _passes(thing, collection, wanted)]
    if wanted.starting_after is not None:
        things = things[_place(things, collection, wanted.starting_after, "starting_after") + 1 :]
    if wanted.ending_before is not None:
        things = things[: _place(things, collection, wanted.ending_before, "ending_before")][-wanted.limit :]
    return {
        "object": "list",
        "data": [_render(account, thing, api_version) for thing in things[: wanted.limit]],
        "has_more": len(things) > wanted.limit,
        "url": f"/v1/{collection.path}",
    }


def balance(account: Account) -> Json:
    """Return what the account holds: pending for two days after it was taken, then available for a payout."""
    available_until = account.time() - _PENDING_SECONDS
    nets: dict[bool, int] = {True: 0, False: 0}
    for entry in account.book.balance_transactions.values():
        nets[entry.created <= available_until] += entry.amount - entry.fee
    return {
        "object": "balance",
        "available": [_held(nets[True])],
        "connect_reserved": [],
        "livemode": False,
        "pending": [_held(nets[False])],
    }


def _held(amount: int) -> Json:
    return {"amount": amount, "currency": "aud", "source_types": {"card": amount}}


def expand(account: Account, shape: Json, paths: list[str], api_version: str) -> Json:
    """Put things in place of the ids that `paths` name. Raises RefusedError where there is nothing to expand."""
    for path in paths:
        _expand(account, shape, path.split("."), path, api_version)
    return shape


def _expand(account: Account, shape: Json, steps: list[str], path: str, api_version: str) -> None:
    step, rest = steps[0], steps[1:]
    if shape.get("object") == "list" and step == "data":
        for entry in shape["data"]:
            _expand(account, entry, rest, path, api_version)
        return
    if step == "payments" and shape.get("object") == "invoice":
        shape["payments"] = page(
            account, COLLECTIONS["invoice_payments"], Page.model_validate({"invoice": shape["id"]}), api_version
        )
    elif step == "refunds" and shape.get("object") == "charge":
        wanted = Page.model_validate({"charge": shape["id"]})
        shape["refunds"] = page(account, COLLECTIONS["refunds"], wanted, api_version)
    elif step not in shape:
        raise RefusedError(f"This property cannot be expanded ({path}).", code="property_not_expandable")
    elif isinstance(shape[step], str):
        shape[step] = _by_id(account, shape[step], path, api_version)
    if rest and isinstance(shape[step], dict):
        _expand(account, shape[step], rest, path, api_version)


def _by_id(account: Account, thing_id: str, path: str, api_version: str) -> Json:
    for collection in COLLECTIONS.values():
        if thing_id.startswith(collection.prefixes):
            return retrieve(account, collection, thing_id, api_version)
    raise RefusedError(f"This property cannot be expanded ({path}).", code="property_not_expandable")


def _things(account: Account, collection: Collection) -> list[Any]:
    return list(getattr(account.book, collection.attribute).values())


def _passes(thing: Any, collection: Collection, wanted: Page) -> bool:
    for name, value in (wanted.model_extra or {}).items():
        if name not in collection.filters:
            raise RefusedError(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
        if getattr(thing, name) != value:
            return False
    if isinstance(wanted.created, Created):
        return wanted.created.holds(thing.created)
    return wanted.created is None or bool(thing.created == wanted.created)


def _place(things: list[Any], collection: Collection, thing_id: str, param: str) -> int:
    for place, thing in enumerate(things):
        if thing.id == thing_id:
            return place
    raise NoSuchThingError(collection.kind, thing_id, param)


def _render(account: Account, thing: Any, api_version: str) -> Json:
    if isinstance(thing, Event):
        return render_event(thing, account.api_version, pending_webhooks=0)
    return account.render(thing, api_version)
