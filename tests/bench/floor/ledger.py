"""The floor of posting: journals of a hundred payments in a transaction, each table by one statement. Frozen.

The tables have the same guards as ours. Two connections post side by side, and every payment moves the same clearing
account.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import uvloop

CONNECTIONS: Final = 2
PAYMENTS_A_BATCH: Final = 100
MEMBERS: Final = 200
AMOUNT_MINOR: Final = 11_000
GST_MINOR: Final = 1_000
JOURNALS: Final = """
INSERT INTO journals (id, source, source_key, economic_key, subject, kind, words, effective_at, effective_on,
                      recorded_at, member_id)
SELECT id, 'facts', key || '#1', key, key, 'original', words, $4::timestamptz, ($4::timestamptz)::date,
       $4::timestamptz, member
FROM unnest($1::uuid[], $2::text[], $3::text[], $5::text[]) AS j (id, key, words, member)
"""
ENTRIES: Final = """
INSERT INTO ledger_entries (journal_id, line, account, currency, amount_minor, phase, tax_code)
SELECT journal_id, line, account, 'AUD', amount_minor, 'posted', tax_code
FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::bigint[], $5::text[])
    AS e (journal_id, line, account, amount_minor, tax_code)
"""
Journal = tuple[uuid.UUID, str, str, str]
Entry = tuple[uuid.UUID, int, str, int, str]


def payment(number: int) -> tuple[list[Journal], list[Entry]]:
    """The two journals of a paid membership: what is owed, and what came in."""
    invoice, paid = uuid.uuid4(), uuid.uuid4()
    member = f"mem_{number % MEMBERS}"
    owed = f"1100 member_receivable:{member}"
    journals = [
        (invoice, f"invoice:{invoice}", "Membership charge", member),
        (paid, f"payment:{paid}", "Payment by card", member),
    ]
    entries = [
        (invoice, 1, owed, AMOUNT_MINOR, "N-T"),
        (invoice, 2, "2100 gst_payable", -GST_MINOR, "GST"),
        (invoice, 3, "4100 membership_revenue", GST_MINOR - AMOUNT_MINOR, "GST"),
        (paid, 1, "1200 clearing:stripe", AMOUNT_MINOR, "N-T"),
        (paid, 2, owed, -AMOUNT_MINOR, "N-T"),
    ]
    return journals, entries


async def post(connection: asyncpg.Connection, journals: list[Journal], entries: list[Entry]) -> None:
    """Post journals with their entries in one transaction."""
    async with connection.transaction():
        ids, keys, words, members = (list(column) for column in zip(*journals, strict=True))
        await connection.execute(JOURNALS, ids, keys, words, datetime.now(UTC), members)
        await connection.execute(ENTRIES, *(list(column) for column in zip(*entries, strict=True)))


async def worker(number: int, until: float, done: list[float]) -> None:
    """Post batches until the time is up; notes a time for each journal that is committed."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    made = number * 10**9
    try:
        while time.monotonic() < until:
            journals: list[Journal] = []
            entries: list[Entry] = []
            for _ in range(PAYMENTS_A_BATCH):
                made += 1
                more = payment(made)
                journals += more[0]
                entries += more[1]
            await post(connection, journals, entries)
            done += [time.monotonic()] * len(journals)
    finally:
        await connection.close()


def told(done: list[float], began: float, ended: float, cpu_seconds: float) -> dict[str, Any]:
    """What was committed inside the span."""
    inside = sum(began <= at <= ended for at in done)
    return {"posted": len(done), "rate": inside / (ended - began), "cpu_seconds": cpu_seconds, "inside": inside}


async def main() -> None:
    seconds, warm_up = float(os.environ["SECONDS"]), float(os.environ["WARM_UP_SECONDS"])
    done: list[float] = []
    began = time.monotonic() + warm_up
    await asyncio.gather(*(worker(number, began + seconds, done) for number in range(CONNECTIONS)))
    sys.stdout.write(json.dumps(told(done, began, began + seconds, time.process_time())) + "\n")


if __name__ == "__main__":
    uvloop.run(main())
