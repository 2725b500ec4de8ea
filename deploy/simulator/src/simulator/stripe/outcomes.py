"""What happens when a card or an account is charged, and Stripe's own test cards that make it happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Course = Literal["succeeds", "declines", "processes_then_succeeds", "processes_then_fails"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`code` and the rest are empty where the charge goes through; `advice` is Stripe's advice code."""

    name: str
    course: Course
    code: str = ""
    decline_code: str | None = None
    message: str = ""
    advice: str | None = None
    network_code: str | None = None


@dataclass(frozen=True, slots=True)
class Instrument:
    """A card (`brand`, `country`) or a bank account (`bsb`) that always behaves in one way."""

    outcome: str
    last4: str
    brand: str = "visa"
    country: str = "AU"
    bsb: str | None = None

    @property
    def type(self) -> str:
        return "card" if self.bsb is None else "au_becs_debit"


def _declined(name: str, message: str, advice: str | None, network_code: str | None) -> Outcome:
    return Outcome(name, "declines", "card_declined", name, message, advice, network_code)


OUTCOMES: Final = {
    outcome.name: outcome
    for outcome in (
        Outcome("succeed", "succeeds"),
        _declined("generic_decline", "Your card was declined.", "try_again_later", None),
        _declined("insufficient_funds", "Your card has insufficient funds.", "try_again_later", "51"),
        _declined("do_not_honor", "Your card was declined.", "try_again_later", "05"),
        _declined("lost_card", "Your card was declined.", "do_not_try_again", "41"),
        _declined("stolen_card", "Your card was declined.", "do_not_try_again", "43"),
        _declined("fraudulent", "Your card was declined.", "do_not_try_again", "59"),
        _declined(
            "card_velocity_exceeded",
            "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
            "try_again_later",
            "65",
        ),
        Outcome("expired_card", "declines", "expired_card", None, "Your card has expired.", "do_not_try_again", "54"),
        Outcome(
            "incorrect_cvc",
            "declines",
            "incorrect_cvc",
            "incorrect_cvc",
            "Your card's security code is incorrect.",
            "confirm_card_data",
            "N7",
        ),
        Outcome(
            "processing_error",
            "declines",
            "processing_error",
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
            "try_again_later",
            None,
        ),
        Outcome(
            "authentication_required",
            "declines",
            "authentication_required",
            "authentication_required",
            "Your card was declined. This transaction requires authentication.",
            "try_again_later",
            "1A",
        ),
        Outcome("processing", "processes_then_succeeds"),
        Outcome(
            "account_closed",
            "processes_then_fails",
            "account_closed",
            None,
            "The customer's bank account has been closed.",
        ),
        Outcome(
            "no_account",
            "processes_then_fails",
            "no_account",
            None,
            "The customer's bank account could not be located.",
        ),
        Outcome(
            "refer_to_customer",
            "processes_then_fails",
            "refer_to_customer",
            None,
            "The transaction failed. Contact the customer for details.",
        ),
        Outcome(
            "debit_not_authorized",
            "processes_then_fails",
            "debit_not_authorized",
            None,
            "The customer has notified their bank that this payment was not authorised.",
        ),
    )
}

_CARDS: Final = {
    "4242424242424242": Instrument("succeed", "4242", country="US"),
    "4000000360000006": Instrument("succeed", "0006"),
    "5555555555554444": Instrument("succeed", "4444", brand="mastercard", country="US"),
    "4000000000000002": Instrument("generic_decline", "0002", country="US"),
    "4000000000009995": Instrument("insufficient_funds", "9995", country="US"),
    "4000000000009987": Instrument("lost_card", "9987", country="US"),
    "4000000000009979": Instrument("stolen_card", "9979", country="US"),
    "4000000000000069": Instrument("expired_card", "0069", country="US"),
    "4000000000000127": Instrument("incorrect_cvc", "0127", country="US"),
    "4000000000000119": Instrument("processing_error", "0119", country="US"),
    "4000000000006975": Instrument("card_velocity_exceeded", "6975", country="US"),
    "4000002760003184": Instrument("authentication_required", "3184", country="DE"),
}

_CARD_BY_TOKEN: Final = {
    "visa": "4242424242424242",
    "au": "4000000360000006",
    "mastercard": "5555555555554444",
    "chargeDeclined": "4000000000000002",
    "visa_chargeDeclined": "4000000000000002",
    "chargeCustomerFail": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "visa_chargeDeclinedLostCard": "4000000000009987",
    "visa_chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "visa_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "authenticationRequired": "4000002760003184",
}

_ACCOUNTS: Final = {
    "000123456": "processing",
    "111111113": "account_closed",
    "111111116": "no_account",
    "222222227": "refer_to_customer",
    "333333335": "debit_not_authorized",
}


def by_token(token: str) -> Instrument | None:
    """Return the card behind a test payment method (`pm_card_visa`) or test token (`tok_visa`)."""
    number = _CARD_BY_TOKEN.get(token.removeprefix("pm_card_").removeprefix("tok_"))
    return _CARDS[number] if number else None


def by_card_number(number: str) -> Instrument | None:
    """Return the test card with this number."""
    return _CARDS.get(number.replace(" ", ""))


def by_bank_account(bsb: str, account_number: str) -> Instrument | None:
    """Return the test bank account with this number, at whatever branch."""
    outcome = _ACCOUNTS.get(account_number)
    return Instrument(outcome, account_number[-4:], bsb=bsb.replace("-", "")) if outcome else None
