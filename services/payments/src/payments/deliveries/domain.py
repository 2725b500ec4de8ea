"""What a delivery turns out to be: rightly signed or not, readable or not, new or seen before.

A delivery is one HTTP request. It carries one provider event (Stripe) or up to some hundreds (GoCardless). Providers
deliver late, twice and out of order, so an event is known by (provider, account, livemode, id) alone, and every later
copy is compared with the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

Provider = Literal["stripe", "gocardless"]
DeliveryState = Literal["accepted", "rejected", "processed", "dead_lettered"]

OWN_ACCOUNT: Final = "self"
"""The account of an event that names none: our own. Never empty or null, so that a unique index can hold it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The signature matches the secret `key_id`."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The signature proves nothing. `reason` is one of a few fixed words, safe to count by."""

    reason: str


class UnreadableReason(StrEnum):
    """Why bytes that were rightly signed cannot be used. Each value is a dead letter's reason class."""

    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEYS = "duplicate_keys"
    WRONG_SHAPE = "wrong_shape"
    BAD_AMOUNT = "bad_amount"
    BAD_CURRENCY = "bad_currency"
    BAD_TIME = "bad_time"
    WRONG_MODE = "wrong_mode"
    WRONG_ACCOUNT = "wrong_account"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A body, an item of a body or an event's object that cannot be used: a dead letter, never an exception.

    `detail` names the field and never quotes a value longer than a few characters. `index` is the item's place in
    its body (0 where there is one item), `event_id` is given where at least that could be read.
    """

    reason: UnreadableReason
    detail: str
    index: int = 0
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class EventIdentity:
    """What makes a provider event the same event."""

    provider: Provider
    account: str
    livemode: bool
    id: str


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One event as the provider rendered it.

    `type` is Stripe's type, or `payments.confirmed` (resource type and action) for GoCardless. `content_hash` covers
    type, account and object as rendered; `essence_hash` only what no API version changes. `created_at` is None where
    it is absent or absurd. `object` is `data.object` (Stripe) or the event itself (GoCardless); {} where absent.
    """

    identity: EventIdentity
    type: str
    api_version: str | None
    created_at: datetime | None
    content_hash: bytes
    essence_hash: bytes
    index: int = 0
    object: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False, hash=False)


class Sameness(StrEnum):
    """How a copy of a known event relates to the one stored first."""

    DUPLICATE = "duplicate"
    ALTERNATIVE = "alternative"
    CONFLICT = "conflict"


def compare(event: ProviderEvent, *, api_version: str | None, content_hash: bytes, essence_hash: bytes) -> Sameness:
    """Tell how `event` relates to the stored event of the same identity, given that one's version and hashes.

    The same content is a duplicate. Another rendering (other `api_version`) of the same essence is an alternative:
    kept, its facts join the set. Anything else under a known id is a conflict: kept, never applied, a security
    finding.
    """
    if event.content_hash == content_hash:
        return Sameness.DUPLICATE
    if event.api_version != api_version and event.essence_hash == essence_hash:
        return Sameness.ALTERNATIVE
    return Sameness.CONFLICT
