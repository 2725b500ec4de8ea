"""What each Stripe operation takes. A parameter that is not listed is refused, as Stripe refuses it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from simulator.stripe.objects import Metadata


def _blank_is_none(value: Any) -> Any:
    return None if value == "" else value


Text = Annotated[str | None, BeforeValidator(_blank_is_none)]


class Parameters(BaseModel):
    """Everything takes `expand`."""

    model_config = ConfigDict(extra="forbid")

    expand: list[str] = []


class Created(BaseModel):
    """A range of creation times, in seconds since 1970."""

    model_config = ConfigDict(extra="forbid")

    gt: int | None = None
    gte: int | None = None
    lt: int | None = None
    lte: int | None = None

    def holds(self, created: int) -> bool:
        """Tell whether `created` lies in the range."""
        return (
            (self.gt is None or created > self.gt)
            and (self.gte is None or created >= self.gte)
            and (self.lt is None or created < self.lt)
            and (self.lte is None or created <= self.lte)
        )


class Page(Parameters):
    """`filters` of the collection stand beside these."""

    model_config = ConfigDict(extra="allow")

    limit: int = Field(10, ge=1, le=100)
    starting_after: str | None = None
    ending_before: str | None = None
    created: Created | int | None = None


class InvoiceSettings(BaseModel):
    default_payment_method: str | None = None


class CreateCustomer(Parameters):
    id: str | None = None
    name: Text = None
    email: Text = None
    phone: Text = None
    description: Text = None
    metadata: Metadata = {}
    payment_method: str | None = None
    invoice_settings: InvoiceSettings = InvoiceSettings()


class UpdateCustomer(Parameters):
    name: Text = None
    email: Text = None
    phone: Text = None
    description: Text = None
    metadata: Metadata | None = None
    invoice_settings: InvoiceSettings = InvoiceSettings()


class Card(BaseModel):
    number: str | None = None
    token: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None
    cvc: str | None = None


class BecsDebit(BaseModel):
    bsb_number: str
    account_number: str


class BillingDetails(BaseModel):
    name: str | None = None
    email: str | None = None


class CreatePaymentMethod(Parameters):
    type: Literal["card", "au_becs_debit"]
    card: Card | None = None
    au_becs_debit: BecsDebit | None = None
    billing_details: BillingDetails = BillingDetails()


class AttachPaymentMethod(Parameters):
    customer: str


class AutomaticPaymentMethods(BaseModel):
    enabled: bool
    allow_redirects: str = "always"


class ConfirmPaymentIntent(Parameters):
    payment_method: str | None = None
    off_session: bool = False
    return_url: str | None = None
    mandate_data: dict[str, Any] | None = None


class CreatePaymentIntent(ConfirmPaymentIntent):
    amount: int
    currency: str
    confirm: bool = False
    customer: str | None = None
    description: Text = None
    metadata: Metadata = {}
    payment_method_types: list[str] | None = None
    automatic_payment_methods: AutomaticPaymentMethods | None = None
    setup_future_usage: Literal["on_session", "off_session"] | None = None
    receipt_email: Text = None
    statement_descriptor_suffix: Text = None


class CancelPaymentIntent(Parameters):
    cancellation_reason: Literal["duplicate", "fraudulent", "requested_by_customer", "abandoned"] | None = None


class CreateInvoiceItem(Parameters):
    customer: str
    amount: int
    currency: str = "aud"
    description: Text = None
    invoice: str | None = None
    metadata: Metadata = {}


class AutomaticTax(BaseModel):
    enabled: bool


class CreateInvoice(Parameters):
    customer: str
    currency: str = "aud"
    description: Text = None
    auto_advance: bool = False
    collection_method: Literal["charge_automatically", "send_invoice"] = "charge_automatically"
    automatic_tax: AutomaticTax = AutomaticTax(enabled=False)
    default_payment_method: str | None = None
    days_until_due: int | None = None
    pending_invoice_items_behavior: Literal["include", "exclude"] = "exclude"
    metadata: Metadata = {}


class FinalizeInvoice(Parameters):
    auto_advance: bool | None = None


class PayInvoice(Parameters):
    payment_method: str | None = None
    paid_out_of_band: bool = False
    off_session: bool = True


class CreateRefund(Parameters):
    charge: str | None = None
    payment_intent: str | None = None
    amount: int | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None
    metadata: Metadata = {}


class UpdateDispute(Parameters):
    evidence: Metadata = {}
    metadata: Metadata = {}
    submit: bool = True


class CreatePayout(Parameters):
    amount: int
    currency: str
    description: Text = None
    metadata: Metadata = {}


class CreateCreditNote(Parameters):
    invoice: str
    amount: int
    reason: Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"] | None = None
    memo: Text = None
    refund_amount: int | None = None
    metadata: Metadata = {}


class Nothing(Parameters):
    """No parameters of its own."""
