"""Wiring of the payments service."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from chassis import cli
from chassis.batch import Limits
from chassis.consumer import Consumer
from chassis.database import Wake
from chassis.evidence import Measuring, Process
from chassis.kafka import KafkaSettings
from chassis.service import Part, Runtime, Service
from chassis.verifications import Verifications
from chassis.worker import Worker

from payments import measures, tables
from payments.booking import policy_of
from payments.books import http as books_http
from payments.books.export_command import export
from payments.collection import http as collection_http
from payments.collection.fetching import Fetcher
from payments.collection.use_cases import Rules
from payments.deliveries import http as deliveries_http
from payments.deliveries.ingress import DeliveryIngress
from payments.deliveries.jobs import RejectionPruner, RejectionReports
from payments.explaining.jobs import PayoutWatch
from payments.holds import http as holds_http
from payments.holds.jobs import HoldTimer
from payments.ledger.jobs import Sealer
from payments.ledger.verification import Verifier
from payments.matching import http as matching_http
from payments.members import http as members_http
from payments.parking import http as parking_http
from payments.parking.jobs import ParkedWatch
from payments.pauses.acknowledging import Acknowledgements
from payments.pauses.view import Pauses
from payments.providers.clients import ProviderClients
from payments.providers.collecting import ProviderCollector
from payments.providers.refunding import ProviderRefunds
from payments.rebuild_command import rebuild
from payments.recovery import handlers as recovery_handlers
from payments.recovery.jobs import Releases, Retries
from payments.recovery.use_cases import Means
from payments.refunding import http as refunding_http
from payments.refunding.jobs import RefundCalls
from payments.reliefs.jobs import DebtReliefs
from payments.replays import http as replays_http
from payments.replays import use_cases as replaying
from payments.replays.jobs import Replays
from payments.schema import SCHEMA
from payments.settings import PaymentsSettings, accounts_of
from payments.settlement import http as settlement_http
from payments.staff import http as staff_http
from payments.verify_command import verify
from payments.worker import NAME, InputWork

_POLL_SECONDS = 0.25
_WAKES: WeakKeyDictionary[Runtime[PaymentsSettings], Wake] = WeakKeyDictionary()
"""Of processes without an ingress."""
_PAUSES: WeakKeyDictionary[Runtime[PaymentsSettings], Pauses] = WeakKeyDictionary()
"""What each process knows of the pauses, with its gate."""


def rules_of(settings: PaymentsSettings) -> Rules:
    """How money is booked, by the settings."""
    return Rules(policy_of(settings))


def input_work(settings: PaymentsSettings) -> InputWork:
    """The work of applying inputs, by the rules of the settings."""
    return InputWork(rules_of(settings), livemode=settings.livemode, accounts=accounts_of(settings))


def _worker(runtime: Runtime[PaymentsSettings]) -> Part:
    return Worker(
        runtime.database,
        input_work(runtime.settings),
        limits=Limits(max_items=runtime.settings.worker_batch_max_events),
        wake=queued(runtime),
        poll_seconds=_POLL_SECONDS,
    )


def _fetcher(runtime: Runtime[PaymentsSettings]) -> Part:
    clients = ProviderClients.of(runtime.settings)
    return Fetcher(runtime.database, clients, poll_seconds=_POLL_SECONDS, fetched=queued(runtime))


def _verifications(runtime: Runtime[PaymentsSettings]) -> Part:
    return Verifications(runtime.database, Verifier(), every_seconds=runtime.settings.verify_every_seconds)


def pauses_of(runtime: Runtime[PaymentsSettings]) -> Pauses:
    """What this process knows of the pauses: one for all parts that ask."""
    known = _PAUSES.get(runtime)
    if known is None:
        settings = runtime.settings
        kafka = KafkaSettings.of(runtime.service.name, settings)
        limit = settings.pause_heartbeat_max_age_seconds
        known = _PAUSES[runtime] = Pauses(kafka, runtime.clock, heartbeat_limit_seconds=limit)
    return known


def _acknowledgements(runtime: Runtime[PaymentsSettings]) -> Part:
    instance = Process.of(runtime.service.package, runtime.settings).instance
    return Acknowledgements(runtime.database, pauses_of(runtime), instance=instance)


def _retries(runtime: Runtime[PaymentsSettings]) -> Part:
    collector = ProviderCollector(ProviderClients.of(runtime.settings))
    means = Means(pauses_of(runtime), collector, ZoneInfo(runtime.settings.business_timezone))
    return Retries(runtime.database, means)


def _releases(runtime: Runtime[PaymentsSettings]) -> Part:
    step = runtime.settings.retry_release_max_per_second
    return Releases(runtime.database, pauses_of(runtime), step_retries=step)


def _refunds(runtime: Runtime[PaymentsSettings]) -> Part:
    refunds = ProviderRefunds(ProviderClients.of(runtime.settings))
    return RefundCalls(runtime.database, refunds, policy_of(runtime.settings))


def _parked(runtime: Runtime[PaymentsSettings]) -> Part:
    settings = runtime.settings
    return ParkedWatch(
        runtime.database,
        ZoneInfo(settings.business_timezone),
        wait_seconds=settings.parked_task_after_seconds,
        poll_seconds=settings.parked_poll_seconds,
    )


def _reliefs(runtime: Runtime[PaymentsSettings]) -> Part:
    settings = runtime.settings
    return DebtReliefs(runtime.database, policy_of(settings), poll_seconds=settings.debt_relief_poll_seconds)


def _payouts(runtime: Runtime[PaymentsSettings]) -> Part:
    settings = runtime.settings
    wait, poll = settings.parked_task_after_seconds, settings.payout_check_poll_seconds
    return PayoutWatch(runtime.database, wait_seconds=wait, poll_seconds=poll)


def _replays(runtime: Runtime[PaymentsSettings]) -> Part:
    settings = runtime.settings
    means = replaying.Means(
        rules=rules_of(settings),
        retriers={NAME: input_work(settings).retry},
        pauses=pauses_of(runtime),
        livemode=settings.livemode,
        accounts=accounts_of(settings),
    )
    return Replays(runtime.database, means)


def _measures(runtime: Runtime[PaymentsSettings]) -> Sequence[Measuring]:
    instance = Process.of(runtime.service.package, runtime.settings).instance
    readable = measures.pauses(pauses_of(runtime), instance) if runtime.settings.work else None
    return [*measures.measures(runtime), *([] if readable is None else [readable])]


def _outcomes(runtime: Runtime[PaymentsSettings]) -> Consumer:
    return recovery_handlers.consumer(policy_of(runtime.settings))


def queued(runtime: Runtime[PaymentsSettings]) -> Wake:
    """What wakes this process' worker: set by its ingress, where it has one, and by its fetcher."""
    if runtime.ingress is not None:
        return runtime.ingress.committed
    return _WAKES.setdefault(runtime, Wake())


service = Service(
    "payments",
    PaymentsSettings,
    metadata=tables.metadata,
    routers=[
        books_http.router,
        collection_http.router,
        deliveries_http.router,
        members_http.router,
        holds_http.router,
        replays_http.router,
        settlement_http.router,
        staff_http.router,
        matching_http.router,
        parking_http.router,
        refunding_http.router,
    ],
    consumers=[_outcomes],
    ingress=lambda runtime: DeliveryIngress(runtime.database, runtime.settings),
    retriers=lambda runtime: {
        NAME: input_work(runtime.settings).retry,
        recovery_handlers.NAME: _outcomes(runtime).retrier(SCHEMA),
    },
    workers=[
        _worker,
        _fetcher,
        lambda runtime: RejectionReports(runtime.database),
        lambda runtime: RejectionPruner(runtime.database, retention_days=runtime.settings.rejections_retention_days),
        lambda runtime: Sealer(runtime.database),
        _verifications,
        lambda runtime: HoldTimer(runtime.database),
        lambda runtime: pauses_of(runtime).reader,
        _acknowledgements,
        _retries,
        _releases,
        _replays,
        _parked,
        _refunds,
        _reliefs,
        _payouts,
    ],
    measures=_measures,
    commands={"verify": verify, "rebuild": rebuild, "export": export},
)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
