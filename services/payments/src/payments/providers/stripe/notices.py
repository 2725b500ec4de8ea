"""What moves no money and is understood all the same: customers, subscriptions, methods, mandates, drafts, warnings."""

from __future__ import annotations

from payments.collection.facts import Noticed
from payments.collection.objects import CHARGE, CUSTOMER
from payments.providers.fields import Given, object_or_none, reference_or_none, text, text_or_none, words_or_none
from payments.providers.stripe.payments import Source


def customer(source: Source, given: Given) -> Noticed:
    """Return what became of a customer; one that was deleted may be shown by its id alone."""
    id_ = text(given, "id")
    deleted = source.told.type == "customer.deleted"
    return Noticed(
        told=source.told,
        about=f"customer/{id_}",
        status="deleted" if deleted else None,
        description=words_or_none(given, "name"),
        customer=source.key(CUSTOMER, id_),
    )


def notice(kind: str, source: Source, given: Given) -> Noticed:
    """Return what became of another object. `data.object` may lack an id or a customer."""
    error = object_or_none(given, "last_setup_error") or object_or_none(given, "last_finalization_error") or {}
    return Noticed(
        told=source.told,
        about=f"{kind}/{text_or_none(given, 'id') or ''}",
        status=words_or_none(given, "status"),
        cause=words_or_none(given, "fraud_type") or words_or_none(error, "code"),
        description=words_or_none(error, "message"),
        customer=source.key(CUSTOMER, reference_or_none(given, "customer")),
        charge=source.key(CHARGE, reference_or_none(given, "charge")) if kind == "early_fraud_warning" else None,
    )
