"""Journals and their entries: insert only, guarded by triggers that live in the migrations.

`balances` and `member_entries` are kept by a trigger on `ledger_entries`, so that no writer can make them differ. The
latter are what each journal moved for a member, in the order in which people read a ledger.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType

from payments.schema import metadata


class TransactionId(UserDefinedType[str]):
    """PostgreSQL's xid8: which transaction wrote a row."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


# So that reflection knows it too, when migrations are compared with these tables.
ischema_names["xid8"] = TransactionId


journals = Table(
    "journals",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("source_key", Text, nullable=False),
    Column("economic_key", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("effective_at", DateTime(timezone=True), nullable=False),
    Column("effective_on", Date, nullable=False),
    # The day on which it counts, where its own was closed before; null: its own.
    Column("accounted_on", Date),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("reverses", Uuid, ForeignKey("journals.id")),
    Column("caused_by", Uuid),
    Column("payment_id", Uuid),
    Column("invoice_id", Uuid),
    Column("member_id", Text),
    Column("written_by", TransactionId, nullable=False, server_default="pg_current_xact_id()"),
    UniqueConstraint("source", "source_key", name="journals_source"),
    CheckConstraint("kind IN ('original', 'reversal', 'correction')", name="journals_kind"),
    Index("journals_payment", "payment_id", "number"),
    Index("journals_subject", "subject"),
    Index("journals_invoice", "invoice_id", postgresql_where=text("invoice_id IS NOT NULL")),
    Index("journals_accounted", text("coalesce(accounted_on, effective_on)"), "number"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("journal_id", Uuid, ForeignKey("journals.id"), primary_key=True),
    Column("line", SmallInteger, primary_key=True, autoincrement=False),
    Column("account", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("phase", Text, nullable=False),
    Column("tax_code", Text, nullable=False),
    CheckConstraint("tax_code IN ('GST', 'GST-DEC', 'GST-INC', 'FRE', 'N-T')", name="ledger_entries_tax_code"),
    CheckConstraint("amount_minor <> 0", name="ledger_entries_amount"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="ledger_entries_currency"),
    CheckConstraint("phase IN ('pending', 'posted')", name="ledger_entries_phase"),
)

_BYTES = Text(collation="C")
member_entries = Table(
    "member_entries",
    metadata,
    Column("member_id", _BYTES, primary_key=True),
    Column("effective_at", DateTime(timezone=True), primary_key=True),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    Column("economic_key", _BYTES, primary_key=True),
    Column("currency", _BYTES, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
)

balances = Table(
    "balances",
    metadata,
    Column("account", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("phase", Text, primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
)

seals = Table(
    "seals",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("journal_id", Uuid, nullable=False),
    Column("fingerprints", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("journal_id", name="seals_journal"),
)

seal_head = Table(
    "seal_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("last_number", BigInteger, nullable=False),
    Column("last_hash", LargeBinary, nullable=False),
    Column("settled", BigInteger, nullable=False),
    Column("reached", BigInteger, nullable=False),
    Column("reached_by", TransactionId),
    CheckConstraint("id = 1", name="seal_head_one"),
)

seal_anchors = Table(
    "seal_anchors",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    Index("seal_anchors_noted", "noted_at"),
)
