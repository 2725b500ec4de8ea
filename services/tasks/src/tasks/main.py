"""Wiring of the tasks service."""

from __future__ import annotations

from chassis import cli
from chassis.service import Service

from tasks import tables
from tasks.settings import TasksSettings

service = Service("tasks", TasksSettings, metadata=tables.metadata)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
