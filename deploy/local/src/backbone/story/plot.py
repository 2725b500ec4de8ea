"""What happens to Mark Stevens: each chapter turns something at the providers and says what must arrive for it.

The second run is his next month: he keeps his customers and his mandate, the ledger goes on from where it stood.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from chassis import clock

from backbone.faults import LocalError
from backbone.story.doors import Doors, Sent
from backbone.waiting import Progress, wait_for

Customers = Sequence[str]
MEMBER_ID: Final = "mark-stevens"
MEMBER_NAME: Final = "Mark Stevens"
AMOUNT_MINOR: Final = 11_000
_RETRY_AFTER: Final = timedelta(days=3)
_FAILS_AFTER: Final = timedelta(days=2)
_DAY: Final = timedelta(days=1)
# A step takes two working days at most, and a weekend may lie between.
_STEP_LONGEST_DAYS: Final = 5
_CLOCK_LIMIT_SECONDS: Final = 10.0
_FLUSH_LIMIT_SECONDS: Final = 30.0
_FLUSH_TURN_SECONDS: Final = 0.5
_REFUSALS_MAX: Final = 3

FIRST_TRY: Final = (
    "invoice.created",
    "payment_intent.created",
    "invoice.finalized",
    "charge.failed",
    "payment_intent.payment_failed",
    "invoice.payment_failed",
)
SECOND_TRY: Final = (
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice_payment.paid",
)


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter: what is told before it, what is done, and the types of Mark's events in the order of arrival."""

    title: str
    arrives: tuple[str, ...]
    act: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a provider."""

    id: str
    type: str


@dataclass(slots=True)
class Cast:
    """Who and what the story is about, as the providers name it. Filled in as it goes."""

    stripe_customer: str = ""
    gocardless_customer: str = ""
    mandate: str = ""
    invoice: str = ""
    intent: str = ""
    debit: str = ""


class Plot:
    """Mark's month."""

    def __init__(self, doors: Doors, clock_file: Path, progress: Progress) -> None:
        self.doors, self.cast = doors, Cast()
        self._clock_file, self._progress = clock_file, progress

    def chapters(self) -> Iterator[Chapter]:
        """The chapters in their order; each is acted before the next is asked for."""
        for provider in ("stripe", "gocardless"):
            # An interrupted story may have left something set.
            self.doors.control.call("PUT", f"/faults/{provider}", json={})
        known = self._known_customers()
        self.cast.stripe_customer = self._found_at_stripe(known["stripe"])
        self.cast.gocardless_customer, self.cast.mandate = self._found_at_gocardless(known["gocardless"])
        yield Chapter(
            "Mark Stevens is a member, and a customer of Stripe and of GoCardless",
            () if self.cast.stripe_customer else ("customer.created",),
            lambda: self._introduce(known),
        )
        yield Chapter("Stripe bills A$110.00 for the month; the card has insufficient funds", FIRST_TRY, self._bill)
        # Each delivery on its way overtakes the one before it.
        yield Chapter(
            "Three days later Stripe tries again and succeeds; its events arrive in reversed order",
            tuple(reversed(SECOND_TRY)),
            self._collect,
        )
        if not self.cast.mandate:
            yield Chapter(
                "Mark signs a direct debit mandate at GoCardless",
                ("mandates.created", "mandates.submitted", "mandates.active"),
                self._sign,
            )
        yield Chapter("GoCardless is asked for a debit of A$110.00", ("payments.created",), self._debit)
        yield Chapter("The debit goes to Mark's bank", ("payments.submitted",), lambda: self._until("submitted"))
        yield Chapter(
            "The bank's time to refuse is over: confirmed, and delivered twice",
            ("payments.confirmed", "payments.confirmed"),
            self._confirm,
        )
        yield Chapter("GoCardless pays the money out", ("payments.paid_out",), lambda: self._until("paid_out"))
        yield Chapter(
            "Two days after the payout the bank takes the debit back: it failed late",
            ("payments.failed", "payments.late_failure_settled"),
            self._fail_late,
        )

    def concerning_mark(self, sent: Sent) -> tuple[Happened, ...]:
        """The events of a delivery that are this month of Mark's: others may play with the same simulator."""
        events = tuple(map(Happened, sent.event_ids, sent.event_types))
        if sent.provider == "stripe":
            names = {self.cast.stripe_customer, self.cast.invoice, self.cast.intent} - {""}
            return events if any(name in sent.body for name in names) else ()
        names = {self.cast.mandate, self.cast.debit} - {""}
        linked = {event["id"]: set(event["links"].values()) for event in json.loads(sent.body)["events"]}
        return tuple(event for event in events if names & linked[event.id])

    def business_time(self) -> datetime:
        """The time that the providers go by."""
        return datetime.fromisoformat(self.doors.control.call("GET", "/health")["business_time"])

    def forge(self, delivery_id: str) -> None:
        """Send a falsified copy of a delivery: one digit of its body is another."""
        self.doors.control.call(
            "POST", "/forgeries", json={"provider": "stripe", "how": "altered_byte", "delivery": delivery_id}
        )
        self.flush()

    def flush(self) -> None:
        """Wait until the providers have delivered everything; one that is refused again and again is not waited for."""

        def delivered() -> bool:
            asked = self.doors.control.ask("POST", "/flush", json={"timeout_seconds": _FLUSH_TURN_SECONDS})
            for waiting in () if asked.is_success else asked.json()["items"]:
                self._give_up_on(waiting["event_types"], [attempt["status"] for attempt in waiting["attempts"]])
            return asked.is_success

        wait_for(
            "the providers to have everything delivered",
            delivered,
            limit_seconds=_FLUSH_LIMIT_SECONDS,
            progress=self._progress,
            log=self.doors.payments.log,
        )

    def _give_up_on(self, event_types: list[str], answers: list[int | None]) -> None:
        if len(answers) >= _REFUSALS_MAX:
            told = ", ".join(str(answer or "nothing") for answer in answers)
            raise LocalError(
                f"{', '.join(event_types)} should have been accepted; payments answered {told}", self.doors.payments.log
            )

    def _known_customers(self) -> Mapping[str, Customers]:
        """Mark's customers at each provider, as payments has them."""
        known: dict[str, list[str]] = {"stripe": [], "gocardless": []}
        answer = self.doors.payments.ask("GET", f"/members/{MEMBER_ID}/ledger")
        for customer in answer.json()["member"]["customers"] if answer.is_success else []:
            known[customer["provider"]].append(customer["reference"])
        return known

    def _found_at_stripe(self, known: Customers) -> str:
        asked = (each for each in known if self.doors.stripe.ask("GET", f"/v1/customers/{each}").is_success)
        return next(asked, "")

    def _found_at_gocardless(self, known: Customers) -> tuple[str, str]:
        """Mark's customer with a mandate in force, and that mandate."""
        mandates = self.doors.gocardless.call("GET", "/mandates", params={"limit": 500})["mandates"]
        for mandate in mandates:
            if mandate["links"]["customer"] in known and mandate["status"] == "active":
                return mandate["links"]["customer"], mandate["id"]
        return "", ""

    def _introduce(self, known: Mapping[str, Customers]) -> None:
        """Make Mark a customer where he is none, and tell payments by which references the providers know him."""
        email = "mark.stevens@example.com"
        if not self.cast.stripe_customer:
            form = {"name": MEMBER_NAME, "email": email, "invoice_settings[default_payment_method]": "pm_card_visa"}
            self.cast.stripe_customer = self.doors.stripe.call("POST", "/v1/customers", data=form)["id"]
        if not self.cast.gocardless_customer:
            made = self._create("customers", given_name="Mark", family_name="Stevens", email=email)
            self.cast.gocardless_customer = made["id"]
        references = {
            *((provider, reference) for provider, several in known.items() for reference in several),
            ("stripe", self.cast.stripe_customer),
            ("gocardless", self.cast.gocardless_customer),
        }
        customers = [{"provider": provider, "reference": reference} for provider, reference in sorted(references)]
        given = {"name": MEMBER_NAME, "customers": customers}
        self.doors.payments.call("PUT", f"/members/{MEMBER_ID}", json=given)

    def _create(self, what: str, **fields: Any) -> dict[str, Any]:
        """Make one thing at GoCardless, whose API names it in the request and in the answer."""
        made: dict[str, Any] = self.doors.gocardless.call("POST", f"/{what}", json={what: fields})[what]
        return made

    def _bill(self) -> None:
        control, customer = self.doors.control, self.cast.stripe_customer
        control.call(
            "PUT", f"/stripe/customers/{customer}/outcomes", json={"outcomes": ["insufficient_funds", "succeed"]}
        )
        invoice = control.call("POST", "/stripe/periods", json={"customer": customer, "amount_minor": AMOUNT_MINOR})
        self.cast.invoice = invoice["id"]
        intents = self.doors.stripe.call("GET", "/v1/payment_intents", params={"customer": customer, "limit": 1})
        self.cast.intent = intents["data"][0]["id"]

    def _collect(self) -> None:
        self._advance(_RETRY_AFTER)
        fault = {"fault": "reorder", "window": len(SECOND_TRY), "mode": "reverse"}
        self.doors.control.call("POST", "/faults/stripe/next", json=fault)
        self.doors.control.call("POST", f"/stripe/invoices/{self.cast.invoice}/collect")

    def _sign(self) -> None:
        account = self._create(
            "customer_bank_accounts",
            account_holder_name=MEMBER_NAME,
            account_number="123456789",
            branch_code="082-082",
            country_code="AU",
            links={"customer": self.cast.gocardless_customer},
        )
        mandate = self._create("mandates", scheme="becs", links={"customer_bank_account": account["id"]})
        self.doors.control.call("POST", f"/mandates/{mandate['id']}/actions", json={"action": "activate"})
        self.cast.mandate = mandate["id"]

    def _debit(self) -> None:
        debit = self._create(
            "payments",
            amount=AMOUNT_MINOR,
            currency="AUD",
            description="Monthly membership",
            links={"mandate": self.cast.mandate},
        )
        self.cast.debit = debit["id"]

    def _confirm(self) -> None:
        self.doors.control.call("POST", "/faults/gocardless/next", json={"fault": "duplicate", "times": 1})
        self._until("confirmed")

    def _fail_late(self) -> None:
        self._advance(_FAILS_AFTER)
        self.doors.control.call("POST", f"/payments/{self.cast.debit}/actions", json={"action": "late_fail"})

    def _until(self, status: str) -> None:
        """Let days pass until GoCardless says that the debit has come this far."""
        for _ in range(_STEP_LONGEST_DAYS):
            self._advance(_DAY)
            if self._debit_status() == status:
                return
        sentence = (
            f"the debit {self.cast.debit} is {self._debit_status()} after {_STEP_LONGEST_DAYS} days, not {status}"
        )
        raise LocalError(sentence, self.doors.control.log)

    def _debit_status(self) -> str:
        shown = self.doors.gocardless.call("GET", f"/payments/{self.cast.debit}")
        return str(shown["payments"]["status"])

    def _advance(self, by: timedelta) -> None:
        """Move business time on for everybody, as `backbone clock advance` does, and let what is due happen."""
        reached = self.business_time() + by
        clock.write_offset(self._clock_file, clock.read_offset(self._clock_file) + by)
        wait_for(
            "the providers to see the later day",
            lambda: self.business_time() >= reached,
            limit_seconds=_CLOCK_LIMIT_SECONDS,
            progress=self._progress,
            log=self.doors.control.log,
        )
        self.doors.control.call("POST", "/advance")
