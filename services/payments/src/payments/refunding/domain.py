"""Refunds that staff ask for: what may be given back, and what became of asking the provider.

A request posts nothing: the refund that its provider makes of it does, like any other. What is asked for is never more
than is left of the payment, what others ask for at the same time counted too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from payments.collection.domain import PaymentView
from payments.collection.objects import Key

State = Literal["asked", "made", "refused", "unknown"]
KEY_REMEMBERED: Final = timedelta(hours=23)
"""For so long a provider surely remembers an idempotency key: after that nothing is sent again."""


class RefusedRefundError(Exception):
    """A refund that cannot be: the sentence says why, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Request:
    """A refund that was asked for. `refund` is the provider's id of what it made of it."""

    id: str
    payment_id: str
    payment: Key
    amount_minor: int
    currency: str
    reason: str
    asked_by: str
    asked_by_name: str
    asked_at: datetime
    state: State = "asked"
    called_at: datetime | None = None
    refund: str | None = None
    told: str | None = None
    version: int = 1

    @property
    def key(self) -> str:
        """The idempotency key of the call."""
        return f"backbone-refund-{self.id}"


def may_be_refunded(payment: PaymentView | None, wanted_minor: int, requests: Sequence[Request]) -> PaymentView:
    """Return the payment if so much of it may be given back. Raises RefusedRefundError."""
    brought = 0 if payment is None else brought_by(payment)
    if payment is None or payment.currency is None or brought == 0:
        raise RefusedRefundError(
            "this payment has brought no money that could be given back: cancel it at its provider"
        )
    for dispute in payment.disputes:
        if dispute.status == "open" or (dispute.status == "inquiry" and not dispute.refundable):
            raise RefusedRefundError(
                f"dispute {dispute.key.id} is open and the provider holds the money: answer it, or accept it there"
            )
        if dispute.lost_at is not None:
            raise RefusedRefundError(f"dispute {dispute.key.id} was lost: the member has the money already")
    left = brought - given_back(payment, requests)
    if wanted_minor > left:
        cents = f"{payment.currency} {left // 100}.{left % 100:02}"
        raise RefusedRefundError(f"{cents} of this payment can still be given back: ask for no more than that")
    return payment


def brought_by(payment: PaymentView) -> int:
    """Return what a payment brought and was not taken back."""
    came = (each for each in payment.movements if each.succeeded_at is not None and each.reversed_at is None)
    return sum(each.amount_minor for each in came)


def given_back(payment: PaymentView, requests: Sequence[Request]) -> int:
    """Return what of a payment was given back or is asked for; a refund that came back can be made again."""
    known = {each.key.id for each in payment.refunds}
    back = sum(each.amount_minor or 0 for each in payment.refunds if each.state in ("pending", "paid"))
    waiting = (each for each in requests if each.state in ("asked", "unknown", "made"))
    return back + sum(each.amount_minor for each in waiting if each.refund is None or each.refund not in known)


def may_call(request: Request, *, now: datetime) -> bool:
    """Tell whether the provider may be asked, for the first time or again under the same key."""
    if request.state != "asked":
        return False
    return request.called_at is None or now - request.called_at < KEY_REMEMBERED
