"""Wiring of the tasks service."""

from __future__ import annotations

from chassis import cli
from chassis.service import Service

from tasks import handlers, http, jobs, tables
from tasks.measures import measures
from tasks.rules import Rules
from tasks.settings import TasksSettings

service = Service(
    "tasks",
    TasksSettings,
    metadata=tables.metadata,
    routers=http.routers,
    retriers=lambda runtime: {
        handlers.NAME: handlers.consumer(Rules.of(runtime.settings)).retrier(tables.SCHEMA),
    },
    consumers=[lambda runtime: handlers.consumer(Rules.of(runtime.settings))],
    workers=[lambda runtime: jobs.UntilWatch(runtime.database, Rules.of(runtime.settings))],
    measures=lambda runtime: measures(Rules.of(runtime.settings).zone),
)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
