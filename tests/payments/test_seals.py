"""Journals are sealed in a chain a moment after they are posted; what somebody does to either is named.

Somebody who owns the database edits, deletes, adds and seals anew, with every trigger off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import orjson
import pytest
from chassis.clock import BusinessClock
from chassis.database import Database, create_engine
from payments.ledger import seals, verification
from payments.ledger.jobs import Sealer
from payments.ledger.sealing import GENESIS, fingerprints, link
from payments.ledger.verification import Report, Verifier

from tests.payments.test_ledger_guards import FIRST, JOURNAL, SECOND, post
from tests.payments.test_ledger_verification import OFF, ON, as_superuser
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase

THIRD = "01900000-0000-7000-8000-000000000003"
ELSEWHERE = [("1290 other_receipts", "AUD", 500, "posted"), ("1300 bank", "AUD", -500, "posted")]
"""Accounts whose balances nobody else waits for."""
TABLES = ("journals", "ledger_entries", "seals", "seal_anchors")


class Ledger:
    """A ledger of three sealed journals."""

    def __init__(self, place: TemporaryDatabase) -> None:
        self.place = place
        engine = create_engine(place.url_for("payments"), application="tests")
        self.database = Database(engine, service="payments", schema="payments", clock=BusinessClock())

    async def sealed(self) -> int:
        done = 0
        while True:
            async with self.database.transaction() as tx:
                step = await seals.seal(tx.connection)
            if step == 0:
                return done
            done += step

    async def rests(self) -> bool:
        """Whether nothing is left to do; whoever writes elsewhere on this server is waited for."""
        await self.sealed()
        async with self.database.reading() as tx:
            return not await seals.behind(tx.connection)

    async def verified(self, anchors: dict[int, bytes] | None = None) -> Report:
        async with self.database.reading() as tx:
            return await verification.verify(tx.connection, anchors=anchors)

    async def tampered(self, *statements: str) -> None:
        tables = [*map(OFF.format, TABLES)], [*map(ON.format, TABLES)]
        await as_superuser(self.place, *tables[0], *statements, *tables[1])

    async def sealed_anew(self, *, last: int) -> None:
        """What a superuser does who knows how seals are made: make the first ones anew, so that each fits."""
        connection = await asyncpg.connect(self.place.admin_url, server_settings={"timezone": "UTC"})
        before = GENESIS
        try:
            await connection.execute(OFF.format("seals"))
            for row in await connection.fetch(seals._PAGE, 0):
                if row["number"] > last:
                    break
                journal, entries = orjson.loads(row["journal"]), orjson.loads(row["entries"])
                before = link(before, journal, entries)
                await connection.execute(
                    "UPDATE payments.seals SET hash = $1, fingerprints = $2 WHERE number = $3",
                    before,
                    fingerprints(journal, entries),
                    row["number"],
                )
            await connection.execute(
                "UPDATE payments.seal_head SET last_hash = hash FROM payments.seals AS s WHERE s.number = last_number"
            )
            await connection.execute(ON.format("seals"))
        finally:
            await connection.close()


@pytest.fixture
async def ledger(database_for: Callable[..., Awaitable[TemporaryDatabase]]) -> AsyncIterator[Ledger]:
    ledger = Ledger(await database_for("payments"))
    for journal in (FIRST, SECOND, THIRD):
        await as_superuser(ledger.place, journal=journal)
    assert await ledger.sealed() == 3
    yield ledger
    await ledger.database.close()


async def test_a_sealed_ledger_is_fine_and_says_where_its_chain_ends(ledger: Ledger) -> None:
    report = await ledger.verified()
    assert (report.findings, report.journals, report.entries, report.sealed) == ([], 3, 6, 3)
    assert (await ledger.verified({3: report.last_hash})).findings == []
    assert await ledger.sealed() == 0


async def test_the_services_sealer_seals_what_appears_and_then_rests(ledger: Ledger) -> None:
    await eventually(ledger.rests)
    sealer = Sealer(ledger.database)
    assert await sealer.step() is False

    await as_superuser(ledger.place, journal=THIRD[:-1] + "4")
    assert await sealer.step() is False  # there is no more
    assert (await ledger.verified()).sealed == 4


DOUBLED = "UPDATE payments.ledger_entries SET amount_minor = 2 * amount_minor"
TAMPERED = {
    "a word": (
        f"UPDATE payments.journals SET words = 'other' WHERE id = '{SECOND}'",
        f"journal: {SECOND} column words: is 'other', was sealed as something else",
    ),
    "whose it is": (
        f"UPDATE payments.journals SET member_id = 'isla-morgan' WHERE id = '{SECOND}'",
        f"journal: {SECOND} column member_id: is 'isla-morgan', was sealed as something else",
    ),
    "both amounts and the balances": (
        f"{DOUBLED} WHERE journal_id = '{FIRST}'; UPDATE payments.balances SET amount_minor = amount_minor * 4 / 3",
        f"journal: {FIRST} entry 2 column amount_minor: is -1000, was sealed as something else",
    ),
    "an account": (
        f"UPDATE payments.ledger_entries SET account = '1300 bank' WHERE journal_id = '{THIRD}' AND line = 1",
        f"journal: {THIRD} entry 1 column account: is '1300 bank', was sealed as something else",
    ),
    "an entry deleted": (
        f"DELETE FROM payments.ledger_entries WHERE journal_id = '{THIRD}' AND line = 2",
        f"journal: {THIRD} entry 2: no such entry",
    ),
    "entries added": (
        "INSERT INTO payments.ledger_entries (journal_id, line, account, currency, amount_minor, phase, tax_code)"
        f" VALUES ('{FIRST}', 3, 'x', 'AUD', 5, 'posted', 'N-T'), ('{FIRST}', 4, 'y', 'AUD', -5, 'posted', 'N-T')",
        f"journal: {FIRST} entry 3: was added later",
    ),
    "a journal deleted": (
        f"DELETE FROM payments.ledger_entries WHERE journal_id = '{SECOND}';"
        f" DELETE FROM payments.journals WHERE id = '{SECOND}'",
        f"journal: {SECOND}: no such journal, seal 2 is over it",
    ),
    "a journal deleted and its entries left": (
        f"DELETE FROM payments.seals; DELETE FROM payments.journals WHERE id = '{SECOND}'",
        f"journal: {SECOND}: no such journal, 2 entries belong to it",
    ),
    "a seal deleted": (
        "DELETE FROM payments.seals WHERE number = 2",
        "chain: seal 2: no such seal, the next one is 3",
    ),
    "a journal and its seal deleted": (
        f"DELETE FROM payments.ledger_entries WHERE journal_id = '{SECOND}';"
        f" DELETE FROM payments.journals WHERE id = '{SECOND}'; DELETE FROM payments.seals WHERE number = 2",
        f"chain: seal 3 over journal {THIRD} does not follow from the one before it: one of them was made anew",
    ),
    "the last seals deleted": (
        "DELETE FROM payments.seals WHERE number > 1",
        "chain: the head says seal 3, the chain ends with seal 1",
    ),
    "the last seals deleted and the head set back": (
        "DELETE FROM payments.seals WHERE number > 1; UPDATE payments.seal_head SET last_number = 1,"
        " last_hash = (SELECT hash FROM payments.seals WHERE number = 1), settled = 0",
        "chain: seal 3 was noted, and the chain ends with seal 1",
    ),
    "a hash": (
        "UPDATE payments.seals SET hash = decode(repeat('ab', 32), 'hex') WHERE number = 3",
        "chain: the head has another hash than seal 3",
    ),
    "a journal pushed in": (
        "SET session_replication_role = replica; INSERT INTO payments.journals (number, id, source, source_key,"
        " economic_key, subject, kind, words, effective_at, effective_on, recorded_at) OVERRIDING SYSTEM VALUE"
        " SELECT 0, gen_random_uuid(), 'test', 'pushed', 'test', 'test', 'original', '', now(), current_date, now();"
        " UPDATE payments.seal_head SET settled = 3",
        "no entries",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_what_was_done_behind_the_guards_is_named(ledger: Ledger, what: str) -> None:
    statement, words = TAMPERED[what]
    await ledger.tampered(*statement.split(";"))
    report = await ledger.verified()
    assert report.verdict == verification.TAMPERED
    assert any(words in finding for finding in report.findings), report.findings


async def test_one_seal_made_anew_no_longer_fits_the_next(ledger: Ledger) -> None:
    await ledger.tampered(f"UPDATE payments.journals SET words = 'other' WHERE id = '{SECOND}'")
    await ledger.sealed_anew(last=2)
    words = f"chain: seal 3 over journal {THIRD} does not follow from the one before it: one of them was made anew"
    assert (await ledger.verified()).findings == [words]


async def test_a_chain_made_anew_as_a_whole_contradicts_what_was_noted(ledger: Ledger) -> None:
    noted = (await ledger.verified()).last_hash
    await ledger.tampered(f"UPDATE payments.journals SET words = 'other' WHERE id = '{SECOND}'")
    await ledger.sealed_anew(last=3)
    words = f"chain: seal 3 over journal {THIRD} was noted with another hash: what is up to it was sealed anew"
    assert (await ledger.verified()).findings == [words]

    await ledger.tampered("DELETE FROM payments.seal_anchors")
    assert (await ledger.verified()).findings == [], "whoever owns the database can rewrite all that it holds"
    assert (await ledger.verified({3: noted})).findings == [words], "but not what somebody noted elsewhere"


async def test_a_journal_that_commits_after_later_ones_were_sealed_is_sealed_in_its_turn(ledger: Ledger) -> None:
    late, last = THIRD[:-1] + "4", THIRD[:-1] + "5"
    slow = await asyncpg.connect(ledger.place.admin_url)
    async with slow.transaction():
        await slow.execute(JOURNAL, late)
        await post(slow, late, ELSEWHERE)
        await as_superuser(ledger.place, journal=last)
        assert await ledger.sealed() == 1
        assert await ledger.sealed() == 0
    await slow.close()

    assert await ledger.sealed() == 1
    report = await ledger.verified()
    assert (report.findings, report.sealed) == ([], 5)
    await eventually(ledger.rests)
    async with ledger.database.reading() as tx:
        assert (await seals.head(tx.connection)).settled > 0


async def test_several_who_seal_make_one_chain(ledger: Ledger) -> None:
    for number in range(10, 30):
        await as_superuser(ledger.place, journal=f"{THIRD[:-2]}{number}")
    assert sum(await asyncio.gather(*(ledger.sealed() for _ in range(4)))) == 20
    report = await ledger.verified()
    assert (report.findings, report.sealed) == ([], 23)


async def test_the_services_own_look_reads_what_is_new_and_a_part_of_what_is_old(ledger: Ledger) -> None:
    verifier = Verifier()

    async def looks() -> tuple[bool, dict[str, int], str | None]:
        async with ledger.database.reading() as tx:
            found = await verifier(tx.connection)
        return found.clean, dict(found.counted), found.words

    assert await looks() == (True, {"journals": 3, "entries": 6, "unbalanced": 0}, None)
    await as_superuser(ledger.place, journal=THIRD[:-1] + "4")
    assert await looks() == (True, {"journals": 4, "entries": 8, "unbalanced": 0}, None)
    await ledger.sealed()
    assert await looks() == (True, {"journals": 4, "entries": 8, "unbalanced": 0}, None)

    await ledger.tampered(f"UPDATE payments.journals SET words = 'other' WHERE id = '{FIRST}'")
    words = f"journal: {FIRST} column words: is 'other', was sealed as something else"
    found = [(await looks())[2] for _ in range(3)]
    assert words in found[:2], "after the last seals it is the turn of the first ones"
    assert found[2] == words, "what is found makes the next look a whole one"
    await ledger.tampered(f"UPDATE payments.journals SET words = 'a test' WHERE id = '{FIRST}'")
    assert (await looks())[0] is True
