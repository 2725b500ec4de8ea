"""The first draft's mapped classes, over the very tables that the floor writes. Frozen."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Identity
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_utils.compat import uuid7


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 - the declarative API's own shape


class WebhookDelivery(Base):
    __tablename__ = "webhook_deliveries"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    provider: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(default=now)
    headers: Mapped[bytes]
    body: Mapped[bytes]
    body_sha256: Mapped[bytes]
    status: Mapped[int]
    state: Mapped[str]


class ProviderEvent(Base):
    __tablename__ = "provider_events"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    provider: Mapped[str]
    account: Mapped[str]
    livemode: Mapped[bool]
    event_id: Mapped[str]
    type: Mapped[str]
    api_version: Mapped[str | None]
    content_sha256: Mapped[bytes]
    delivery_id: Mapped[UUID]
    received_at: Mapped[datetime] = mapped_column(default=now)


class PendingEvent(Base):
    __tablename__ = "pending_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    provider_event_id: Mapped[UUID]
    available_at: Mapped[datetime] = mapped_column(default=now)
    attempts: Mapped[int] = mapped_column(default=0)


class OutboxMessage(Base):
    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[UUID]
    topic: Mapped[str]
    key: Mapped[str]
    value: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now)


class InboxMessage(Base):
    __tablename__ = "inbox"

    consumer: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    claimed_at: Mapped[datetime] = mapped_column(default=now)


class Record(Base):
    __tablename__ = "records"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[str]
    topic: Mapped[str]
    partition: Mapped[int]
    offset: Mapped[int]
    type: Mapped[str]
    entity_type: Mapped[str]
    entity_id: Mapped[str]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    workflow_name: Mapped[str]
    workflow_id: Mapped[str]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(default=now)
    value: Mapped[bytes]
