"""Items that arrive together share a commit; one that is refused fails alone; an outage is told at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest
from backbone.postgres import Cluster
from chassis.database import Database
from chassis.faults import Fault, classify
from chassis.group_commit import GroupCommit, GroupLimits, OverloadedError, StoppedError
from chassis.web.problems import problem_of

from tests.support import specimen
from tests.support.infrastructure import Databases, TemporaryDatabase

INSERT = """
INSERT INTO specimen.notes (name, amount) SELECT * FROM unnest($1::text[], $2::int[]) RETURNING id
"""


@dataclass(frozen=True)
class Note:
    name: str
    amount: int = 0


@dataclass
class Writer:
    """Writes notes; a gate holds each group back until the test lets it through."""

    groups: list[list[str]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def __call__(self, connection: asyncpg.Connection, items: Sequence[Note]) -> Sequence[int]:
        self.groups.append([item.name for item in items])
        self.begun.set()
        await self.gate.wait()
        rows = await connection.fetch(INSERT, [item.name for item in items], [item.amount for item in items])
        return [row["id"] for row in rows]


@pytest.fixture
async def database(fresh_database: TemporaryDatabase) -> AsyncIterator[Database]:
    await specimen.make(fresh_database)
    opened = specimen.opened(fresh_database.url_for("specimen"))
    yield opened
    await opened.close()


def group_commit(database: Database, writer: Writer, **limits: float) -> GroupCommit[Note, int]:
    given = GroupLimits(**limits)  # type: ignore[arg-type]
    return GroupCommit(database, writer, name="notes", size_of=lambda note: len(note.name), limits=given)


async def one_turn() -> None:
    """Let every task that is ready take its next step."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_soon(passed.set)
    await passed.wait()


async def committed(database: Database) -> list[str]:
    async with database.engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT name FROM specimen.notes ORDER BY name")
        return list(rows.scalars())


async def test_items_of_one_moment_share_one_commit_and_each_gets_its_own_result(database: Database) -> None:
    writer = Writer()
    commits = group_commit(database, writer)

    ids = await asyncio.gather(*(commits.submit(Note(f"note {number}")) for number in range(50)))

    assert writer.groups == [[f"note {number}" for number in range(50)]]
    assert ids == sorted(set(ids))
    assert len(await committed(database)) == 50


async def test_the_answer_comes_after_the_commit(database: Database) -> None:
    commits = group_commit(database, Writer())

    await commits.submit(Note("Isla Morgan"))

    assert await committed(database) == ["Isla Morgan"]
    assert await commits.committed.wait(0)


async def test_while_a_commit_is_in_flight_the_next_group_gathers(database: Database) -> None:
    writer = Writer()
    commits = group_commit(database, writer, max_wait_behind_seconds=60)
    writer.gate.clear()
    first = asyncio.create_task(commits.submit(Note("first")))
    await writer.begun.wait()

    others = [asyncio.create_task(commits.submit(Note(f"other {number}"))) for number in range(20)]
    await one_turn()
    assert commits.waiting == 20
    writer.gate.set()
    await asyncio.gather(first, *others)

    assert [len(group) for group in writer.groups] == [1, 20]


async def test_behind_a_slow_commit_another_one_begins_beside_it(database: Database) -> None:
    writer = Writer()
    commits = group_commit(database, writer, max_wait_behind_seconds=0.001, commits_in_flight=2)
    writer.gate.clear()
    first = asyncio.create_task(commits.submit(Note("slow")))
    await writer.begun.wait()
    writer.begun.clear()

    second = asyncio.create_task(commits.submit(Note("quick")))
    async with asyncio.timeout(10):
        await writer.begun.wait()

    assert writer.groups == [["slow"], ["quick"]], "while the first is still held"
    writer.gate.set()
    await asyncio.gather(first, second)


async def test_no_group_is_larger_than_its_limits(database: Database) -> None:
    writer = Writer()
    commits = group_commit(database, writer, max_items=7, max_bytes=40)

    await asyncio.gather(*(commits.submit(Note(f"{number:010}")) for number in range(9)))

    # How the rest is parted depends on how long the first commit takes.
    sizes = [len(group) for group in writer.groups]
    assert (max(sizes), sum(sizes)) == (4, 9)


async def test_an_item_larger_than_a_group_is_a_group_of_its_own(database: Database) -> None:
    commits = group_commit(database, Writer(), max_bytes=4, queue_max_bytes=4)

    await commits.submit(Note("much larger than four bytes"))

    assert await committed(database) == ["much larger than four bytes"]


@pytest.mark.parametrize("amount", [-1, 2**40], ids=["refused by PostgreSQL", "refused by the driver"])
async def test_an_item_that_is_refused_fails_alone(database: Database, amount: int) -> None:
    commits = group_commit(database, Writer())
    notes = [Note(f"note {number}", amount if number == 13 else 0) for number in range(40)]

    answers = await asyncio.gather(*(commits.submit(note) for note in notes), return_exceptions=True)

    assert [number for number, answer in enumerate(answers) if isinstance(answer, BaseException)] == [13]
    assert isinstance(answers[13], BaseException)
    assert classify(answers[13]) is Fault.POISON
    assert len(await committed(database)) == 39


async def test_what_only_the_commit_finds_fails_alone_too(database: Database) -> None:
    """The unique constraint is deferred, so that COMMIT is what refuses."""
    commits = group_commit(database, Writer())
    await commits.submit(Note("Mark Stevens"))

    answers = await asyncio.gather(
        *(commits.submit(Note(name)) for name in ("Emma", "Mark Stevens", "Alessandro")), return_exceptions=True
    )

    assert [isinstance(answer, BaseException) for answer in answers] == [False, True, False]
    assert await committed(database) == ["Alessandro", "Emma", "Mark Stevens"]


async def test_a_caller_that_hangs_up_changes_nothing(database: Database) -> None:
    writer = Writer()
    commits = group_commit(database, writer)
    writer.gate.clear()
    gone = asyncio.create_task(commits.submit(Note("Emma")))
    stays = asyncio.create_task(commits.submit(Note("Isla Morgan")))
    await writer.begun.wait()

    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    writer.gate.set()
    await stays

    assert await committed(database) == ["Emma", "Isla Morgan"]


async def test_beyond_the_queue_everybody_is_told_to_come_back(database: Database) -> None:
    writer = Writer()
    commits = group_commit(database, writer, queue_max_items=3, max_wait_behind_seconds=60)
    writer.gate.clear()
    first = asyncio.create_task(commits.submit(Note("first")))
    await writer.begun.wait()
    waiting = [asyncio.create_task(commits.submit(Note(f"waiting {number}"))) for number in range(3)]
    await one_turn()
    assert commits.waiting == 3

    with pytest.raises(OverloadedError) as refused:
        await commits.submit(Note("one too many"))

    assert problem_of(refused.value).type.status == 503
    assert not commits.check().ok
    writer.gate.set()
    await asyncio.gather(first, *waiting)
    assert "one too many" not in await committed(database)
    assert commits.check().ok


async def test_stopping_answers_everybody_and_takes_nobody_more(database: Database) -> None:
    writer = Writer()
    commits = group_commit(database, writer, max_wait_behind_seconds=60)
    running = asyncio.create_task(commits.run())
    writer.gate.clear()
    first = asyncio.create_task(commits.submit(Note("first")))
    await writer.begun.wait()
    second = asyncio.create_task(commits.submit(Note("second")))
    await one_turn()
    assert commits.waiting == 1

    stopping = asyncio.create_task(commits.stop())
    await one_turn()
    with pytest.raises(StoppedError):
        await commits.submit(Note("too late"))
    writer.gate.set()
    await asyncio.gather(stopping, running, first, second)

    assert await committed(database) == ["first", "second"]


async def test_stopping_with_nothing_to_do_ends_at_once(database: Database) -> None:
    commits = group_commit(database, Writer())
    running = asyncio.create_task(commits.run())

    await commits.stop()
    await running


async def test_two_ingresses_that_write_the_same_wait_for_each_other(database: Database) -> None:
    """Two groups that lock the same notes in other orders: PostgreSQL ends one of them, and it is simply run again."""
    await group_commit(database, Writer()).submit(Note("a"))
    await group_commit(database, Writer()).submit(Note("b"))
    both = asyncio.Barrier(2)

    async def crossing(connection: asyncpg.Connection, items: Sequence[Note]) -> Sequence[str]:
        statement = "UPDATE specimen.notes SET amount = amount + 1 WHERE name = $1"
        first, second = items[0].name[0], items[0].name[1]
        async with connection.transaction():
            await connection.execute(statement, first)
            if not both.broken and attempts[items[0].name] == 0:
                attempts[items[0].name] += 1
                await both.wait()
            await connection.execute(statement, second)
        return [item.name for item in items]

    attempts = {"ab": 0, "ba": 0}
    ingresses: list[GroupCommit[Note, str]] = [
        GroupCommit(database, crossing, name=name, size_of=lambda note: len(note.name)) for name in ("one", "other")
    ]

    answers = await asyncio.gather(ingresses[0].submit(Note("ab")), ingresses[1].submit(Note("ba")))

    assert list(answers) == ["ab", "ba"]
    async with database.engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT amount FROM specimen.notes")
        assert list(rows.scalars()) == [2, 2]


async def test_an_outage_is_told_at_once_and_ends_by_itself(private_postgres: Cluster) -> None:
    """PostgreSQL is killed under a commit, stays away, and comes back."""
    given = await Databases(private_postgres.admin_url).create()
    await specimen.make(given)
    database, writer = specimen.opened(given.url_for("specimen")), Writer()
    commits = group_commit(database, writer, max_wait_behind_seconds=60)
    await commits.submit(Note("before"))

    writer.begun.clear()
    writer.gate.clear()
    first = asyncio.create_task(commits.submit(Note("lost")))
    await writer.begun.wait()
    others = [asyncio.create_task(commits.submit(Note(f"lost {number}"))) for number in range(10)]
    await one_turn()
    assert commits.waiting == 10
    await asyncio.to_thread(private_postgres.kill)
    writer.gate.set()
    async with asyncio.timeout(10):
        answers = await asyncio.gather(first, *others, return_exceptions=True)

    assert {problem_of(answer).type.status for answer in answers if isinstance(answer, Exception)} == {503}
    assert len([answer for answer in answers if isinstance(answer, Exception)]) == 11
    assert not commits.check().ok
    with pytest.raises(Exception) as refused:  # noqa: PT011 - whatever the driver calls it
        await commits.submit(Note("nobody there"))
    assert classify(refused.value) is Fault.INFRASTRUCTURE

    await asyncio.to_thread(private_postgres.start)
    await commits.submit(Note("after"))
    assert commits.check().ok
    assert await committed(database) == ["after", "before"]
    await database.close()


async def test_a_server_that_stops_answering_is_given_up(database: Database) -> None:
    commits = group_commit(database, Writer(), timeout_seconds=0.3)
    async with database.engine.begin() as other:
        await other.exec_driver_sql("LOCK TABLE specimen.notes")

        with pytest.raises(Exception) as refused:  # noqa: PT011 - whatever the driver calls it
            await commits.submit(Note("Emma"))

    assert classify(refused.value) is Fault.INFRASTRUCTURE
    await commits.submit(Note("Isla Morgan"))
    assert await committed(database) == ["Isla Morgan"]
