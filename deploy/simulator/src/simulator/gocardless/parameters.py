"""What each GoCardless operation takes, inside its envelope (`{"payments": {...}}`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.gocardless.objects import Metadata

Text = Annotated[str, Field(max_length=255)]


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")

    metadata: Annotated[Metadata, Field(max_length=3)] = {}


class CreateCustomer(Parameters):
    given_name: Text | None = None
    family_name: Text | None = None
    company_name: Text | None = None
    email: Text | None = None
    phone_number: Text | None = None
    address_line1: Text | None = None
    city: Text | None = None
    region: Text | None = None
    postal_code: Text | None = None
    country_code: str | None = "AU"
    language: str = "en"


class BankAccountLinks(BaseModel):
    customer: str


class CreateBankAccount(Parameters):
    account_holder_name: Text
    account_number: Annotated[str, Field(min_length=5, max_length=9)]
    branch_code: Annotated[str, Field(pattern=r"^\d{3}-?\d{3}$")]
    country_code: Literal["AU"] = "AU"
    currency: Literal["AUD"] = "AUD"
    links: BankAccountLinks


class MandateLinks(BaseModel):
    customer_bank_account: str
    creditor: str | None = None


class CreateMandate(Parameters):
    scheme: Literal["becs"] = "becs"
    reference: Text | None = None
    links: MandateLinks


class PaymentLinks(BaseModel):
    mandate: str


class CreatePayment(Parameters):
    amount: Annotated[int, Field(gt=0, le=1_000_000_000)]
    currency: Literal["AUD"]
    description: Text | None = None
    reference: Text | None = None
    charge_date: str | None = None
    retry_if_possible: bool = False
    links: PaymentLinks


class RefundLinks(BaseModel):
    payment: str


class CreateRefund(Parameters):
    amount: Annotated[int, Field(gt=0, le=1_000_000_000)]
    total_amount_confirmation: int | None = None
    reference: Text | None = None
    links: RefundLinks


class Change(Parameters):
    """PUT, cancel and retry: metadata only."""


class CreatedAt(BaseModel):
    model_config = ConfigDict(extra="forbid")

    gt: datetime | None = None
    gte: datetime | None = None
    lt: datetime | None = None
    lte: datetime | None = None

    def holds(self, created_at: datetime) -> bool:
        """Tell whether `created_at` lies in the range."""
        return (
            (self.gt is None or created_at > self.gt)
            and (self.gte is None or created_at >= self.gte)
            and (self.lt is None or created_at < self.lt)
            and (self.lte is None or created_at <= self.lte)
        )


class Page(BaseModel):
    """`filters` of the collection stand beside these."""

    model_config = ConfigDict(extra="allow")

    limit: int = Field(50, ge=1, le=500)
    after: str | None = None
    before: str | None = None
    created_at: CreatedAt = CreatedAt()
