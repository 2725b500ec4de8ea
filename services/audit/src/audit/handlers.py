"""What the audit service consumes: every topic of the registry except its own."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.consumer import Consumer, Record
from chassis.transaction import Transaction
from contracts.topics import TOPICS

from audit import store, translate, use_cases
from audit.domain import Unreadable

consumer = Consumer(
    "audit",
    reads=[topic for topic in TOPICS if topic.owner != "audit"],
    inbox=False,  # dedupe by (source, id) is the log's own, and exact for ever
    batch_max_records=2_000,
)


@consumer.on_batch
async def record_every_event(tx: Transaction, batch: Sequence[Record]) -> None:
    located = translate.located(batch, await store.incarnations(tx.connection))
    records = [translate.record(pointer, key=each.key, value=each.value) for pointer, each in located.records]
    await use_cases.append(tx, records, located.gaps)


@consumer.on_set_aside
async def quarantine_what_cannot_be_recorded(
    tx: Transaction, record: Record, dead_letter_id: str, error: Exception
) -> None:
    located = translate.located([record], await store.incarnations(tx.connection))
    ((pointer, _),) = located.records
    detail = f"dead letter {dead_letter_id}: {type(error).__name__}"
    await use_cases.append(tx, [Unreadable(pointer, detail, record.key, record.value)], located.gaps)
