"""Wiring of the audit service."""

from __future__ import annotations

from chassis import cli
from chassis.service import Service

from audit import handlers, http, jobs, tables
from audit.settings import AuditSettings
from audit.verify_command import verify

service = Service(
    "audit",
    AuditSettings,
    metadata=tables.metadata,
    routers=[http.router],
    retriers=lambda _: {handlers.consumer.name: handlers.record_dead_letter_on_retry},
    consumers=[handlers.consumer],
    workers=[lambda runtime: jobs.GuardWatch(runtime.database), lambda runtime: jobs.Projection(runtime.database)],
    commands={"verify": verify},
)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
