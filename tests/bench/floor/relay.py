"""The floor of the relay: 1,000 rows by id, pipelined sends, delete, commit; no lock, no parking. Frozen."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import uvloop
from aiokafka import AIOKafkaProducer

ROUND_MAX_ROWS = 1_000
POLL_SECONDS = 0.01
HEADERS = [("content-type", b"application/cloudevents+json")]


async def relay_round(connection: asyncpg.Connection, producer: AIOKafkaProducer) -> int:
    """Move the oldest rows to Kafka; returns how many."""
    async with connection.transaction():
        rows = await connection.fetch("SELECT id, topic, key, value FROM outbox ORDER BY id LIMIT $1", ROUND_MAX_ROWS)
        if not rows:
            return 0
        sent = [
            await producer.send(row["topic"], value=row["value"], key=row["key"].encode(), headers=HEADERS)
            for row in rows
        ]
        await asyncio.gather(*sent)
        await connection.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", [row["id"] for row in rows])
    return len(rows)


async def main() -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        enable_idempotence=True,
        acks="all",
        compression_type="lz4",
        linger_ms=1,
        max_batch_size=1_000_000,
    )
    await producer.start()
    try:
        while True:
            if not await relay_round(connection, producer):
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await producer.stop()


if __name__ == "__main__":
    uvloop.run(main())
