"""Facts, and what they make of payments and invoices.

`provider_objects` holds a row for every object that a fact names: whoever folds locks these rows, in the order of
their keys. Payments and invoices are projections: the fold of the facts writes them, nothing else does.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from payments.schema import metadata

OBJECT_KEY = Text(collation="C")

provider_objects = Table("provider_objects", metadata, Column("key", OBJECT_KEY, primary_key=True))

provider_facts = Table(
    "provider_facts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("input_id", Uuid, nullable=False),
    Column("body", JSONB, nullable=False),
)

fact_names = Table(
    "fact_names",
    metadata,
    Column("key", OBJECT_KEY, primary_key=True),
    Column("fact_id", BigInteger, ForeignKey("payments.provider_facts.id"), primary_key=True),
    Index("fact_names_fact", "fact_id", "key"),
)

payments = Table(
    "payments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", OBJECT_KEY, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("customer", Text),
    Column("member_id", Text),
    Column("invoice_id", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("awaiting", ARRAY(Text), nullable=False),
    Column("snapshot", JSONB, nullable=False),
    Column("superseded", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("payments_member", "member_id", "id"),
    Index("payments_awaiting", "id", postgresql_where=text("awaiting <> '{}' AND NOT superseded")),
)

payment_references = Table(
    "payment_references",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("payment_id", Uuid, ForeignKey("payments.payments.id"), primary_key=True),
)

payment_attempts = Table(
    "payment_attempts",
    metadata,
    Column("payment_id", Uuid, ForeignKey("payments.payments.id"), primary_key=True),
    Column("attempt", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("failure_code", Text),
    Column("decline_code", Text),
    Column("failure_message", Text),
)

invoices = Table(
    "invoices",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", OBJECT_KEY, nullable=False, unique=True),
    Column("reference", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("implied", Boolean, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("gst_minor", BigInteger, nullable=False),
    Column("gst_rule", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("paid_at", DateTime(timezone=True)),
    Column("due_on", Date),
    Column("customer", Text),
    Column("member_id", Text),
    Column("version", BigInteger, nullable=False),
    Index("invoices_member", "member_id", "id"),
)
