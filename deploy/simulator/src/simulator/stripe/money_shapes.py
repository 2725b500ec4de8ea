"""Balance transactions, refunds, disputes, payouts and credit notes as the API and the events show them."""

from __future__ import annotations

from typing import Final

from simulator.stripe.book import Book, is_basil
from simulator.stripe.objects import BalanceTransaction, CreditNote, Dispute, Json, Payout, Refund

_AVAILABLE_AFTER_SECONDS: Final = 2 * 86_400
_FEES: Final = {"charge": "Stripe processing fees", "dispute": "Dispute fee"}
_GST_RATE: Final = "txr_1QGstAu10PercentInclusive"


def render(book: Book, thing: BalanceTransaction | Refund | Dispute | Payout | CreditNote, api_version: str) -> Json:
    """Return `thing` as the API of `api_version` shows it."""
    match thing:
        case BalanceTransaction():
            return balance_transaction(thing)
        case Refund():
            return refund(thing)
        case Dispute():
            return dispute(book, thing)
        case Payout():
            return payout(thing)
        case CreditNote():
            return credit_note(book, thing, api_version)


def balance_transaction(thing: BalanceTransaction) -> Json:
    """Return one change of the balance: amount less fee, GST on the fee shown apart."""
    fees = []
    if thing.fee:
        what = _FEES.get(thing.reporting_category, "Stripe fees")
        fees = [
            _fee(thing, thing.fee - thing.tax_on_fee, "stripe_fee", what),
            _fee(thing, thing.tax_on_fee, "tax", "GST"),
        ]
    return {
        "id": thing.id,
        "object": "balance_transaction",
        "amount": thing.amount,
        "available_on": thing.created + _AVAILABLE_AFTER_SECONDS,
        "balance_type": "payments",
        "created": thing.created,
        "currency": thing.currency,
        "description": thing.description,
        "exchange_rate": None,
        "fee": thing.fee,
        "fee_details": fees,
        "net": thing.amount - thing.fee,
        "reporting_category": thing.reporting_category,
        "source": thing.source,
        "status": "available" if thing.payout else "pending",
        "type": thing.type,
    }


def refund(thing: Refund) -> Json:
    """Return a refund; what a failure gave back stands in its own balance transaction."""
    shape: Json = {
        "id": thing.id,
        "object": "refund",
        "amount": thing.amount,
        "balance_transaction": thing.balance_transaction,
        "charge": thing.charge,
        "created": thing.created,
        "currency": thing.currency,
        "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        "metadata": dict(thing.metadata),
        "payment_intent": thing.payment_intent,
        "reason": thing.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": thing.status,
        "transfer_reversal": None,
    }
    if thing.status == "failed":
        shape["failure_balance_transaction"] = thing.failure_balance_transaction
        shape["failure_reason"] = thing.failure_reason
    return shape


def dispute(book: Book, thing: Dispute) -> Json:
    """Return a dispute with the balance transactions that it has caused, whole, as Stripe shows them."""
    entries = [balance_transaction(book.balance_transactions[entry_id]) for entry_id in thing.balance_transactions]
    case_type = "inquiry" if thing.inquiry else "chargeback"
    return {
        "id": thing.id,
        "object": "dispute",
        "amount": thing.amount,
        "balance_transaction": thing.balance_transactions[0] if thing.balance_transactions else None,
        "balance_transactions": entries,
        "charge": thing.charge,
        "created": thing.created,
        "currency": thing.currency,
        "enhanced_eligibility_types": [],
        "evidence": dict(thing.evidence),
        "evidence_details": {
            "due_by": thing.evidence_due_by,
            "enhanced_eligibility": {},
            "has_evidence": bool(thing.evidence),
            "past_due": False,
            "submission_count": thing.submission_count,
        },
        "is_charge_refundable": thing.inquiry,
        "livemode": False,
        "metadata": dict(thing.metadata),
        "payment_intent": thing.payment_intent,
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": case_type, "network_reason_code": "10"},
            "type": "card",
        },
        "reason": thing.reason,
        "status": thing.status,
    }


def payout(thing: Payout) -> Json:
    """Return a payout; one that fails keeps the balance transaction that took the money out."""
    return {
        "id": thing.id,
        "object": "payout",
        "amount": thing.amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": thing.arrival_date,
        "automatic": thing.automatic,
        "balance_transaction": thing.balance_transaction,
        "created": thing.created,
        "currency": thing.currency,
        "description": thing.description or ("STRIPE PAYOUT" if thing.automatic else None),
        "destination": "ba_1BackboneBank",
        "failure_balance_transaction": thing.failure_balance_transaction,
        "failure_code": thing.failure_code,
        "failure_message": "The bank account has been closed." if thing.failure_code else None,
        "livemode": False,
        "metadata": dict(thing.metadata),
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": thing.reconciliation_status,
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": thing.status,
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }


def credit_note(book: Book, thing: CreditNote, api_version: str) -> Json:
    """Return a credit note. From basil on its tax stands in `total_taxes`, before in `tax_amounts`."""
    owed = thing.type == "pre_payment"
    tax: Json = {"amount": thing.tax, "taxable_amount": thing.amount - thing.tax, "taxability_reason": "standard_rated"}
    shape: Json = {
        "id": thing.id,
        "object": "credit_note",
        "amount": thing.amount,
        "amount_shipping": 0,
        "created": thing.created,
        "currency": thing.currency,
        "customer": thing.customer,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": thing.created,
        "invoice": thing.invoice,
        "lines": {"object": "list", "data": [], "has_more": False, "url": f"/v1/credit_notes/{thing.id}/lines"},
        "livemode": False,
        "memo": thing.memo,
        "metadata": dict(thing.metadata),
        "number": thing.number,
        "out_of_band_amount": None,
        "pdf": f"https://pay.stripe.com/credit_notes/acct_backbone/{thing.id}/pdf",
        "reason": thing.reason,
        "shipping_cost": None,
        "status": thing.status,
        "subtotal": thing.amount,
        "subtotal_excluding_tax": thing.amount - thing.tax,
        "total": thing.amount,
        "total_excluding_tax": thing.amount - thing.tax,
        "type": thing.type,
        "voided_at": thing.voided_at,
    }
    refund_amount = book.refunds[thing.refund].amount if thing.refund else 0
    if is_basil(api_version):
        refunds = [{"amount_refunded": refund_amount, "refund": thing.refund}] if thing.refund else []
        detail = {"tax_behavior": "inclusive", "tax_rate_details": {"tax_rate": _GST_RATE}, "type": "tax_rate_details"}
        taxes = [tax | detail] if thing.tax else []
        shape |= {"refunds": refunds, "total_taxes": taxes, "pre_payment_amount": thing.amount if owed else 0}
        return shape | {"post_payment_amount": 0 if owed else thing.amount}
    taxes = [tax | {"inclusive": True, "tax_rate": _GST_RATE}] if thing.tax else []
    return shape | {"refund": thing.refund, "tax_amounts": taxes}


def _fee(thing: BalanceTransaction, amount: int, kind: str, description: str) -> Json:
    return {
        "amount": amount,
        "application": None,
        "currency": thing.currency,
        "description": description,
        "type": kind,
    }
