"""Every table of the provider_health schema: importing this module completes its MetaData."""

from __future__ import annotations

from chassis.dead_letters import dead_letters_table
from chassis.idempotency import idempotency_table
from chassis.inbox import inbox_table
from chassis.outbox import outbox_table
from chassis.positions import positions_table

from provider_health.checks import tables as checks
from provider_health.incidents import tables as incidents
from provider_health.pauses import tables as pauses
from provider_health.schema import SCHEMA, metadata

outbox = outbox_table(metadata)
inbox = inbox_table(metadata)
positions = positions_table(metadata)
dead_letters = dead_letters_table(metadata)
idempotency_keys = idempotency_table(metadata)

__all__ = [
    "SCHEMA",
    "checks",
    "dead_letters",
    "idempotency_keys",
    "inbox",
    "incidents",
    "metadata",
    "outbox",
    "pauses",
    "positions",
]
