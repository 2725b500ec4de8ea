"""What the payments service tells."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from contracts.envelope import Flag, Instant, Integer, Money, Payload, Wire
from contracts.events.shared import Change, Named, Referenced
from contracts.registry import event_type
from contracts.topics import PAYMENTS_EVENTS

Provider = Literal["stripe", "gocardless"]
PaymentState = Literal[
    "created", "processing", "submitted", "succeeded", "paid_out", "failed", "charged_back", "cancelled"
]


class ProviderEventReference(Wire):
    """Which event of a provider: `id` is the provider's, `api_version` null where the provider has none."""

    id: str
    type: str
    account: str
    livemode: Flag
    api_version: str | None = None
    delivery_id: str


@event_type(
    "payment_provider_event.ingested",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="payment",
    sentence="{actor} reported {body.what}{body.amount: of {}}{body.member: for {}}{reason: because {}}"
    "{body.outcome_words: ({})}",
)
class PaymentProviderEventIngested(Payload):
    """A provider's event was interpreted. Emitted once per provider event, in the transaction that applied it.

    `what` says in words what the provider told; `outcome` what it did here. With outcome `applied` the entity is the
    payment and before and after are its snapshots; otherwise the entity is the provider event.
    """

    provider: Provider
    provider_event: ProviderEventReference
    what: str
    outcome: Literal["applied", "no_change", "parked", "not_understood"]
    outcome_words: str | None = None
    member: Named | None = None
    invoice: Referenced | None = None
    payment: Referenced | None = None
    amount: Money | None = None
    journal_ids: tuple[str, ...] = ()


@event_type(
    "provider_event.conflicted",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="provider_event",
    sentence="{actor} sent an event ({body.provider_event.id}) again with other content, which was kept, not applied",
)
class ProviderEventConflicted(Payload):
    """Another content came under a known provider event id, rightly signed: a security finding, never applied."""

    provider: Provider
    provider_event: ProviderEventReference


@event_type(
    "payment.updated",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="payment",
    sentence="{actor} {body.change} a payment{body.amount: of {}}{body.member: for {}}{reason: because {}}",
)
class PaymentUpdated(Payload):
    """A payment changed otherwise than as the payment that a provider's event is about.

    `change`: matched or unmatched (its customer has a member, or none any more), described (its provider showed it, or
    an event about another payment told of it), merged (it turned out to be part of another payment).
    """

    change: Change
    payment: Referenced
    member: Named | None = None
    amount: Money | None = None
    journal_ids: tuple[str, ...] = ()


@event_type(
    "invoice.updated",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="invoice",
    sentence="Invoice {body.reference}{body.amount_due: over {}}{body.member: for {}} was {body.change}"
    "{reason: because {}}",
)
class InvoiceUpdated(Payload):
    """An invoice was issued or its state changed. `implied` ones stand for a payment that came without an invoice.

    `change`: issued, paid, reopened, voided, matched; what staff decided about it: written off, paid outside (all
    providers), paid from credit, reinstated (a decision was a mistake); and relieved of tax (its GST was claimed back,
    twelve months after it was due). `journal_ids` are what a decision posted.
    """

    change: Change
    reference: str
    implied: Flag
    amount_due: Money
    gst: Money
    member: Named | None = None
    due: date | None = None
    journal_ids: tuple[str, ...] = ()


@event_type(
    "payout.described",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="payout",
    sentence="{actor} {body.change} payout {body.reference}{body.amount: of {}}"
    "{body.difference: which is {} more than its lines}",
)
class PayoutDescribed(Payload):
    """A payout was described by its provider, without an event of the provider's telling it.

    `change`: described, reconciled (its lines explain it), left unexplained, banked (staff found it on the bank's
    statement). `difference` is what it is more than its lines, rounded once; null while they are not known, and where
    they explain it.
    """

    change: Change
    provider: Provider
    reference: str
    amount: Money | None = None
    difference: Money | None = None
    journal_ids: tuple[str, ...] = ()


@event_type(
    "member.updated",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="member",
    sentence="{actor} {body.change} member {body.name}{reason: because {}}",
)
class MemberUpdated(Payload):
    """A member's name or provider customer references changed. `change`: added, changed."""

    change: Change
    name: str
    customers: tuple[Referenced, ...] = ()


@event_type(
    "provider_delivery.rejected",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="provider",
    sentence="{body.count} deliveries that claim to come from {body.provider} were rejected within a minute"
    "{reason: because {}}",
)
class ProviderDeliveryRejected(Payload):
    """Rejected deliveries of one provider within one minute, told when there were more than ten."""

    provider: Provider
    minute: Instant
    count: Annotated[Integer, Field(gt=0)]
    by_reason: dict[str, Integer]


HoldKind = Literal["medical", "bereavement", "dispute"]


class HoldState(Wire):
    """A hold on a member: from `starts_at` until `ends_at` (null: until somebody ends it) nothing is collected."""

    id: str
    member: Named
    kind: str
    starts_at: Instant
    ends_at: Instant | None = None


@event_type(
    "member_hold.started",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="member_hold",
    sentence="{actor} put {body.hold.member} on {body.hold.kind} hold{reason:: {}}",
)
class MemberHoldStarted(Payload):
    """A hold is in force. Emitted when it begins, not when one is entered that begins later. Keyed by the member."""

    hold: HoldState


@event_type(
    "member_hold.ended",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="member_hold",
    sentence="The {body.hold.kind} hold of {body.hold.member} {body.how}{reason:: {}}",
)
class MemberHoldEnded(Payload):
    """A hold is over. `how`: ended (somebody ended it), expired (its end came), withdrawn (before it began).

    `condition` is the name by which a blocked task waits for this: `member_hold:<id>`. Keyed by the member.
    """

    hold: HoldState
    how: Change
    condition: str


@event_type(
    "payment.recovery_requested",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="payment",
    sentence="{actor} asked for the recovery of a payment{body.amount: of {}}{body.member: by {}}{reason: because {}}",
)
class PaymentRecoveryRequested(Payload):
    """Automatic collection of a payment has ended without success: a person takes over.

    `why` is a code: hard_decline, member_must_act, held, exhausted, outcome_unknown, no_retry. The task is asked for
    on `tasks-commands` in the same transaction, under `dedupe_key`.
    """

    payment: Referenced
    why: Annotated[str, Field(pattern="^[a-z_]+$", max_length=40)]
    dedupe_key: str
    member: Named | None = None
    invoice: Referenced | None = None
    amount: Money | None = None


class ReplayCounts(Wire):
    """How many deliveries a replay has found and what became of them."""

    matched: Integer
    replayed: Integer = 0
    unchanged: Integer = 0
    refused: Integer = 0
    failed: Integer = 0


@event_type(
    "replay.updated",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="replay",
    sentence="{actor} {body.change} a {body.dry_run:dry run of a }replay of {body.counts.matched:{} event(s)}"
    "{body.purpose: (purpose: {})}{reason: because {}}",
)
class ReplayUpdated(Payload):
    """A replay of provider events changed its state: `requested`, `running`, `completed`, `cancelled`, `refused`."""

    change: Change
    state: str
    counts: ReplayCounts
    purpose: str
    provider: Provider | None = None
    incident_id: str | None = None
    dry_run: Flag = False


@event_type(
    "period.closed",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="period",
    sentence="{actor} closed the books of {body.words} and of everything before{reason: because {}}",
)
class PeriodClosed(Payload):
    """A period of the ledger was closed, for good: what is learnt of it later counts in the first open day."""

    period: str
    words: str
    ends_on: date


@event_type(
    "payment_match.updated",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="payment_match",
    sentence="{actor} {body.change} that a payment{body.amount: of {}} is from {body.member}"
    "{body.invoice: and pays invoice {}}{reason: because {}}",
)
class PaymentMatchUpdated(Payload):
    """Somebody says whose a payment is that nobody knew. It holds once somebody else has agreed.

    `change`: proposed, agreed, denied, withdrew.
    """

    change: Change
    payment: Referenced
    member: Named
    amount: Money | None = None
    invoice: str | None = None


@event_type(
    "refund_request.updated",
    version=1,
    topic=PAYMENTS_EVENTS,
    entity="refund_request",
    sentence="{actor} {body.change} a refund of {body.amount}{body.member: to {}}{reason: because {}}",
)
class RefundRequestUpdated(Payload):
    """A refund that staff asked for. What it moves stands with the refund that the provider makes of it.

    `change`: asked for, made (the provider has it), lost the answer about, could not make.
    """

    change: Change
    payment: Referenced
    amount: Money
    member: Named | None = None
    refund: str | None = None
