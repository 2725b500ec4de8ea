"""Dead letters: kept whole, told of, listed by keyset, and brought back once."""

from __future__ import annotations

from uuid import UUID

import pytest
from chassis import dead_letters
from chassis.consumer import Consumer
from chassis.dead_letters import DeadLetter, DeadLetterNotFoundError, Letter, NobodyRetriesError
from chassis.ids import new_id
from chassis.transaction import Cause, Transaction
from contracts.envelope import Event
from contracts.events import PaymentUpdated
from contracts.topics import PAYMENTS_EVENTS
from sqlalchemy import text

from tests.support.consuming import SCHEMA, Ground, an_event, note

ANYTHING = bytes(range(256))


async def add(ground: Ground, number: int, error: Exception | None = None) -> str:
    letter = Letter(
        consumer="payments.worker",
        pointer=f"pending/{number}",
        message=ANYTHING,
        error=error or ValueError(f"reason {number}"),
        key=b"\x00\xff",
        headers=[("trace", b"\xff"), ("null", None)],
        record_offset=2**40 + number,
    )
    async with ground.database.transaction() as tx:
        return await dead_letters.add(tx, SCHEMA, letter)


async def find(ground: Ground, dead_letter_id: str) -> DeadLetter:
    async with ground.database.reading() as tx:
        return await dead_letters.find(tx.connection, SCHEMA, dead_letter_id)


async def test_a_letter_is_kept_whole(ground: Ground) -> None:
    letter = await find(ground, await add(ground, 1))

    assert (letter.message, letter.key, letter.record_offset) == (ANYTHING, b"\x00\xff", 2**40 + 1)
    assert letter.headers == [("trace", b"\xff"), ("null", None)]
    assert (letter.owner, letter.consumer, letter.pointer) == ("payments", "payments.worker", "pending/1")
    assert (letter.reason_class, letter.reason) == ("ValueError", "ValueError: reason 1")
    assert (letter.state, letter.attempts, letter.retried_at) == ("open", 0, None)


async def test_the_event_about_a_letter_keeps_the_cause_that_its_transaction_has(ground: Ground) -> None:
    letter = Letter(consumer="payments.worker", pointer="pending/1", message=b"", error=ValueError("wrong"))
    async with ground.database.transaction(cause=Cause("pending/1", None, "00-trace-span-01")) as tx:
        await dead_letters.add(tx, SCHEMA, letter)

    ((told,),) = await ground.rows(f"SELECT convert_from(value, 'UTF8')::jsonb FROM {SCHEMA}.outbox")
    assert (told["correlationid"], told["traceparent"]) == ("pending/1", "00-trace-span-01")
    assert told["data"]["actor"] == {"kind": "system", "id": "payments", "name": "Payments"}


@pytest.mark.parametrize("words", ["\x00", "\ud800", "x" * 100_000, "", "Zahlung ü\U0001f600"], ids=ascii)
async def test_whatever_the_reason_says_it_can_be_kept_and_told(ground: Ground, words: str) -> None:
    letter = await find(ground, await add(ground, 1, ValueError(words)))

    assert letter.reason.startswith("ValueError")
    assert await ground.rows(f"SELECT topic FROM {SCHEMA}.outbox") == [(PAYMENTS_EVENTS.name,)]


async def test_pages_run_from_the_newest_to_the_oldest_without_gaps(ground: Ground) -> None:
    ids = [await add(ground, number) for number in range(7)]
    seen: list[str] = []
    async with ground.database.reading() as tx:
        for size in (3, 3, 1, 0):
            after = seen[-1] if seen else None
            page = await dead_letters.page(tx.connection, SCHEMA, limit=3, state="open", after=after)
            assert len(page) == size
            seen += [letter.id for letter in page]
        assert await dead_letters.page(tx.connection, SCHEMA, limit=3, state="retried") == []
        assert len(await dead_letters.page(tx.connection, SCHEMA, limit=9, consumer="payments.worker")) == 7
        assert await dead_letters.page(tx.connection, SCHEMA, limit=9, consumer="another") == []

    assert seen == ids[::-1]


async def test_a_page_never_loads_the_messages_themselves(ground: Ground) -> None:
    dead_letter_id = await add(ground, 1)
    async with ground.database.reading() as tx:
        (listed,) = await dead_letters.page(tx.connection, SCHEMA, limit=9)

    assert listed.id == dead_letter_id
    assert not {"message", "key", "headers"} & set(dir(listed))


async def test_a_retry_that_fails_leaves_nothing_but_its_reason(ground: Ground) -> None:
    dead_letter_id = await add(ground, 1)

    async def fail(tx: Transaction, letter: DeadLetter) -> None:
        await note(tx, letter.id, "half done")
        raise KeyError("still wrong")

    async with ground.database.transaction() as tx:
        retried = await dead_letters.retry(tx, SCHEMA, dead_letter_id, {"payments.worker": fail})

    assert (retried.state, retried.attempts, retried.reason) == ("open", 1, "KeyError: 'still wrong'")
    letter = await find(ground, dead_letter_id)
    assert (letter.state, letter.reason_class, letter.attempts) == ("open", "KeyError", 1)
    assert await ground.effects() == []


async def test_a_fault_of_the_infrastructure_is_no_outcome_of_a_retry(ground: Ground) -> None:
    dead_letter_id = await add(ground, 1)

    async def cut(tx: Transaction, letter: DeadLetter) -> None:
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        async with ground.database.transaction() as tx:
            await dead_letters.retry(tx, SCHEMA, dead_letter_id, {"payments.worker": cut})
    assert (await find(ground, dead_letter_id)).attempts == 0


async def test_what_is_not_there_cannot_be_retried(ground: Ground) -> None:
    dead_letter_id = await add(ground, 1)
    missing = str(UUID(int=0))
    async with ground.database.transaction() as tx:
        with pytest.raises(DeadLetterNotFoundError) as not_found:
            await dead_letters.retry(tx, SCHEMA, missing, {})
        with pytest.raises(NobodyRetriesError) as nobody:
            await dead_letters.retry(tx, SCHEMA, dead_letter_id, {})
    assert (not_found.value.dead_letter_id, nobody.value.consumer) == (missing, "payments.worker")


async def test_an_unreadable_message_that_can_be_read_by_now_has_its_effect_once(ground: Ground) -> None:
    """A newer version reads both; the second had also been delivered, readable, meanwhile: it is a duplicate."""
    consumer = Consumer("noting", reads=[PAYMENTS_EVENTS])

    @consumer.on(PaymentUpdated)
    async def note_it(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        await note(tx, event.id, f"{event.id} was handled")

    fresh, delivered = an_event("pay_1"), an_event("pay_2")
    letters = []
    for event in (fresh, delivered):
        letter = Letter(
            consumer="noting",
            pointer="payments-events/0/0",
            message=event.encode(),
            error=ValueError("an older version could not read it"),
            topic=PAYMENTS_EVENTS.name,
            partition=0,
            record_offset=0,
            event_id=f"unreadable:{new_id()}",
        )
        async with ground.database.transaction() as tx:
            letters.append(await dead_letters.add(tx, SCHEMA, letter))
    async with ground.database.transaction() as tx:
        await tx.connection.execute(
            text(f"INSERT INTO {SCHEMA}.inbox (consumer, event_id) VALUES ('noting', :id)"), {"id": delivered.id}
        )
    for dead_letter_id in letters:
        async with ground.database.transaction() as tx:
            retried = await dead_letters.retry(tx, SCHEMA, dead_letter_id, {"noting": consumer.retrier(SCHEMA)})
        assert retried.state == "retried"

    assert await ground.effects() == [f"{fresh.id} was handled"]
