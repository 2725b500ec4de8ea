"""What can be made to happen to a debit, by the name under which the control origin takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulator.gocardless.objects import Payment
from simulator.gocardless.organisation import Organisation

_Act = Callable[[Organisation, Payment, str | None, bool], None]


def act(
    organisation: Organisation, payment: Payment, name: str, cause: str | None, *, will_attempt_retry: bool = False
) -> None:
    """Let `name` of ACTIONS happen; `cause` is the bank's where a bank acts."""
    ACTIONS[name](organisation, payment, cause, will_attempt_retry)


def _confirm(organisation: Organisation, payment: Payment, _: str | None, __: bool) -> None:
    if payment.status == "pending_submission":
        organisation.submit(payment)
    organisation.confirm(payment)


def _late_fail(organisation: Organisation, payment: Payment, cause: str | None, _: bool) -> None:
    organisation.fail(payment, cause or "insufficient_funds")
    if payment.owed_back:
        organisation.settle(payment)


ACTIONS: Final[dict[str, _Act]] = {
    "submit": lambda organisation, payment, _, __: organisation.submit(payment),
    "confirm": _confirm,
    "pay_out": lambda organisation, payment, _, __: _pay_out(organisation, payment),
    "fail": lambda organisation, payment, cause, retry: organisation.fail(
        payment, cause or "insufficient_funds", will_attempt_retry=retry
    ),
    "late_fail": _late_fail,
    "charge_back": lambda organisation, payment, cause, _: organisation.charge_back(
        payment, cause or "authorisation_disputed"
    ),
    "cancel_chargeback": lambda organisation, payment, _, __: organisation.cancel_chargeback(payment),
    "settle": lambda organisation, payment, _, __: organisation.settle(payment),
    "autoretry": lambda organisation, payment, _, __: organisation.retry(payment, by_request=False),
    "surcharge": lambda organisation, payment, _, __: organisation.surcharge(payment),
    "deny": lambda organisation, payment, _, __: organisation.deny(payment),
}


def _pay_out(organisation: Organisation, payment: Payment) -> None:
    organisation.pay_out([payment])
