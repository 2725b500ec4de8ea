"""The first draft of the consumer: FastStream with a handler for one message, an ORM session for each. Frozen."""

from __future__ import annotations

import os

import uvloop
from contracts.envelope import RawEvent
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from tests.bench.first_draft.tables import InboxMessage, Record

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://")
sessions = async_sessionmaker(create_async_engine(url))
broker = KafkaBroker(os.environ["KAFKA_BOOTSTRAP_SERVERS"], logger=None)


@broker.subscriber(
    os.environ["TOPIC"], group_id=os.environ["GROUP"], auto_offset_reset="earliest", ack_policy=AckPolicy.MANUAL
)
async def record(message: KafkaMessage) -> None:
    raw = message.raw_message
    assert not isinstance(raw, tuple)
    # FastStream leaves a body of this content type as bytes.
    event = RawEvent.model_validate_json(raw.value)
    async with sessions() as db:
        db.add(InboxMessage(consumer="records", event_id=event.id))
        db.add(
            Record(
                event_id=event.id,
                topic=raw.topic,
                partition=raw.partition,
                offset=raw.offset,
                type=event.type,
                entity_type=event.data.entity.type,
                entity_id=event.data.entity.id,
                actor_kind=event.data.actor.kind,
                actor_id=event.data.actor.id,
                workflow_name=event.data.workflow.name,
                workflow_id=event.data.workflow.id,
                occurred_at=event.time,
                value=raw.value,
            )
        )
        try:
            await db.commit()
        except IntegrityError:
            await db.rollback()
    await message.ack()


if __name__ == "__main__":
    uvloop.run(FastStream(broker, logger=None).run())
