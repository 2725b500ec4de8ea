"""Who the business knows, and under which references the providers know them."""

from __future__ import annotations

from payments.schema import metadata
from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Index, Table, Text

members = Table(
    "members",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

member_customers = Table(
    "member_customers",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("member_id", Text, ForeignKey("payments.members.id"), nullable=False),
    Index("member_customers_member", "member_id"),
)
