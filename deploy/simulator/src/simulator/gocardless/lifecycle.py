"""What happens to mandates and debits by themselves as business days pass."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import datetime

from simulator.gocardless.causes import BANK_RETURNS
from simulator.gocardless.objects import Mandate, Payment
from simulator.gocardless.organisation import Organisation

CONFIRM = "confirm"


def outcomes() -> list[str]:
    """Return what a script for a customer's debits may hold."""
    return [CONFIRM, *BANK_RETURNS]


def advance(organisation: Organisation) -> None:
    """Take every step that is due by now, in the order in which it fell due and dated so."""
    now = organisation.now
    until = now()
    try:
        while (due := min(_due(organisation, until), default=None)) is not None:
            organisation.now = functools.partial(_at, due)
            _step(organisation, due)
    finally:
        organisation.now = now


def _at(instant: datetime) -> datetime:
    return instant


def _due(organisation: Organisation, until: datetime) -> Iterator[datetime]:
    things: list[Mandate | Payment] = [*organisation.book.mandates.values(), *organisation.book.payments.values()]
    for thing in things:
        if thing.next_step_at is not None and thing.next_step_at <= until:
            yield thing.next_step_at


def _step(organisation: Organisation, due: datetime) -> None:
    to_pay_out: list[Payment] = []
    for mandate in organisation.book.mandates.values():
        if mandate.next_step_at is not None and mandate.next_step_at <= due:
            organisation.advance_mandate(mandate)
    for payment in organisation.book.payments.values():
        if payment.next_step_at is None or payment.next_step_at > due:
            continue
        match payment.status:
            case "pending_submission":
                organisation.submit(payment)
            case "submitted":
                _answer(organisation, payment)
            case "confirmed":
                to_pay_out.append(payment)
            case _:
                organisation.retry(payment, by_request=False)
    if to_pay_out:
        organisation.pay_out(to_pay_out)


def _answer(organisation: Organisation, payment: Payment) -> None:
    script = organisation.customer(organisation.book.mandates[payment.mandate].customer).outcomes
    outcome = script.pop(0) if script else CONFIRM
    if outcome == CONFIRM:
        organisation.confirm(payment)
    else:
        organisation.fail(payment, outcome, will_attempt_retry=payment.retry_if_possible)
