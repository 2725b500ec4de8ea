"""Every input of the fold by its number, and what staff commanded. Both are append-only.

An input is what may change a payment, an invoice, a payout or a journal: a provider event, an object that was fetched,
a command of staff, or the turn of a group whose customer has got another member. Its number is drawn while the locks
of its objects are held: of two inputs that have an object in common the one with the smaller number was applied first,
whichever worker did it. Between inputs that have nothing in common the numbers say nothing, and nothing depends on it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Identity, Index, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from payments.schema import metadata

staff_commands = Table(
    "staff_commands",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("actor", JSONB, nullable=False),
    Column("reason", Text),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

inputs = Table(
    "inputs",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("delivery_id", Uuid),
    Column("position", Integer),
    Column("provider_event_id", Uuid),
    Column("fetched_id", Uuid),
    Column("command_id", Uuid),
    Column("subject", Text),
    Column("rules", Text),
    CheckConstraint("kind IN ('event', 'alternative', 'conflict', 'fetched', 'refold', 'command')", name="inputs_kind"),
    CheckConstraint(
        "CASE kind WHEN 'fetched' THEN fetched_id IS NOT NULL WHEN 'refold' THEN subject IS NOT NULL"
        " WHEN 'command' THEN command_id IS NOT NULL"
        " ELSE delivery_id IS NOT NULL AND position IS NOT NULL AND provider_event_id IS NOT NULL END",
        name="inputs_source",
    ),
    Index("inputs_command", "command_id", unique=True, postgresql_where=text("command_id IS NOT NULL")),
)
