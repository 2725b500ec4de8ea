"""Every table of the tasks schema."""

from __future__ import annotations

from typing import Final

from chassis.dead_letters import dead_letters_table
from chassis.idempotency import idempotency_table
from chassis.inbox import inbox_table
from chassis.outbox import outbox_table
from sqlalchemy import MetaData

SCHEMA: Final = "tasks"

metadata = MetaData(schema=SCHEMA)
outbox = outbox_table(metadata)
inbox = inbox_table(metadata)
dead_letters = dead_letters_table(metadata)
idempotency_keys = idempotency_table(metadata)
