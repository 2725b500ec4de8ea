"""Holds on members: while one is in force nothing is collected from its member automatically."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Index, Table, Text, Uuid, text

from payments.schema import metadata

member_holds = Table(
    "member_holds",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("member_id", Text, ForeignKey("payments.members.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True)),
    Column("reason", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("kind IN ('medical', 'bereavement', 'dispute')", name="member_holds_kind"),
    CheckConstraint("state IN ('planned', 'in_force', 'ended', 'expired', 'withdrawn')", name="member_holds_state"),
    CheckConstraint("ends_at >= starts_at", name="member_holds_ends"),
    Index("member_holds_member", "member_id", "id"),
    Index("member_holds_open", "starts_at", postgresql_where=text("state IN ('planned', 'in_force')")),
)
