"""The public doors that the story goes through: the gateway, a door for each of the staff, and the simulator's origins.

Nothing here looks behind them: no table, no topic, no service's own port, no file of a service. Callers are patient,
as good clients of an API are: what is unavailable for a moment is asked again, a change always under the same
Idempotency-Key.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from backbone.faults import LocalError, NotReadyError
from backbone.story.shown import Line, Record, Sent, number_of
from backbone.waiting import Progress, wait_for

TIMEOUT_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 90.0
_PAGE_RECORDS: Final = 100
_KEY_IN_FLIGHT: Final = "/problems/idempotency-key-in-flight"
_AWAY: Final = frozenset({502, 503, 504})


class Door:
    """One origin, for one caller. Whatever it refuses becomes one sentence with the log that explains it."""

    def __init__(
        self,
        who: str,
        url: str,
        log: Path,
        progress: Progress,
        headers: Callable[[], Mapping[str, str]] = dict,
        *,
        patient: bool = False,
    ) -> None:
        self.who, self.url, self.log = who, url, log
        self._progress, self._headers, self._patient = progress, headers, patient
        # Local servers are asked directly, whatever proxy the shell names.
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The answer's JSON. Raises LocalError for anything but 2xx."""
        answer = self.ask(method, path, **request)
        if not answer.is_success:
            told = " ".join(answer.text.split())[:400]
            raise LocalError(f"{self.who} answered {answer.status_code} to {method} {path}: {told}", self.log)
        return answer.json()

    def get(self, path: str, /, **query: Any) -> Any:
        """What is there."""
        return self.call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, version: int | None = None) -> Any:
        """Change something; `version` is the one that was read."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        return self.call("POST", path, json=dict(body or {}), headers=headers)

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer, whatever its status. Raises LocalError where there is none for too long."""
        headers = {**self._headers(), **request.pop("headers", {})}
        if self._patient and method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        found: list[httpx.Response] = []
        last = "no answer"

        def answered() -> bool:
            nonlocal last
            try:
                answer = self._client.request(method, path, headers=headers, **request)
            except httpx.HTTPError as error:
                last = type(error).__name__
                return False
            if self._patient and _come_back_later(answer):
                last = " ".join(answer.text.split())[:400]
                return False
            found.append(answer)
            return True

        try:
            if self._patient:
                limit_seconds = PATIENCE_SECONDS
                wait_for(f"{self.who} to answer", answered, limit_seconds=limit_seconds, progress=self._progress)
            elif not answered():
                raise NotReadyError(last)
        except NotReadyError:
            raise LocalError(f"{self.who} did not answer {method} {path}: {last}", self.log) from None
        return found[0]

    def pages(self, path: str, /, **query: Any) -> Iterator[dict[str, Any]]:
        """The items of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, **query, cursor=cursor)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def close(self) -> None:
        self._client.close()


def _come_back_later(answer: httpx.Response) -> bool:
    if answer.status_code in _AWAY:
        return True
    return answer.status_code == httpx.codes.CONFLICT and _KEY_IN_FLIGHT in answer.text


@dataclass(slots=True)
class Doors:
    """All of them, opened for one story. The staff's all lead to the gateway."""

    control: Door
    stripe: Door
    gocardless: Door
    billing: Door
    front_desk: Door
    coach: Door
    operations: Door
    owner: Door

    @property
    def all(self) -> tuple[Door, ...]:
        simulated = (self.control, self.stripe, self.gocardless)
        return (*simulated, self.billing, self.front_desk, self.coach, self.operations, self.owner)

    def close(self) -> None:
        for door in self.all:
            door.close()

    def sent_after(self, number: int) -> list[Sent]:
        """Deliveries numbered above `number`, in the order in which they were first sent."""
        items = self.control.get("/deliveries", limit=1_000)["items"]
        numbers = [item["id"] for item in items if number_of(item["id"]) > number]
        found = [Sent.of(self.control.get(f"/deliveries/{each}")) for each in numbers]
        return sorted(found, key=lambda sent: (sent.first_attempt_at or datetime.max.replace(tzinfo=UTC), sent.number))

    def newest_delivery(self) -> int:
        """The number of the newest delivery; 0 before the first."""
        items = self.control.get("/deliveries", limit=1)["items"]
        return number_of(items[0]["id"]) if items else 0

    def asked(self, provider: str, path: str) -> list[dict[str, Any]]:
        """The calls that the provider's API has got at a path that begins so, oldest first."""
        items: list[dict[str, Any]] = self.control.get(
            "/calls", provider=provider, method="POST", path=path, limit=1_000
        )["items"]
        return items[::-1]

    def ledger(self, member_id: str) -> list[Line]:
        """The member's ledger; empty for a member that is not known yet."""
        answer = self.billing.ask("GET", f"/v1/members/{member_id}/ledger")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return [Line.of(line) for line in self.billing.get(f"/v1/members/{member_id}/ledger")["lines"]]

    def payment(self, reference: str) -> dict[str, Any] | None:
        """The payment that its provider knows by `reference`, whole."""
        items = self.billing.get("/v1/payments", reference=reference)["items"]
        shown: dict[str, Any] | None = self.billing.get(f"/v1/payments/{items[0]['id']}") if items else None
        return shown

    def known_payment(self, reference: str) -> dict[str, Any]:
        """The same, of a payment that is there. Raises LocalError where it is not."""
        shown = self.payment(reference)
        if shown is None:
            raise LocalError(f"payments does not know {reference}", self.billing.log)
        return shown

    def payout(self, reference: str) -> dict[str, Any] | None:
        """The payout that its provider knows by `reference`, with its lines."""
        items = self.billing.get("/v1/payouts", reference=reference)["items"]
        shown: dict[str, Any] | None = self.billing.get(f"/v1/payouts/{items[0]['id']}") if items else None
        return shown

    def newest_record(self) -> int:
        """The seq of the newest audit record; 0 before the first."""
        items = self.billing.get("/v1/audit/records", limit=1)["items"]
        return items[0]["seq"] if items else 0

    def records_after(self, seq: int) -> Iterator[Record]:
        """Audit records after `seq`, newest first, each whole."""
        for item in self.billing.pages("/v1/audit/records", limit=_PAGE_RECORDS):
            if item["seq"] <= seq:
                return
            yield Record.of(self.billing.get(f"/v1/audit/records/{item['seq']}"))
