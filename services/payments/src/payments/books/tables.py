"""Closed periods: a row is written once and never changed, so nothing can be reopened."""

from __future__ import annotations

from sqlalchemy import Column, Date, DateTime, Table, Text

from payments.schema import metadata

periods = Table(
    "periods",
    metadata,
    Column("period", Text, primary_key=True),
    Column("ends_on", Date, nullable=False, unique=True),
    Column("closed_at", DateTime(timezone=True), nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("closed_by_name", Text, nullable=False),
)
