"""Wiring of the payments service."""

from __future__ import annotations

from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from chassis import cli
from chassis.batch import Limits
from chassis.database import Wake
from chassis.service import Part, Runtime, Service
from chassis.verifications import Verifications
from chassis.worker import Worker

from payments import measures, tables
from payments.collection import http as collection_http
from payments.collection.domain import Policy
from payments.collection.fetching import Fetcher
from payments.collection.use_cases import Rules
from payments.deliveries import http as deliveries_http
from payments.deliveries.ingress import DeliveryIngress
from payments.deliveries.jobs import RejectionReports
from payments.ledger.verification import verified
from payments.members import http as members_http
from payments.providers.clients import ProviderClients
from payments.settings import PaymentsSettings
from payments.verify_command import verify
from payments.worker import NAME, InputWork

_POLL_SECONDS = 0.25
_WAKES: WeakKeyDictionary[Runtime[PaymentsSettings], Wake] = WeakKeyDictionary()
"""Of processes without an ingress."""


def input_work(settings: PaymentsSettings) -> InputWork:
    """The work of applying inputs, by the rules of the settings."""
    zone = ZoneInfo(settings.business_timezone)
    rules = Rules(Policy(gst_registered=settings.gst_registered, zone=zone))
    return InputWork(rules, gocardless_livemode=settings.gocardless_livemode)


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
    return Verifications(runtime.database, verified, every_seconds=runtime.settings.verify_every_seconds)


def queued(runtime: Runtime[PaymentsSettings]) -> Wake:
    """What wakes this process' worker: set by its ingress, where it has one, and by its fetcher."""
    if runtime.ingress is not None:
        return runtime.ingress.committed
    return _WAKES.setdefault(runtime, Wake())


service = Service(
    "payments",
    PaymentsSettings,
    metadata=tables.metadata,
    routers=[collection_http.router, deliveries_http.router, members_http.router],
    ingress=lambda runtime: DeliveryIngress(runtime.database, runtime.settings),
    retriers=lambda runtime: {NAME: input_work(runtime.settings).retry},
    workers=[_worker, _fetcher, lambda runtime: RejectionReports(runtime.database), _verifications],
    measures=measures.measures,
    commands={"verify": verify},
)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
