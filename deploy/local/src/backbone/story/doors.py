"""The public doors that the story goes through: the simulator's three origins, payments and audit.

Nothing here looks behind them: no table, no topic, no file of a service.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from chassis.tokens import mint
from contracts.envelope import Actor
from contracts.events import PaymentProviderEventIngested
from contracts.registry import type_of
from contracts.roles import scopes_of

from backbone.faults import LocalError

STAFF: Final = Actor(kind="staff", id="maria.rossi", name="Maria Rossi")
INGESTED: Final = type_of(PaymentProviderEventIngested).name
_TIMEOUT_SECONDS: Final = 30.0
_PAGE_RECORDS: Final = 100


class Door:
    """One origin. Whatever it refuses becomes one sentence with the log that explains it."""

    def __init__(
        self, who: str, url: str, log: Path, auth: httpx.Auth | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.who, self.url, self.log = who, url, log
        # Local servers are asked directly, whatever proxy the shell names.
        self._client = httpx.Client(base_url=url, auth=auth, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False)

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The answer's JSON. Raises LocalError for anything but 2xx."""
        answer = self.ask(method, path, **request)
        if not answer.is_success:
            told = " ".join(answer.text.split())[:300]
            raise LocalError(f"{self.who} answered {answer.status_code} to {method} {path}: {told}", self.log)
        return answer.json()

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer, whatever its status. Raises LocalError where there is none."""
        try:
            return self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise LocalError(f"{self.who} did not answer {method} {path}: {type(error).__name__}", self.log) from error

    def close(self) -> None:
        self._client.close()


class StaffTokens(httpx.Auth):
    """A token of the billing role for one service, minted anew for each request: it lives for a minute."""

    def __init__(self, private_key: str, service: str) -> None:
        self._private_key, self._service = private_key, service

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = mint(self._private_key, audience=self._service, actor=STAFF, scopes=scopes_of("billing"))
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery as its provider made it, with the answer to its last attempt."""

    id: str
    provider: str
    event_ids: tuple[str, ...]
    event_types: tuple[str, ...]
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

    @classmethod
    def of(cls, shown: Mapping[str, Any]) -> Sent:
        attempts = shown["attempts"]
        last: Mapping[str, Any] = attempts[-1] if attempts else {"status": None, "ms": 0.0}
        return cls(
            id=shown["id"],
            provider=shown["provider"],
            event_ids=tuple(shown["event_ids"]),
            event_types=tuple(shown["event_types"]),
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
    def of(cls, shown: Mapping[str, Any]) -> Line:
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
    entity_id: str
    workflow_id: str
    correlation_id: str | None
    provider_event: str | None
    outcome: str | None

    @classmethod
    def of(cls, shown: Mapping[str, Any]) -> Record:
        body, where = shown["event"]["data"]["body"], shown["pointer"]
        ingested = shown["action"] == INGESTED
        return cls(
            seq=shown["seq"],
            action=shown["action"],
            sentence=shown["sentence"],
            recorded_at=datetime.fromisoformat(shown["recorded_at"]),
            pointer=f"{where['topic']}/{where['partition']}/{where['offset']}",
            entity_id=shown["entity"]["id"],
            workflow_id=shown["workflow"]["id"],
            correlation_id=shown["event"].get("correlationid"),
            provider_event=body["provider_event"]["id"] if ingested else None,
            outcome=body["outcome"] if ingested else None,
        )


@dataclass(slots=True)
class Doors:
    """All of them, opened for one story."""

    control: Door
    stripe: Door
    gocardless: Door
    payments: Door
    audit: Door

    def close(self) -> None:
        for door in (self.control, self.stripe, self.gocardless, self.payments, self.audit):
            door.close()

    def sent_after(self, number: int) -> list[Sent]:
        """Deliveries numbered above `number`, in the order in which they were first sent."""
        items = self.control.call("GET", "/deliveries", params={"limit": 1_000})["items"]
        numbers = [item["id"] for item in items if number_of(item["id"]) > number]
        found = [Sent.of(self.control.call("GET", f"/deliveries/{each}")) for each in numbers]
        return sorted(found, key=lambda sent: (sent.first_attempt_at or datetime.max.replace(tzinfo=UTC), sent.number))

    def newest_delivery(self) -> int:
        """The number of the newest delivery; 0 before the first."""
        items = self.control.call("GET", "/deliveries", params={"limit": 1})["items"]
        return number_of(items[0]["id"]) if items else 0

    def ledger(self, member_id: str) -> list[Line]:
        """The member's ledger; empty for a member that is not known yet."""
        answer = self.payments.ask("GET", f"/members/{member_id}/ledger")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return [Line.of(line) for line in self.payments.call("GET", f"/members/{member_id}/ledger")["lines"]]

    def paid_by(self, reference: str) -> set[str]:
        """Our ids of the payment that its provider knows by `reference`, and of what it pays."""
        items = self.payments.call("GET", "/payments", params={"reference": reference})["items"]
        return {item[name] for item in items for name in ("id", "invoice_id") if item[name]}

    def newest_record(self) -> int:
        """The seq of the newest audit record."""
        last: int = self.audit.call("GET", "/coverage")["last_seq"]
        return last

    def records_after(self, seq: int) -> Iterator[Record]:
        """Audit records after `seq`, newest first, each whole."""
        cursor = None
        while True:
            query = {"limit": _PAGE_RECORDS} | ({"cursor": cursor} if cursor else {})
            page = self.audit.call("GET", "/records", params=query)
            for item in page["items"]:
                if item["seq"] <= seq:
                    return
                yield Record.of(self.audit.call("GET", f"/records/{item['seq']}"))
            cursor = page["next"]
            if cursor is None:
                return


def number_of(delivery_id: str) -> int:
    """The number in a delivery's id: they are counted."""
    return int(delivery_id.rpartition("_")[2])
