"""The ten items of the board, as the product words them, with their rules, thresholds and age limits.

Everything that the board knows of payments, providers and tasks stands here, as data; how states follow from it is
`gateway.board.domain`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from contracts.events import (
    AuditEventRecorded,
    OperationalTaskUpdated,
    PaymentProviderEventIngested,
    ProviderHealthReviewed,
)
from contracts.registry import type_of
from contracts.tasks import KINDS, PAYMENT_RECOVERY

from contracts import evidence as e
from gateway.board.domain import Item, Kind, Rule, TaskKey
from gateway.board.looking import (
    Look,
    all_are,
    at_most,
    none_is,
    none_named,
    nothing_gates,
    passed_for,
    share_at_most,
    yes,
)

PROVIDERS: Final = ("stripe", "gocardless")
MEMBERS_API: Final = "members-api"
HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
_CHECKED: Final = timedelta(minutes=5)
_LAG: Final = timedelta(seconds=30)
PLATFORM_ACTIONS: Final = (
    "Create incident",
    "Pause unsafe automation",
    "Replay safe events",
    "Assign prevention task",
)
TASK_ACTIONS: Final = ("Assign owner", "Set due date", "Block or unblock", "Complete with outcome")
_PLATFORM_TABLES: Final = "provider_health_checks, provider_incidents, operational_tasks"


def _rule(
    kind: Kind,
    service: str,
    measure: e.Measure,
    threshold: str,
    look: Look,
    next_step: str,
    *,
    limit: timedelta = _MINUTE,
    words: str | None = None,
    absent: str | None = None,
    also: tuple[str, ...] = (),
    id: str | None = None,  # noqa: A002 - the field's name
) -> Rule:
    return Rule(
        id or measure.name,
        kind,
        words or measure.meaning,
        threshold,
        (service, *also),
        look,
        next_step,
        limit,
        absent,
    )


def _most(
    kind: Kind, service: str, measure: e.Measure, most: float, next_step: str, limit: timedelta = _MINUTE
) -> Rule:
    threshold = f"{most:g} {measure.unit}" if most == 0 else f"at most {most:g} {measure.unit}"
    return _rule(kind, service, measure, threshold, at_most(service, measure.name, most), next_step, limit=limit)


def _yes(kind: Kind, service: str, measure: e.Measure, next_step: str, limit: timedelta = _MINUTE) -> Rule:
    return _rule(kind, service, measure, "yes", yes(service, measure.name), next_step, limit=limit)


def _passed(suite: str, service: str, words: str) -> Rule:
    tests, version = ("gateway", e.TESTS_PASSED.name), (service, e.PROCESS_VERSION.name)
    look = passed_for(suite, tests, version)
    return _rule(
        "watching",
        "gateway",
        e.TESTS_PASSED,
        "passed for the version that runs",
        look,
        "Run `make test` for this version and leave its results with the build",
        words=words,
        absent=f"no signed results of the {suite} tests came with this build",
        also=() if service == "gateway" else (service,),
        id=f"{suite}_tests_passed",
    )


def _gates(item: str) -> Rule:
    look = nothing_gates("tasks", e.GATING_TASKS.name, item)
    return _rule(
        "watching",
        "tasks",
        e.GATING_TASKS,
        "no open task",
        look,
        "Complete the task that holds it back",
        words="No open task holds this item back",
    )


LEDGER: Final = Item(
    id="payment-provider-event-ledger",
    title="Payment provider event ledger",
    lane="money",
    owner="Billing",
    source="Stripe AU / GoCardless AU / payment.failed webhooks",
    persistence="payments, ledger_entries, webhook_deliveries, provider_incidents",
    text="Wire provider events into payment state, retry policy, and visible member ledger",
    action_model=(
        "Store event",
        "Map to payment, invoice and member",
        "Queue retry or recovery task",
        "Write audit event",
    ),
    audit_event=type_of(PaymentProviderEventIngested).name,
    rules=(
        _most("blocking", "payments", e.UNBALANCED_JOURNALS, 0, "Run `python -m payments verify`", HOUR),
        _yes("blocking", "payments", e.LEDGER_VERIFIED, "Run `python -m payments verify` and read what it finds", HOUR),
        _most("watching", "payments", e.DEAD_LETTERS_OPEN, 0, "Look at payments' dead letters and bring them back"),
        _most("watching", "payments", e.PARKED_OVER_AN_HOUR, 0, "Look at what the provider does not answer"),
        _most("watching", "payments", e.OLDEST_UNPROCESSED, 60, "Look at the payments worker"),
        _gates("payment-provider-event-ledger"),
    ),
    inspects=("payments",),
)

AUDIT_TRAIL: Final = Item(
    id="sensitive-action-audit-trail",
    title="Sensitive action audit trail",
    lane="audit",
    owner="Security",
    source="Billing, access, AI, migration, provider actions",
    persistence="audit_log plus source-specific metadata",
    text="Make every workflow mutation emit one owner-readable audit record",
    action_model=(
        "Capture before and after",
        "Name actor, entity and source workflow",
        "Keep the review outcome",
        "Point back to the replayable record",
    ),
    audit_event=type_of(AuditEventRecorded).name,
    rules=(
        _most("blocking", "audit", e.COVERAGE_GAPS, 0, "Read the gaps at /v1/audit/coverage"),
        _yes("blocking", "audit", e.AUDIT_VERIFIED, "Run `python -m audit verify` and read what it finds", HOUR),
        _rule(
            "watching",
            "audit",
            e.CONSUMER_LAG,
            "at most 30 seconds",
            at_most("audit", e.CONSUMER_LAG.name, 30),
            "Look at the audit service's consumer",
            limit=_LAG,
            words="How late the log is",
        ),
        _most("watching", "audit", e.SENSITIVE_UNREVIEWED, 0, "Review the sensitive records that wait"),
        _gates("sensitive-action-audit-trail"),
    ),
    inspects=("audit",),
)

MEMBERS: Final = Item(
    id=MEMBERS_API,
    title="Members API",
    lane="platform",
    owner="Platform",
    source="api",
    persistence=_PLATFORM_TABLES,
    text="Finish auth scope, examples, audit event, and rate-limit definition",
    action_model=PLATFORM_ACTIONS,
    audit_event=type_of(ProviderHealthReviewed).name,
    rules=(
        _rule(
            "blocking",
            "gateway",
            e.OPERATIONS_INCOMPLETE,
            "0 operations",
            none_named("gateway", e.OPERATIONS_INCOMPLETE.name),
            "Say scope, example, audit event and limit of each of them",
        ),
        _rule(
            "blocking",
            "provider-health",
            e.PROVIDER_STATE,
            "up",
            all_are("provider-health", e.PROVIDER_STATE.name, "up", of=[MEMBERS_API]),
            "Look at the gateway's own health check",
            limit=_CHECKED,
            words="Its own health check is up",
            absent="nobody has checked this door yet",
        ),
        _rule(
            "watching",
            "gateway",
            e.SERVER_ERRORS,
            "at most 1 % in 15 minutes",
            share_at_most("gateway", e.SERVER_ERRORS.name, e.ANSWERS.name, 1.0),
            "Look at the routes that fail",
            words="Answers with a fault of ours",
        ),
        _passed("contract", "gateway", "The contract tests have passed for this version"),
        _gates(MEMBERS_API),
    ),
    inspects=("gateway", "payments"),
)

WEBHOOKS: Final = Item(
    id="payment-webhooks",
    title="Payment webhooks",
    lane="platform",
    owner="Operations",
    source="payments",
    persistence=_PLATFORM_TABLES,
    text="Inspect provider logs, queues, deployment context, and recent user-facing failures",
    action_model=PLATFORM_ACTIONS,
    audit_event=type_of(ProviderHealthReviewed).name,
    rules=(
        _rule(
            "blocking",
            "provider-health",
            e.PROVIDER_STATE,
            "none down",
            none_is("provider-health", e.PROVIDER_STATE.name, "down", of=PROVIDERS),
            "Read the incident and what it paused",
            limit=_CHECKED,
            words="No provider is down",
            absent="not every provider has been checked yet",
        ),
        _yes("blocking", "payments", e.SIGNATURE_CHECKS, "Give payments the provider's signing secret"),
        _most("watching", "payments", e.REJECTED_DELIVERIES, 19, "Look at the deliveries that were refused"),
        _most("watching", "provider-health", e.SEVERE_INCIDENTS, 0, "Work on the open incident"),
        _most("watching", "payments", e.OLDEST_UNPROCESSED, 60, "Look at the payments worker"),
        _most("watching", "payments", e.OUTBOX_OLDEST_AGE, 60, "Look at the payments relay and at Kafka"),
        _passed("replay", "payments", "The replay tests have passed for this version"),
        _gates("payment-webhooks"),
    ),
    inspects=("payments", "provider-health"),
)

RAILS: Final = Item(
    id="payment-rails",
    title="Payment rails",
    lane="platform",
    owner="Billing",
    source="payments",
    persistence=_PLATFORM_TABLES,
    text="Decide real retry/recovery ownership across providers",
    action_model=PLATFORM_ACTIONS,
    audit_event=type_of(ProviderHealthReviewed).name,
    rules=(
        _most("blocking", "payments", e.FAILURES_WITHOUT_ONE_OWNER, 0, "Give each failed payment one owner"),
        _yes("blocking", "payments", e.PAUSES_READABLE, "Look at provider-health: its heartbeat is silent"),
        _most("watching", "payments", e.HELD_RETRIES, 0, "See which pause or hold keeps them"),
        _most("watching", "tasks", e.RECOVERY_TASKS_OVERDUE, 0, "Work on the overdue recovery tasks"),
        _gates("payment-rails"),
    ),
    inspects=("payments", "provider-health", "tasks"),
)

AI_DECISIONS: Final = Item(
    id="ai-decision-logged",
    title="ai.decision.logged",
    lane="platform",
    owner="AI review",
    source="webhook",
    persistence=_PLATFORM_TABLES,
    text="Pause automation, inspect failed payloads, and define retry/dead-letter behavior",
    action_model=PLATFORM_ACTIONS,
    audit_event=type_of(ProviderHealthReviewed).name,
    rules=(
        _rule(
            "blocking",
            "provider-health",
            e.AI_DECISIONS,
            "a source that is fresh",
            at_most("provider-health", e.AI_DECISIONS.name, float("inf")),
            "Connect a source of AI decisions",
            limit=HOUR,
            words="A source reports decisions, and lately",
            absent="no source reports AI decisions yet",
        ),
        _rule(
            "watching",
            "provider-health",
            e.AI_PAYLOADS_FAILED,
            "0 payloads",
            at_most("provider-health", e.AI_PAYLOADS_FAILED.name, 0),
            "Inspect the payloads that failed",
            absent="there is no source whose payloads could fail",
        ),
        _gates("ai-decision-logged"),
    ),
    inspects=("provider-health",),
)


def _task(id: str, title: str, owner: str, source: str, text: str, key: TaskKey) -> Item:  # noqa: A002
    return Item(
        id=id,
        title=title,
        lane="tasks",
        owner=owner,
        source=source,
        persistence="operational_tasks",
        text=text,
        action_model=TASK_ACTIONS,
        audit_event=type_of(OperationalTaskUpdated).name,
        task=key,
    )


TASK_ITEMS: Final = (
    _task(
        "confirm-isla-morgan-trial-arrival",
        "Confirm Isla Morgan trial arrival",
        "Front desk",
        "Leads",
        "Confirm waiver, arrival time, and whether Emma is staying to watch the class",
        TaskKey(dedupe_key="board:trial-arrival:isla-morgan"),
    ),
    _task(
        "call-mark-stevens-about-failed-payment",
        "Call Mark Stevens about failed payment",
        "Maria Rossi",
        "Billing",
        "Failed monthly payment is now in active recovery and the member is on medical hold",
        TaskKey(kind=PAYMENT_RECOVERY, title=KINDS[PAYMENT_RECOVERY].title_for({"member": "Mark Stevens"})),
    ),
    _task(
        "clarify-pickup-authority-for-alessandro",
        "Clarify pickup authority for Alessandro",
        "Front desk",
        "Households",
        "Need confirmation before adding a second pickup adult to the family relationship",
        TaskKey(dedupe_key="board:pickup-authority:alessandro"),
    ),
    _task(
        "build-comp-board-for-winter-invitational",
        "Build comp board for winter invitational",
        "Coach Sarah",
        "Events",
        "Shortlist who should be invited and who needs extra rounds before committing",
        TaskKey(dedupe_key="board:comp-board:winter-invitational"),
    ),
)

ITEMS: Final = (LEDGER, AUDIT_TRAIL, MEMBERS, WEBHOOKS, RAILS, AI_DECISIONS, *TASK_ITEMS)
BY_ID: Final = {item.id: item for item in ITEMS}
if len(BY_ID) != len(ITEMS):
    raise TypeError("two items of the board have one id")
