"""Why things happen at GoCardless: the `details` of its events, and how a BECS debit can come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BankReturn:
    """A bank's refusal: GoCardless' `cause` and the BECS return code behind it (one code, several causes)."""

    cause: str
    reason_code: str
    description: str


BANK_RETURNS: Final = {
    entry.cause: entry
    for entry in (
        BankReturn("insufficient_funds", "6", "The customer's account had insufficient funds to make this payment."),
        BankReturn("refer_to_payer", "6", "The customer's bank wouldn't pay this Direct Debit. Refer to the customer."),
        BankReturn("invalid_bank_details", "1", "The specified bank account does not exist or was closed."),
        BankReturn("no_account", "5", "The customer's bank could not find the account."),
        BankReturn("mandate_cancelled", "2", "The customer has cancelled the mandate at their bank."),
        BankReturn("authorisation_disputed", "2", "The customer has disputed that they authorised this payment."),
        BankReturn("bank_account_closed", "3", "The customer's bank account has been closed."),
        BankReturn("account_holder_deceased", "4", "The holder of the bank account is deceased."),
        BankReturn("other", "9", "The customer's bank returned the payment for a technical reason."),
    )
}

_BY_GOCARDLESS: Final = {
    "mandates.created": ("api", "mandate_created", "Mandate created via the API."),
    "mandates.submitted": ("gocardless", "mandate_submitted", "The mandate has been submitted to the banks."),
    "mandates.active": (
        "gocardless",
        "mandate_activated",
        "The time window after submission for the banks to refuse a mandate has ended without any errors being "
        "received, so this mandate is now active.",
    ),
    "mandates.cancelled": ("api", "mandate_cancelled", "The mandate was cancelled at your request."),
    "payments.created": ("api", "payment_created", "Payment created via the API."),
    "payments.submitted": (
        "gocardless",
        "payment_submitted",
        "Payment submitted to the banks. As a result, it can no longer be cancelled.",
    ),
    "payments.confirmed": (
        "gocardless",
        "payment_confirmed",
        "Enough time has passed since the payment was submitted for the banks to return an error, so this payment is "
        "now confirmed.",
    ),
    "payments.cancelled": ("api", "payment_cancelled", "The payment was cancelled at your request."),
    "payments.paid_out": ("gocardless", "payment_paid_out", "The payment has been paid out by GoCardless."),
    "payments.late_failure_settled": (
        "gocardless",
        "late_failure_settled",
        "This late failure has been settled against a payout.",
    ),
    "payments.chargeback_settled": (
        "gocardless",
        "chargeback_settled",
        "This charged back payment has been settled against a payout.",
    ),
    "payments.chargeback_cancelled": (
        "bank",
        "chargeback_cancelled",
        "The chargeback for this payment was reversed.",
    ),
    "payments.surcharge_fee_debited": (
        "gocardless",
        "surcharge_fee_debited",
        "A surcharge fee has been charged for this payment.",
    ),
    "payments.customer_approval_denied": (
        "customer",
        "customer_approval_denied",
        "The customer denied approval for this payment.",
    ),
    "refunds.created": ("api", "refund_created", "The refund has been created."),
    "refunds.paid": ("gocardless", "refund_paid", "The refund has been paid to your customer."),
    "refunds.refund_settled": ("gocardless", "refund_settled", "The refund has been deducted from your payout."),
    "refunds.failed": ("gocardless", "refund_failed", "The refund did not reach your customer."),
    "refunds.funds_returned": (
        "gocardless",
        "refund_funds_returned",
        "The funds of a refund that failed have been returned to you.",
    ),
    "mandates.failed": ("bank", "invalid_bank_details", "The bank refused the mandate."),
    "mandates.expired": ("gocardless", "mandate_expired", "The mandate expired after a year without payments."),
    "mandates.reinstated": ("bank", "mandate_reinstated", "The mandate was reinstated by the bank."),
    "mandates.blocked": ("gocardless", "mandate_blocked", "The mandate was blocked."),
    "mandates.consumed": ("gocardless", "mandate_consumed", "The mandate could be used once and has been."),
    "mandates.transferred": ("bank", "bank_account_transferred", "The customer moved to another bank account."),
    "mandates.replaced": ("gocardless", "mandate_replaced", "The mandate was replaced by another one."),
    "mandates.resubmission_requested": ("api", "mandate_reinstated", "The mandate will be submitted again."),
    "payouts.paid": (
        "gocardless",
        "payout_paid",
        "GoCardless has transferred the payout to the creditor's bank account.",
    ),
}


def details(resource: str, action: str) -> Json:
    """Return the details of an event that no bank caused."""
    origin, cause, description = _BY_GOCARDLESS[f"{resource}.{action}"]
    return {"origin": origin, "cause": cause, "description": description}


def resubmission(*, by_request: bool) -> Json:
    """Return why a failed payment is tried again."""
    if by_request:
        return {"origin": "api", "cause": "payment_retried", "description": "Payment retried via the API."}
    return {
        "origin": "gocardless",
        "cause": "payment_autoretried",
        "description": "Payment automatically retried by GoCardless.",
    }


def returned(cause: str, scheme: str) -> Json:
    """Return the details of an event that a bank caused. Raises KeyError for a cause that nobody knows."""
    entry = BANK_RETURNS[cause]
    return {
        "origin": "bank",
        "cause": entry.cause,
        "description": entry.description,
        "scheme": scheme,
        "reason_code": entry.reason_code,
    }
