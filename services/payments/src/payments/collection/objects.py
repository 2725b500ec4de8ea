"""The objects that facts name, and which of them must be folded together.

Money objects and what pays what (charge, PaymentIntent, invoice, invoice payment, GoCardless payment, and what takes
money back: refund, dispute, credit note, balance transaction) are *grouped*: whatever one fact names belongs together,
and a group is locked and folded as a whole. A customer is *referenced*: a payment reads who it is, but two payments of
one customer are two groups. A payout is a group of its own: the facts about what it carried name it by its id alone, or
every payment would end in one group with every other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from payments.deliveries.domain import OWN_ACCOUNT, Provider

CHARGE: Final = "charge"
INTENT: Final = "payment_intent"
INVOICE: Final = "invoice"
INVOICE_PAYMENT: Final = "invoice_payment"
DEBIT: Final = "payment"
REFUND: Final = "refund"
DISPUTE: Final = "dispute"
CREDIT_NOTE: Final = "credit_note"
ENTRY: Final = "balance_transaction"
PAYOUT: Final = "payout"
CUSTOMER: Final = "customer"
IMPLIED: Final = "implied_invoice"
"""An invoice of ours for a payment that came without any; its id is the payment's. No fact names it."""

GROUPED: Final = frozenset(
    {CHARGE, INTENT, INVOICE, INVOICE_PAYMENT, DEBIT, REFUND, DISPUTE, CREDIT_NOTE, ENTRY, PAYOUT}
)
REFERENCED: Final = frozenset({CUSTOMER})
PAYMENTS: Final = frozenset({CHARGE, INTENT, DEBIT})
"""Whose keys a payment may have."""
_KINDS: Final = GROUPED | REFERENCED | {IMPLIED}


class BadKeyError(ValueError):
    """A text that is not an object key."""

    def __init__(self, text: str) -> None:
        super().__init__(f"not an object key: {text[:80]!r}")
        self.text = text


class Key(NamedTuple):
    """One object at a provider. Keys sort as their parts do; that order is the order of locks.

    A tuple, because the fold looks keys up all the time: they are hashed and compared without a line of Python.

    `id` is the provider's and never parsed. GoCardless ids are unique over all accounts and its events name the
    organisation only sometimes, so the account of a GoCardless key is always our own.
    """

    provider: Provider
    account: str
    kind: str
    id: str

    @property
    def text(self) -> str:
        """The key as stored: `stripe/self/charge/ch_1`. Only the id may contain a slash."""
        return f"{self.provider}/{self.account}/{self.kind}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read a stored key. Raises BadKeyError."""
        parts = text.split("/", 3)
        match parts:
            case ["stripe" | "gocardless" as provider, account, kind, id_] if kind in _KINDS and id_:
                return cls("stripe" if provider == "stripe" else "gocardless", account, kind, id_)
            case _:
                raise BadKeyError(text)


def customer_key(provider: Provider, reference: str, account: str = OWN_ACCOUNT) -> Key:
    """The key of a customer as a member's record refers to it."""
    return Key(provider, account, CUSTOMER, reference)


def grouped(keys: Iterable[Key]) -> frozenset[Key]:
    """The keys that tie facts into one group."""
    return frozenset(key for key in keys if key.kind in GROUPED)


def partition(named: Iterable[Collection[Key]]) -> list[frozenset[Key]]:
    """Tell groups apart: each element of `named` is what one fact names; the result is sorted and disjoint."""
    owner: dict[Key, Key] = {}

    def root(key: Key) -> Key:
        while (parent := owner.setdefault(key, key)) != key:
            owner[key] = owner[parent]
            key = owner[key]
        return key

    for keys in named:
        tied = sorted(grouped(keys))
        for key in tied:
            owner[root(key)] = root(tied[0])
    groups: dict[Key, set[Key]] = {}
    for key in owner:
        groups.setdefault(root(key), set()).add(key)
    return sorted((frozenset(group) for group in groups.values()), key=min)
