"""What the audit log is told of an event: words, reason, outcome, and the payment before and after."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from contracts.events.payments import PaymentProviderEventIngested
from contracts.registry import lookup
from payments.collection.domain import Member, PaymentState
from payments.collection.facts import Failure
from payments.collection.telling import Telling, invoice_changes, not_understood, reason_of
from payments.collection.wording import WHAT
from payments.providers.gocardless.events import TYPES
from payments.providers.stripe.events import READERS

from tests.payments.pure import payloads
from tests.payments.pure.given import debit, fetched, stripe
from tests.payments.pure.model import MARK, Books, Input
from tests.payments.pure.payloads import CLASSIC


def _told(*inputs: Input, members: dict[object, Member] | None = None) -> Telling:
    books = Books() if members is None else Books(members={})
    return books.apply(*inputs).told[-1][1]


def _failed() -> Input:
    return stripe("charge.failed", payloads.charge("ch_0", failed=True))


def test_a_failed_charge() -> None:
    told = _told(_failed())
    assert (told.what, told.outcome, told.reason) == ("a failed charge", "applied", "insufficient funds")
    assert (told.member, told.amount, told.before) == (MARK, (11_000, "AUD"), None)
    assert told.after
    assert (told.after["state"], told.after["reason"]) == ("failed", "insufficient funds")
    assert told.after["amount"] == {"amount_minor": 11_000, "currency": "AUD"}


def test_a_second_try_that_succeeds_shows_before_and_after() -> None:
    told = _told(_failed(), stripe("charge.succeeded", payloads.charge("ch_1")))
    assert told.before
    assert told.after
    assert (told.before["state"], told.after["state"]) == ("failed", "succeeded")
    assert [attempt["state"] for attempt in told.after["attempts"]] == ["failed", "succeeded"]
    assert told.reason is None


def test_an_event_that_says_what_is_known_changes_nothing() -> None:
    told = _told(stripe("charge.succeeded", payloads.charge()), stripe("payment_intent.succeeded", payloads.intent()))
    assert (told.outcome, told.outcome_words, told.before, told.after) == ("no_change", "already known", None, None)


def test_an_invoice_on_its_own_moves_no_payment() -> None:
    told = _told(stripe("invoice.finalized", payloads.invoice(status="open")))
    assert (told.what, told.outcome, told.outcome_words) == ("an issued invoice", "no_change", "no payment moved")
    assert (told.member, told.amount) == (MARK, (11_000, "AUD"))


def test_a_join_changes_what_the_payment_is_for() -> None:
    told = _told(
        stripe("charge.succeeded", payloads.charge()),
        stripe("invoice.paid", payloads.invoice()),
        stripe("invoice_payment.paid", payloads.invoice_payment()),
    )
    assert told.outcome == "applied"
    assert told.before
    assert told.after
    assert (told.before["invoice"], told.after["invoice"]) == (None, "in_1")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: stripe("charge.succeeded", payloads.charge()), "its customer is not known yet"),
        (lambda: stripe("invoice.paid", payloads.invoice()), "its customer is not known yet"),
        (lambda: stripe("invoice_payment.paid", payloads.invoice_payment()), "its charge is not known yet"),
        (lambda: stripe("payment_intent.succeeded", payloads.intent()), "its charge is not known yet"),
        (lambda: debit("confirmed"), "its amount is not known yet"),
    ],
)
def test_what_belongs_to_nobody_known_is_parked(given: object, words: str) -> None:
    assert callable(given)
    told = _told(given(), members={})
    assert (told.outcome, told.outcome_words, told.member) == ("parked", words, None)


def test_an_open_tie_is_said_in_words() -> None:
    at = "2026-10-05T00:00:00.000Z"
    told = _told(fetched(), debit("confirmed", at), debit("failed", at))
    assert (told.outcome, told.outcome_words) == ("applied", "the order of its events is not known yet")


def test_a_late_failure_is_called_one_and_says_why() -> None:
    books = Books().apply(fetched(), debit("confirmed", "2026-10-05T00:00:00.000Z"))
    books.apply(debit("failed", "2026-10-09T00:00:00.000Z"))
    told = books.told[-1][1]
    assert (told.what, told.reason) == ("a late failure of a direct debit", "insufficient funds")
    early = _told(fetched(), debit("failed", "2026-10-09T00:00:00.000Z"))
    assert early.what == "a failed direct debit"


def test_every_event_makes_a_sentence_that_an_owner_can_read() -> None:
    template = lookup("payment_provider_event.ingested", 1).sentence
    told = _told(_failed())
    assert told.amount
    body = {
        "what": told.what,
        "amount": {"amount_minor": told.amount[0], "currency": told.amount[1]},
        "member": {"id": MARK.id, "name": MARK.name},
        "outcome_words": told.outcome_words,
    }
    sentence = template.render({"actor": {"name": "Stripe"}, "reason": told.reason, "body": body})
    assert sentence == "Stripe reported a failed charge of A$110.00 for Mark Stevens because insufficient funds"


def test_outcomes_states_and_snapshots_fit_the_contract() -> None:
    outcomes = set(get_args(PaymentProviderEventIngested.model_fields["outcome"].annotation))
    tellings = [_told(_failed()), not_understood("x.y"), _told(debit("confirmed"))]
    assert {told.outcome for told in tellings} <= outcomes
    assert json.loads(json.dumps(tellings[0].after)) == tellings[0].after
    assert "succeeded" in get_args(PaymentState)


def test_every_understood_type_has_words_of_its_own() -> None:
    assert set(WHAT) == {*READERS, *TYPES}
    assert all(words == words.strip() and words[0].islower() for words in WHAT.values())
    assert not_understood("made.up").what == "an event of type made.up"


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (None, None),
        (Failure(), None),
        (Failure("card_declined", "insufficient_funds", "Sorry."), "insufficient funds"),
        (Failure("card_declined", None, "Sorry."), "the card was declined"),
        (Failure("insufficient_funds", "6", "Sorry."), "insufficient funds"),
        (Failure("refer_to_payer", "BECS-6", "Sorry."), "the bank refers to the payer"),
        (Failure(None, "6", "Sorry."), "Sorry."),
        (Failure("made_up_cause", None, None), "made up cause"),
    ],
)
def test_a_reason_in_words(failure: Failure | None, words: str | None) -> None:
    assert reason_of(failure) == words


def test_an_invoice_is_issued_paid_reopened_and_matched_once_each() -> None:
    def changes(*inputs: Input, members: bool = True) -> list[str]:
        books = Books() if members else Books(members={})
        books.apply(*inputs[:-1])
        before = books.view()
        books.apply(inputs[-1])
        return [each.change for each in invoice_changes(before, books.view())]

    finalized = stripe("invoice.finalized", payloads.invoice(status="open"))
    paid = stripe("invoice.paid", payloads.invoice())
    assert changes(finalized) == ["issued"]
    assert changes(finalized, paid) == ["paid"]
    assert changes(paid, finalized) == []
    assert changes(finalized, members=False) == []
    confirmed = debit("confirmed", "2026-10-05T00:00:00.000Z")
    assert changes(fetched(), confirmed, debit("failed", "2026-10-09T00:00:00.000Z")) == ["reopened"]

    stranger = Books(members={}).apply(finalized)
    before = stranger.view()
    stranger.members[next(iter(Books().members))] = MARK
    assert [each.change for each in invoice_changes(before, stranger.view())] == ["matched"]


def test_the_failure_of_an_invoice_says_why_its_payment_failed() -> None:
    told = _told(
        stripe("charge.failed", payloads.charge(failed=True, version=CLASSIC, invoice="in_1"), version=CLASSIC),
        stripe("invoice.payment_failed", payloads.invoice(status="open", version=CLASSIC), version=CLASSIC),
    )
    assert told.reason == "insufficient funds"
