"""From the bytes of a delivery to provider events. Total: what cannot be read is a value, never an exception.

JSON is read by orjson, which refuses NaN, infinities, lone surrogates, invalid UTF-8 (so gzip too) and a byte order
mark. Two things it lets pass are refused here: more than 254 levels, which no provider sends and later writers cannot
render; and an object that names one key twice, where two readers may see two different events. Integers beyond 64 bit
become floats, which no amount accepts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from payments.deliveries.domain import (
    OWN_ACCOUNT,
    EventIdentity,
    Provider,
    ProviderEvent,
    Unreadable,
    UnreadableReason,
)
from payments.providers.fields import UnreadableError, instant, object_or_none, text, text_or_none, truth_or_none

__all__ = ["ProviderEvent", "Unreadable", "read_gocardless", "read_json", "read_stripe"]

THIN: Final = "v2.core.event"
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ESSENCE: Final = ("id", "object", "amount", "amount_due", "amount_paid", "total", "currency", "created")


def read_json(body: bytes) -> Any:
    """Return the JSON value of `body`. Raises UnreadableError."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth" in str(error) or "recursion" in str(error).lower():
            raise UnreadableError(UnreadableReason.TOO_DEEP, "deeper than 254 levels") from None
        raise UnreadableError(UnreadableReason.NOT_JSON, str(error)[:200]) from None
    try:
        rendered = orjson.dumps(value)
    except TypeError:
        raise UnreadableError(UnreadableReason.TOO_DEEP, "deeper than 254 levels") from None
    if _quotes(body) != _quotes(rendered) and len(_STRING.findall(body)) != len(_STRING.findall(rendered)):
        raise UnreadableError(UnreadableReason.DUPLICATE_KEYS, "an object names one key twice")
    return value


def _quotes(rendered: bytes) -> int:
    """Count the quotes that open or close a string, at the speed of memchr.

    An escaped quote is not counted, a closing one behind an escaped backslash wrongly not either. What orjson renders
    escapes no less than the input, so a string that was dropped always leaves the input with more: equal counts prove
    that no key was dropped; unequal ones are settled by counting the strings themselves.
    """
    quotes = rendered.count(b'"')
    return quotes - rendered.count(b'\\"') if b"\\" in rendered else quotes


def read_stripe(body: bytes) -> ProviderEvent | Unreadable:
    """Return the one event of a Stripe delivery.

    Tolerates what real deliveries show: no `api_version`, `request` of any shape, `data.object` null, thin events
    without `data`, whose object is what they point at. `account`, else `context`, else `user_id` names a connected
    account.
    """
    try:
        event = read_json(body)
        if not isinstance(event, dict):
            raise UnreadableError(UnreadableReason.WRONG_SHAPE, "the body is not an object")
        return _stripe_event(event)
    except UnreadableError as error:
        return error.unreadable()


def _stripe_event(event: Mapping[str, Any]) -> ProviderEvent:
    id_ = text(event, "id")
    try:
        account = _account(event, "account", "context", "user_id")
        data = object_or_none(event, "data") or {}
        shown = object_or_none(data, "object") or {}
        if event.get("object") == THIN:
            shown = {"object": THIN, "related_object": object_or_none(event, "related_object")}
        type_ = text(event, "type")
        livemode = truth_or_none(event, "livemode") or False
        return ProviderEvent(
            identity=EventIdentity("stripe", account, livemode, id_),
            type=type_,
            api_version=text_or_none(event, "api_version"),
            created_at=_created_at(event.get("created")),
            content_hash=_hash(type_, account, shown),
            essence_hash=_hash(type_, account, {name: shown[name] for name in _ESSENCE if name in shown}),
            object=shown,
        )
    except UnreadableError as error:
        raise UnreadableError(error.reason, error.detail, event_id=id_) from None


def _account(given: Mapping[str, Any], *names: str) -> str:
    for name in names:
        account = text_or_none(given, name)
        if account:
            # It becomes part of keys, and a header when an object is read.
            if "/" in account or not account.isascii():
                raise UnreadableError(UnreadableReason.WRONG_SHAPE, f"{name} contains a slash or is not ASCII")
            return account
    return OWN_ACCOUNT


def _created_at(created: Any) -> datetime | None:
    try:
        return instant({"created": created}, "created")
    except UnreadableError:
        return None


def _hash(type_: str, account: str, shown: Mapping[str, Any]) -> bytes:
    return sha256(orjson.dumps([type_, account, shown], option=orjson.OPT_SORT_KEYS)).digest()


def read_gocardless(body: bytes, *, livemode: bool) -> tuple[ProviderEvent | Unreadable, ...] | Unreadable:
    """Return each event of a GoCardless delivery in its order; one that is malformed leaves the others alone.

    GoCardless does not say in an event whether it is real: `livemode` is a setting. An empty list is no error.
    """
    try:
        value = read_json(body)
        events = value.get("events") if isinstance(value, dict) else None
        if not isinstance(events, list):
            raise UnreadableError(UnreadableReason.WRONG_SHAPE, "events is not a list")
    except UnreadableError as error:
        return error.unreadable()
    return tuple(_gocardless_item(item, index, livemode=livemode) for index, item in enumerate(events))


def _gocardless_item(item: Any, index: int, *, livemode: bool) -> ProviderEvent | Unreadable:
    id_ = None
    try:
        if not isinstance(item, dict):
            raise UnreadableError(UnreadableReason.WRONG_SHAPE, "the event is not an object")
        id_ = text(item, "id")
        type_ = f"{text(item, 'resource_type')}.{text(item, 'action')}"
        account = _account(object_or_none(item, "links") or {}, "organisation")
        provider: Provider = "gocardless"
        content = _hash(type_, account, item)
        return ProviderEvent(
            identity=EventIdentity(provider, account, livemode, id_),
            type=type_,
            api_version=None,
            created_at=_created_at(item.get("created_at")),
            content_hash=content,
            essence_hash=content,
            index=index,
            object=item,
        )
    except UnreadableError as error:
        return Unreadable(error.reason, error.detail, index, id_)
