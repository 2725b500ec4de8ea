"""The first draft of the relay: `await send_and_wait` for one row after the other, delete, commit. Frozen."""

from __future__ import annotations

import asyncio
import os

import uvloop
from aiokafka import AIOKafkaProducer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from tests.bench.first_draft.tables import OutboxMessage

ROUND_MAX_ROWS = 100
POLL_SECONDS = 0.01
HEADERS = [("content-type", b"application/cloudevents+json")]


async def relay_round(db: AsyncSession, producer: AIOKafkaProducer) -> int:
    """Move the oldest rows to Kafka; returns how many."""
    rows = (await db.scalars(select(OutboxMessage).order_by(OutboxMessage.id).limit(ROUND_MAX_ROWS))).all()
    for row in rows:
        await producer.send_and_wait(row.topic, value=row.value, key=row.key.encode(), headers=HEADERS)
        await db.delete(row)
        await db.commit()
    return len(rows)


async def main() -> None:
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://")
    sessions = async_sessionmaker(create_async_engine(url), expire_on_commit=False)
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], enable_idempotence=True, acks="all", linger_ms=0
    )
    await producer.start()
    try:
        while True:
            async with sessions() as db:
                moved = await relay_round(db, producer)
            if not moved:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await producer.stop()


if __name__ == "__main__":
    uvloop.run(main())
