"""What the doors show, as the story needs it: deliveries, ledger lines and audit records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from contracts.events import PaymentProviderEventIngested
from contracts.registry import type_of

INGESTED: Final = type_of(PaymentProviderEventIngested).name
Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a provider."""

    id: str
    type: str


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery as its provider made it, with the answer to its last attempt."""

    id: str
    provider: str
    events: tuple[Happened, ...]
    body: str
    state: str
    is_copy: bool
    forged: bool
    attempts: int
    first_attempt_at: datetime | None
    status: int | None
    milliseconds: float

    @property
    def number(self) -> int:
        return number_of(self.id)

    @property
    def event_types(self) -> tuple[str, ...]:
        return tuple(event.type for event in self.events)

    @classmethod
    def of(cls, shown: Shown) -> Sent:
        attempts = shown["attempts"]
        last: Mapping[str, Any] = attempts[-1] if attempts else {"status": None, "ms": 0.0}
        return cls(
            id=shown["id"],
            provider=shown["provider"],
            events=tuple(map(Happened, shown["event_ids"], shown["event_types"])),
            body=shown["body"],
            state=shown["state"],
            is_copy=shown["copy_of"] is not None and not shown["forged"],
            forged=shown["forged"],
            attempts=len(attempts),
            first_attempt_at=datetime.fromisoformat(attempts[0]["at"]) if attempts else None,
            status=last["status"],
            milliseconds=last["ms"],
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a member's ledger, in minor units."""

    effective_at: datetime
    words: str
    amount_minor: int
    balance_minor: int
    payment_id: str | None
    invoice_id: str | None

    @classmethod
    def of(cls, shown: Shown) -> Line:
        return cls(
            effective_at=datetime.fromisoformat(shown["effective_at"]),
            words=shown["words"],
            amount_minor=shown["amount"]["amount_minor"],
            balance_minor=shown["balance"]["amount_minor"],
            payment_id=shown["payment_id"],
            invoice_id=shown["invoice_id"],
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One audit record with the pointer that a replay needs."""

    seq: int
    action: str
    sentence: str
    recorded_at: datetime
    pointer: str
    entity_type: str
    entity_id: str
    correlation_id: str | None
    provider_event: str | None
    outcome: str | None
    event: Shown

    @classmethod
    def of(cls, shown: Shown) -> Record:
        body, where = shown["event"]["data"]["body"], shown["pointer"]
        ingested = shown["action"] == INGESTED
        return cls(
            seq=shown["seq"],
            action=shown["action"],
            sentence=shown["sentence"],
            recorded_at=datetime.fromisoformat(shown["recorded_at"]),
            pointer=f"{where['topic']}/{where['partition']}/{where['offset']}",
            entity_type=shown["entity"]["type"],
            entity_id=shown["entity"]["id"],
            correlation_id=shown["event"].get("correlationid"),
            provider_event=body["provider_event"]["id"] if ingested else None,
            outcome=body["outcome"] if ingested else None,
            event=shown["event"],
        )


def number_of(delivery_id: str) -> int:
    """The number in a delivery's id: they are counted."""
    return int(delivery_id.rpartition("_")[2])
