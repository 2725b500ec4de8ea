"""What a soak must leave: every event once, the same money for every copy of a month, sums of zero, a ledger that
verifies and that is rebuilt identically.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer
from contracts.events import PaymentProviderEventIngested
from contracts.registry import decode, type_of

from tests.soak.month import Chaos
from tests.support.service_process import ServiceProcess

COMMAND_LIMIT_SECONDS: Final = 3_600
_FETCH_MAX_BYTES: Final = 8 * 1_048_576
_INGESTED_TYPE: Final = type_of(PaymentProviderEventIngested).name
_INGESTED: Final = _INGESTED_TYPE.encode()
EVENTS: Final = """
SELECT count(*) AS events, count(DISTINCT (provider, event_id)) AS different,
       count(*) FILTER (WHERE outcome IS NULL) AS untold, coalesce(sum(deliveries), 0)::bigint AS deliveries
FROM payments.provider_events
"""
# A correction follows what it corrects; nothing else may have the same economic key.
TWICE: Final = """
SELECT count(*) FROM (SELECT FROM payments.journals WHERE kind = 'original' GROUP BY economic_key, effective_at
                      HAVING count(*) > 1) AS t
"""
SUMS: Final = """
SELECT count(*) FROM (SELECT FROM payments.ledger_entries GROUP BY currency, phase HAVING sum(amount_minor) <> 0) AS s
"""
BALANCES: Final = """
SELECT count(*) FROM payments.balances AS b
FULL JOIN (SELECT account, currency, phase, sum(amount_minor) AS amount_minor FROM payments.ledger_entries
           GROUP BY account, currency, phase) AS e USING (account, currency, phase)
WHERE coalesce(b.amount_minor, 0) <> coalesce(e.amount_minor, 0)
"""
# What stands for each copy of each month, counted over the copies.
NET: Final = """
SELECT key, account, at, phase, amount_minor, count(*) AS copies FROM (
    SELECT regexp_replace(j.economic_key, 'x[0-9]{7}', '', 'g') AS key, j.economic_key, e.account,
           j.effective_at AS at, e.phase, sum(e.amount_minor)::bigint AS amount_minor
    FROM payments.ledger_entries AS e JOIN payments.journals AS j ON j.id = e.journal_id
    GROUP BY 1, 2, 3, 4, 5
) AS n WHERE amount_minor <> 0 GROUP BY 1, 2, 3, 4, 5
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in the tables; everything but the first three is to be 0."""

    different_events: int
    duplicates: int
    journals: int
    lost: int
    stored_twice: int
    posted_twice: int
    without_outcome: int
    sums_not_zero: int
    balances_off: int
    dead_letters: int


async def look(url: str, chaos: Chaos, *, deliveries: int) -> tuple[Found, list[str]]:
    """Look into the tables, after so many deliveries; returns what is there, and in words what should not be."""
    connection = await asyncpg.connect(url, command_timeout=COMMAND_LIMIT_SECONDS)
    try:
        events = await connection.fetchrow(EVENTS)
        found = Found(
            different_events=events["different"],
            duplicates=events["deliveries"] - events["events"],
            journals=await connection.fetchval("SELECT count(*) FROM payments.journals"),
            lost=chaos.different_of(deliveries) - events["different"],
            stored_twice=events["events"] - events["different"],
            posted_twice=await connection.fetchval(TWICE),
            without_outcome=events["untold"],
            sums_not_zero=await connection.fetchval(SUMS),
            balances_off=await connection.fetchval(BALANCES),
            dead_letters=await connection.fetchval("SELECT count(*) FROM payments.dead_letters"),
        )
        net = await connection.fetch(NET)
    finally:
        await connection.close()
    wanted_to_be_none = list(asdict(found).items())[3:]
    faults = [f"{count:,} {name.replace('_', ' ')}" for name, count in wanted_to_be_none if count]
    answered = chaos.events_of(deliveries)
    if events["deliveries"] < answered:
        faults.append(f"{events['deliveries']:,} arrivals are counted, {answered:,} were answered")
    # What fewer copies than all have is wrong only where all was sent.
    return found, faults + (_uneven(net, chaos) if deliveries == len(chaos) else [])


def _uneven(net: list[Any], chaos: Chaos) -> list[str]:
    """Every copy of a month leaves the same: what fewer copies than all have was lost, posted twice or otherwise."""
    if not net:
        return ["nothing was posted"]
    return [
        f"{row['copies']:,} of {chaos.copies:,} copies have {row['amount_minor']} on {row['account']} for {row['key']}"
        for row in net
        if row["copies"] != chaos.copies
    ]


async def told_twice(servers: str, topic: str, chaos: Chaos, *, deliveries: int) -> list[str]:
    """Hold what was published against the events: one telling of each, delivered as often as the relay had to."""
    tellings: dict[str, str] = {}
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", max_partition_fetch_bytes=_FETCH_MAX_BYTES
    )
    await consumer.start()
    try:
        places = consumer.assignment()
        ends = await consumer.end_offsets(places)
        while [each for each in places if await consumer.position(each) < ends[each]]:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                # Most of a topic is told of payments: only what may be meant is read.
                for event in (decode(each.value) for each in records if each.value and _INGESTED in each.value):
                    if event.type == _INGESTED_TYPE:
                        tellings[event.id] = event.data.body["provider_event"]["id"]
    finally:
        await consumer.stop()
    times = Counter(tellings.values())
    doubled, missing = sum(count > 1 for count in times.values()), chaos.different_of(deliveries) - len(times)
    found = {f"{doubled:,} events are told twice": doubled, f"{missing:,} events are not told": missing}
    return [words for words, count in found.items() if count]


async def commands(process: ServiceProcess) -> dict[str, str]:
    """What `verify` and `rebuild --check` say; each must end well."""
    said = {}
    for name, arguments in (("verify", ["verify"]), ("rebuild", ["rebuild", "--check"])):
        done = await asyncio.to_thread(_run, process, arguments)
        said[name] = (
            "; ".join(done.stdout.split("\n")).strip("; ")
            if done.returncode == 0
            else f"exit {done.returncode}: {done.stdout[-2_000:]}{done.stderr}"
        )
    return said


def _run(process: ServiceProcess, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "payments", *arguments],
        env=process.environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_SECONDS,
        check=False,
    )
