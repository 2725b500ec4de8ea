"""What is parked at this moment: a row comes when it is first seen so, and goes when it is not so any more."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, Table, Text, Uuid, text

from payments.collection.tables import OBJECT_KEY
from payments.schema import metadata

parked = Table(
    "parked",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", OBJECT_KEY, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("entity_id", Uuid, nullable=False),
    Column("waits_for", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("asked_at", DateTime(timezone=True)),
    Index("parked_unasked", "since", postgresql_where=text("asked_at IS NULL")),
)
