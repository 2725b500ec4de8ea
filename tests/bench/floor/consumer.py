"""The floor of the consumer: raw getmany, one unnest into an inbox, one into the table, commit, offsets. Frozen."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

BATCH_MAX_RECORDS = 1_000
POLL_TIMEOUT_MS = 10

CLAIM = """
INSERT INTO inbox (consumer, event_id) SELECT 'records', unnest($1::text[])
ON CONFLICT DO NOTHING RETURNING event_id
"""
RECORD = """
INSERT INTO records (
    event_id, topic, partition, "offset", type, entity_type, entity_id,
    actor_kind, actor_id, workflow_name, workflow_id, occurred_at, value
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[], $13::bytea[]
)
"""


def row(record: Any) -> tuple[Any, ...]:
    event = orjson.loads(record.value)
    data = event["data"]
    actor, entity, workflow = data["actor"], data["entity"], data["workflow"]
    where = (event["id"], record.topic, record.partition, record.offset, event["type"])
    who = (entity["type"], entity["id"], actor["kind"], actor["id"], workflow["name"], workflow["id"])
    return (*where, *who, datetime.fromisoformat(event["time"]), record.value)


async def store(connection: asyncpg.Connection, records: list[Any]) -> None:
    """Insert what is new of one batch, in one transaction."""
    rows = {each[0]: each for each in map(row, records)}
    async with connection.transaction():
        claimed = await connection.fetch(CLAIM, list(rows))
        if claimed:
            await connection.execute(RECORD, *zip(*(rows[each["event_id"]] for each in claimed), strict=True))


async def main() -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    consumer = AIOKafkaConsumer(
        os.environ["TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_TIMEOUT_MS, max_records=BATCH_MAX_RECORDS)
            records = [record for batch in batches.values() for record in batch]
            if records:
                await store(connection, records)
                await consumer.commit()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    uvloop.run(main())
