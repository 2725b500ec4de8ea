"""What consumers make of records, every one of them delivered twice, against a real PostgreSQL and Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from chassis import dead_letters
from chassis.consumer import Consumer, Record
from chassis.ids import new_id
from chassis.transaction import Draft, Transaction
from contracts.envelope import Entity, Event, Payload, Workflow
from contracts.events import AuditEventRecorded, MemberUpdated, PaymentUpdated
from contracts.topics import AUDIT_EVENTS, PAYMENTS_EVENTS
from sqlalchemy import text

from tests.support.consuming import SCHEMA, Ground, Raw, an_event, note

MALFORMED = (
    Raw(b"{not json"),
    Raw(b"\xff\xfe\x00", key=b"\xff"),
    Raw(b""),
    Raw(None, key=b"pay_1"),
    Raw(b'{"specversion": "1.0"}'),
    Raw(b"[" * 5_000),
)


def noting_consumer() -> Consumer:
    consumer = Consumer("noting", reads=[PAYMENTS_EVENTS])

    @consumer.on(PaymentUpdated)
    async def note_payment_on_payment_updated(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        await note(tx, event.id, event.data.body.payment.id)

    return consumer


def twice(*records: Raw | Event[Payload]) -> list[Raw | Event[Payload]]:
    return [each for record in records for each in (record, record)]


async def through(ground: Ground, consumer: Consumer, *records: Raw | Event[Payload]) -> None:
    """Write every record twice and wait until the consumer has passed the last one."""
    await ground.create(PAYMENTS_EVENTS)
    offsets = await ground.write(PAYMENTS_EVENTS, *twice(*records))
    async with ground.running(consumer) as runner:
        await runner.passed(PAYMENTS_EVENTS.name, 0, offsets[-1])


async def test_every_event_has_its_effect_once_and_in_order(ground: Ground) -> None:
    events = [an_event(f"pay_{n}") for n in range(200)]

    await through(ground, noting_consumer(), *events)

    assert await ground.effects() == [f"pay_{n}" for n in range(200)]
    assert await ground.position(PAYMENTS_EVENTS) == 400


async def test_headers_that_are_null_or_not_utf8_cost_nothing(ground: Ground) -> None:
    spoilt = [("null", None), ("latin", b"\xe9\xff"), ("", b""), ("content-type", b"\x00")]
    events = [an_event(f"pay_{n}") for n in range(3)]

    await through(ground, noting_consumer(), *[Raw(event.encode(), b"pay", spoilt) for event in events])

    assert await ground.effects() == ["pay_0", "pay_1", "pay_2"]
    assert await ground.dead() == []


async def test_what_is_no_event_is_a_dead_letter_with_its_bytes_and_stops_nobody(ground: Ground) -> None:
    good = [an_event("pay_1"), an_event("pay_2")]

    await through(ground, noting_consumer(), good[0], *MALFORMED, good[1])

    assert await ground.effects() == ["pay_1", "pay_2"]
    dead = await ground.dead()
    expected = [each.value or b"" for each in MALFORMED for _ in range(2)]
    assert sorted(bytes(message) for _, _, message in dead) == sorted(expected)
    assert {reason for _, reason, _ in dead} == {"UnreadableEventError"}
    assert sorted(str(pointer) for pointer, _, _ in dead) == sorted(f"payments-events/0/{n}" for n in range(2, 14))


async def test_a_body_that_its_schema_refuses_is_one_dead_letter(ground: Ground) -> None:
    value = an_event("pay_1").encode().replace(b'"matched"', b"17")

    await through(ground, noting_consumer(), Raw(value), an_event("pay_2"))

    assert await ground.effects() == ["pay_2"]
    assert [pointer for pointer, _, _ in await ground.dead()] == ["payments-events/0/0"]


async def test_unknown_types_and_versions_are_skipped(ground: Ground) -> None:
    unknown_type = an_event("pay_1").model_copy(update={"id": new_id(), "type": "payment.teleported"})
    unknown_version = an_event("pay_2", dataschema="urn:backbone:event:payment.updated/99")
    no_version = an_event("pay_3", dataschema="urn:backbone:event:payment.updated")

    await through(ground, noting_consumer(), unknown_type, unknown_version, no_version, an_event("pay_4"))

    assert await ground.effects() == ["pay_4"]
    assert await ground.dead() == []
    assert await ground.position(PAYMENTS_EVENTS) == 8


async def test_a_handler_that_fails_on_one_event_of_five_hundred(ground: Ground) -> None:
    consumer = Consumer("noting", reads=[PAYMENTS_EVENTS])

    @consumer.on(PaymentUpdated)
    async def fail_on_one(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        payment = event.data.body.payment
        tx.emit(
            Draft(
                PaymentUpdated(change="matched", payment=payment),
                Entity(type="payment", id=f"echo of {payment.id}"),
                Workflow(name="collection", id=payment.id),
            )
        )
        await note(tx, event.id, payment.id)
        if payment.id == "pay_317":
            raise ValueError("a payment that nobody expected")

    events = [an_event(f"pay_{n}") for n in range(500)]
    await through(ground, consumer, *events)

    rest = [f"pay_{n}" for n in range(500) if n != 317]
    assert await ground.effects() == rest
    assert await ground.dead() == [("payments-events/0/634", "ValueError", events[317].encode())]
    echoes = await ground.rows(f"SELECT key FROM {SCHEMA}.outbox WHERE key LIKE 'echo %' ORDER BY id")
    assert [row[0] for row in echoes] == [f"echo of {name}" for name in rest]
    ((told,),) = await ground.rows(
        f"SELECT convert_from(value, 'UTF8')::jsonb FROM {SCHEMA}.outbox WHERE key NOT LIKE 'echo %'"
    )
    assert isinstance(told, dict)
    assert told["causationid"] == events[317].id
    assert told["correlationid"] == events[317].correlationid
    assert told["data"]["body"]["message_type"] == "payment.updated"


async def test_a_batch_handler_sees_the_mixed_list_in_order(ground: Ground) -> None:
    consumer = Consumer("mixed", reads=[PAYMENTS_EVENTS])
    seen: list[tuple[str, str]] = []

    @consumer.on_batch
    async def note_all(tx: Transaction, batch: Sequence[Record]) -> None:
        for record in batch:
            await note(tx.caused_by(record.event), record.event.id, record.event.data.entity.id)
            seen.append((record.event.type, record.pointer))

    member = MemberUpdated(change="changed", name="Mark Stevens")
    events: list[Raw | Event[Payload]] = [
        an_event("pay_1"),
        an_event("member_1", body=member),
        Raw(b"nonsense"),
        an_event("pay_2").model_copy(update={"id": new_id(), "type": "payment.teleported"}),
        an_event("pay_3"),
    ]
    await through(ground, consumer, *events)

    assert await ground.effects() == ["pay_1", "member_1", "pay_3"]
    assert seen == [
        ("payment.updated", "payments-events/0/0"),
        ("member.updated", "payments-events/0/2"),
        ("payment.updated", "payments-events/0/8"),
    ]
    assert len(await ground.dead()) == 2


async def test_without_an_inbox_the_batch_handler_gets_every_record_there_is(ground: Ground) -> None:
    consumer = Consumer("accounting", reads=[PAYMENTS_EVENTS], inbox=False)
    aside: list[tuple[str, str]] = []

    @consumer.on_batch
    async def account(tx: Transaction, batch: Sequence[Record]) -> None:
        for record in batch:
            if record.value == b"poison":
                raise ValueError("cannot be accounted for")
            await note(tx, record.identity, f"{record.pointer} {'unreadable' if record.unreadable else 'event'}")

    @consumer.on_set_aside
    async def quarantine(tx: Transaction, record: Record, dead_letter_id: str, error: Exception) -> None:
        await note(tx, dead_letter_id, f"{record.pointer} quarantined")
        aside.append((record.pointer, dead_letter_id))

    unknown = an_event("pay_2").model_copy(update={"id": new_id(), "type": "payment.teleported"})
    await through(ground, consumer, an_event("pay_1"), Raw(None, key=b"pay_1"), unknown, Raw(b"poison"))

    assert sorted(await ground.effects()) == [
        "payments-events/0/0 event",
        "payments-events/0/1 event",
        "payments-events/0/2 unreadable",
        "payments-events/0/3 unreadable",
        "payments-events/0/4 event",
        "payments-events/0/5 event",
        "payments-events/0/6 quarantined",
        "payments-events/0/7 quarantined",
    ]
    assert await ground.rows(f"SELECT count(*) FROM {SCHEMA}.inbox") == [(0,)]
    assert [pointer for pointer, _ in aside] == ["payments-events/0/6", "payments-events/0/7"]
    dead = await ground.rows(f"SELECT id::text FROM {SCHEMA}.dead_letters ORDER BY id")
    assert [row[0] for row in dead] == [dead_letter_id for _, dead_letter_id in aside]


async def test_two_writers_in_conflict_are_tried_again_and_never_dead_lettered(ground: Ground) -> None:
    """Another transaction has just written what the handler writes; it is rolled back while the handler waits."""
    consumer = Consumer("noting", reads=[PAYMENTS_EVENTS])
    attempts: list[str] = []

    @consumer.on(PaymentUpdated)
    async def insert(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        attempts.append(event.id)
        if len(attempts) == 1:
            async with ground.database.transaction() as other:
                await note(other, "somebody else", event.data.body.payment.id)
        else:
            await tx.connection.execute(text(f"DELETE FROM {SCHEMA}.effects WHERE event_id = 'somebody else'"))
        await note(tx, event.id, event.data.body.payment.id)

    event = an_event("pay_1")
    await through(ground, consumer, event)

    assert await ground.rows(f"SELECT event_id, note FROM {SCHEMA}.effects") == [(event.id, "pay_1")]
    assert (len(attempts), await ground.dead()) == (2, [])


async def test_several_topics_and_partitions_are_read_by_one_consumer(ground: Ground) -> None:
    consumer = Consumer("noting", reads=[PAYMENTS_EVENTS, AUDIT_EVENTS])

    @consumer.on_batch
    async def note_all(tx: Transaction, batch: Sequence[Record]) -> None:
        for record in batch:
            await note(tx, record.event.id, f"{record.part.topic}/{record.part.partition} {record.event.subject}")

    await ground.create(PAYMENTS_EVENTS, partitions=3)
    await ground.create(AUDIT_EVENTS, partitions=2)
    sent = []
    for topic, partitions in ((PAYMENTS_EVENTS, 3), (AUDIT_EVENTS, 2)):
        for partition in range(partitions):
            raws = [Raw(an_event(f"{topic.name}-{n}").encode(), partition=partition) for n in range(20)]
            offsets = await ground.write(topic, *twice(*raws))
            sent.append((topic, partition, offsets[-1]))
    async with ground.running(consumer) as runner:
        await asyncio.gather(*(runner.passed(topic.name, partition, last) for topic, partition, last in sent))
        assert runner.check().ok
        assert runner.alive

    effects = await ground.effects()
    assert len(effects) == 100
    for topic, partition, _ in sent:
        mine = [words.split(" ")[1] for words in effects if words.startswith(f"{topic.name}/{partition} ")]
        assert mine == [f"{topic.name}-{n}" for n in range(20)]


async def test_a_dead_letter_comes_back_once_its_cause_is_mended(ground: Ground) -> None:
    consumer = Consumer("noting", reads=[PAYMENTS_EVENTS])
    mended = False

    @consumer.on(PaymentUpdated)
    async def fail_until_mended(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        await note(tx, event.id, event.data.body.payment.id)
        if not mended:
            raise ValueError("not yet")

    await through(ground, consumer, an_event("pay_1"))
    retriers = {consumer.name: consumer.retrier(SCHEMA)}
    async with ground.database.reading() as tx:
        (letter,) = await dead_letters.page(tx.connection, SCHEMA, limit=10, state="open")
    async with ground.database.transaction() as tx:
        again = await dead_letters.retry(tx, SCHEMA, letter.id, retriers)
    assert (again.state, again.attempts, again.reason) == ("open", 1, "ValueError: not yet")
    assert await ground.effects() == []

    mended = True
    for _ in range(2):
        async with ground.database.transaction() as tx:
            again = await dead_letters.retry(tx, SCHEMA, letter.id, retriers)
        assert (again.state, again.attempts) == ("retried", 2)
    assert await ground.effects() == ["pay_1"]


def test_a_consumer_has_either_kind_of_handler() -> None:
    single = noting_consumer()
    with pytest.raises(ValueError, match="either"):
        single.on_batch(_ignore)
    with pytest.raises(ValueError, match="twice"):
        single.on(PaymentUpdated)(_ignore_one)
    with pytest.raises(ValueError, match="reads no topic that carries"):
        single.on(AuditEventRecorded)(_ignore_one)

    batch = Consumer("mixed", reads=[PAYMENTS_EVENTS])
    batch.on_batch(_ignore)
    with pytest.raises(ValueError, match="either"):
        batch.on(PaymentUpdated)(_ignore_one)
    with pytest.raises(ValueError, match="inbox"):
        Consumer("accounting", reads=[PAYMENTS_EVENTS], inbox=False).on(PaymentUpdated)
    with pytest.raises(ValueError, match="reads no topic"):
        Consumer("idle", reads=[])


async def _ignore(tx: Transaction, batch: Sequence[Record]) -> None:
    raise AssertionError("never delivered")


async def _ignore_one(tx: Transaction, event: Event[Any]) -> None:
    raise AssertionError("never delivered")


async def test_a_consumer_without_a_handler_does_not_run(ground: Ground) -> None:
    with pytest.raises(ValueError, match="no handler"):
        Consumer("idle", reads=[PAYMENTS_EVENTS]).runner(ground.database, ground.settings)


@pytest.mark.parametrize("identity", ["a\x00b", "x" * 100_000, "tab\tand\nline", "ü" * 255], ids=len)
async def test_whatever_an_event_calls_itself_the_partition_goes_on_and_the_effect_happens_once(
    ground: Ground, identity: str
) -> None:
    """Positions and the inbox hold the id before any handler runs; the others come after it, and one bears its name."""
    consumer = Consumer("noting", reads=[PAYMENTS_EVENTS])

    @consumer.on(PaymentUpdated)
    async def note_without_the_id(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        await note(tx, "", event.data.body.payment.id)

    odd = an_event("pay_1").model_copy(update={"id": identity})

    await through(ground, consumer, odd, an_event("pay_2"), odd, odd)

    assert await ground.effects() == ["pay_1", "pay_2"]
    assert await ground.position(PAYMENTS_EVENTS) == 8


async def test_a_message_that_nearly_fills_a_record_with_its_names_can_still_be_set_aside(ground: Ground) -> None:
    names = {"id": "i" * 300_000, "correlationid": "c" * 300_000, "traceparent": "t" * 300_000}
    huge = an_event("pay_1").model_copy(update=names)
    value = huge.encode().replace(b'"matched"', b"17")

    await through(ground, noting_consumer(), Raw(value), an_event("pay_2"))

    assert await ground.effects() == ["pay_2"]
    assert [bytes(message) for _, _, message in await ground.dead()] == [value]
