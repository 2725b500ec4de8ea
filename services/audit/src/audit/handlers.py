"""What the audit service consumes: every topic of the registry except its own."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.consumer import Consumer, Record
from chassis.dead_letters import DeadLetter
from chassis.transaction import Transaction
from contracts.registry import UnreadableEventError
from contracts.topics import TOPICS

from audit import store, translate, use_cases
from audit.domain import Entry, Unreadable

consumer = Consumer(
    "audit",
    reads=[topic for topic in TOPICS if topic.owner != "audit"],
    inbox=False,  # dedupe by (source, id) is the log's own, and exact for ever
    batch_max_records=2_000,
)


@consumer.on_batch
async def record_every_event(tx: Transaction, batch: Sequence[Record]) -> None:
    head = await store.lock_head(tx.connection, translate.identities(batch))
    located = translate.located(batch, head.incarnations)
    await use_cases.append(tx, head, [translate.record(*each) for each in located.records], located.gaps)


@consumer.on_set_aside
async def quarantine_what_cannot_be_recorded(
    tx: Transaction, record: Record, dead_letter_id: str, error: Exception
) -> None:
    head = await store.lock_head(tx.connection, ())
    located = translate.located([record], head.incarnations)
    ((pointer, _),) = located.records
    kept = Unreadable(pointer, f"set aside: {type(error).__name__}", record.key, record.value, dead_letter_id)
    await use_cases.append(tx, head, [kept], located.gaps)


async def record_dead_letter_on_retry(tx: Transaction, letter: DeadLetter) -> None:
    """Its offset was accounted for when it was set aside; what is missing is the record."""
    pointer = await store.quarantined_at(tx.connection, letter.id)
    if pointer is None:
        raise UnreadableEventError("it is not in quarantine")
    consumed = Record(
        pointer.place.topic,
        pointer.place.partition,
        pointer.offset,
        0,
        letter.key,
        letter.headers or (),
        letter.message,
    )
    consumed.decode()
    record = translate.record(pointer, consumed)
    if isinstance(record, Unreadable):
        raise UnreadableEventError(record.detail)
    if isinstance(record, Entry):
        await use_cases.reinterpret(tx, record, letter.id)
