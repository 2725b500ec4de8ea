"""Wiring of the audit service."""

from __future__ import annotations

from chassis import cli
from chassis.service import Part, Runtime, Service
from chassis.verifications import Verifications

from audit import handlers, http, jobs, tables
from audit.measures import MEASURES
from audit.settings import AuditSettings
from audit.verification import verified
from audit.verify_command import verify


def _verifications(runtime: Runtime[AuditSettings]) -> Part:
    return Verifications(runtime.database, verified, every_seconds=runtime.settings.verify_every_seconds)


service = Service(
    "audit",
    AuditSettings,
    metadata=tables.metadata,
    routers=[http.router],
    # What was recorded is told in batches: those who read it count.
    relay_gather_seconds=0.1,
    retriers=lambda _: {handlers.consumer.name: handlers.record_dead_letter_on_retry},
    consumers=[handlers.consumer],
    workers=[
        lambda runtime: jobs.GuardWatch(runtime.database),
        lambda runtime: jobs.Projection(runtime.database),
        _verifications,
    ],
    measures=lambda _: MEASURES,
    commands={"verify": verify},
)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
