"""One soak: two whole processes of payments on a database of their own, killed in turn while everything arrives."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import httpx
from chassis import tokens
from contracts.envelope import Actor
from contracts.topics import PAYMENTS_EVENTS

from tests.gateway.behind import listening
from tests.soak import checking
from tests.soak.checking import Found
from tests.soak.month import MEMBERS, Chaos, customer
from tests.soak.sending import Sending, Told
from tests.soak.showing import Showing
from tests.support.infrastructure import TemporaryDatabase
from tests.support.service_process import ServiceProcess
from tests.support.services import PRIVATE_KEY

SECRET: Final = "whsec_only_for_the_soak_0001"
PROCESSES: Final = 2
_LEFT: Final = """
SELECT (SELECT count(*) FROM payments.pending_events) AS queued, (SELECT count(*) FROM payments.outbox) AS untold,
       (SELECT count(*) FROM payments.fetches WHERE starts_with(key, 'gocardless/')) AS unread
"""
# What a process that was killed had begun to read is tried again a minute later.
_A_MINUTE_GOES_BY: Final = """
UPDATE payments.fetches SET due_at = now() WHERE due_at > now() AND starts_with(key, 'gocardless/')
"""
_DRAIN_TURN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much, and for how long. `kill_every_events` instead of seconds: where nothing may depend on the clock."""

    events: int
    duplicates: float
    seed: int
    limit_seconds: float
    kill_every_seconds: float | None = None
    kill_every_events: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was done and found; `faults` is empty where all is well."""

    deliveries: int
    events: int
    kills: int
    sent_again: int
    read: int
    """Debits and mandates that were read from the provider."""
    seconds: float
    drained_seconds: float
    events_a_second: float
    cpu_ms_an_event: float
    postgres_cpu_ms_an_event: float | None
    whole: bool
    found: Found
    verified: str
    rebuilt: str
    faults: list[str]


async def soak(
    plan: Plan,
    database: TemporaryDatabase,
    servers: str,
    prefix: str,
    directory: Path,
    told: Told,
    postgres_cpu: Callable[[], float] | None = None,
) -> Report:
    """Run it; the topics must be there. Leaves no process behind."""
    chaos = Chaos(plan.events, plan.duplicates, plan.seed)
    showing = Showing(chaos)
    used = _Used(postgres_cpu)
    async with listening(showing) as api:
        processes = [_process(database, servers, prefix, directory, number, api) for number in range(PROCESSES)]
        try:
            for each in processes:
                each.start()
            await asyncio.gather(*(each.ready() for each in processes))
            await _know_members(processes[0])
            told(f"{chaos.events:,} events, {chaos.different:,} different ones, in {len(chaos):,} deliveries")
            sending = Sending(
                chaos, processes, SECRET, plan.kill_every_seconds, plan.kill_every_events,
                time.monotonic() + plan.limit_seconds, told,
            )  # fmt: skip
            await sending.send_all()
            seconds = sending.seconds
            await asyncio.gather(*(each.ready() for each in processes))
            drained = await _drain(database, plan.limit_seconds, told)
            stopped = [await asyncio.to_thread(each.stop) for each in processes]
        finally:
            for each in processes:
                each.end()
    ours, postgres = used.ms_each(sending.answered)
    found, faults = await checking.look(database.url_for("payments"), chaos, deliveries=sending.taken)
    told("reading what was told")
    topic = prefix + PAYMENTS_EVENTS.name
    faults += await checking.told_twice(servers, topic, chaos, deliveries=sending.taken)
    told("verifying and rebuilding")
    said = await checking.commands(processes[0])
    faults += [f"{name}: {words}" for name, words in said.items() if words.startswith("exit ")]
    faults += [f"a process ended with {code}" for code in stopped if code != 0]
    return Report(
        deliveries=sending.taken,
        events=sending.answered,
        kills=sending.kills,
        sent_again=sending.refused.total(),
        read=showing.answered,
        seconds=round(seconds, 1),
        drained_seconds=round(drained, 1),
        events_a_second=round(sending.answered / (seconds + drained), 1),
        cpu_ms_an_event=ours,
        postgres_cpu_ms_an_event=postgres,
        whole=sending.taken == len(chaos),
        found=found,
        verified=said["verify"],
        rebuilt=said["rebuild"],
        faults=faults,
    )


class _Used:
    """CPU time of the processes, those that were killed included, and of PostgreSQL."""

    def __init__(self, postgres: Callable[[], float] | None) -> None:
        self._postgres = postgres
        self._before = self._read()

    def _read(self) -> tuple[float, float | None]:
        times = os.times()
        return times.children_user + times.children_system, self._postgres() if self._postgres else None

    def ms_each(self, events: int) -> tuple[float, float | None]:
        """Milliseconds for each of so many events; the processes must have ended."""
        (ours, postgres), (before, postgres_before) = self._read(), self._before
        each = 1e3 / max(events, 1)
        told = None if postgres is None or postgres_before is None else round((postgres - postgres_before) * each, 3)
        return round((ours - before) * each, 3), told


def _process(
    database: TemporaryDatabase, servers: str, prefix: str, directory: Path, number: int, api: str
) -> ServiceProcess:
    settings = {
        "instance": f"payments-{number + 1}",
        "stripe_webhook_secrets": SECRET,
        "gocardless_webhook_secrets": SECRET,
        "stripe_api_url": "http://127.0.0.1:1",  # all that it tells is told by events
        "gocardless_api_url": api,
        "gocardless_access_token": "only_for_the_soak",
        "log_level": "error",
    }
    return ServiceProcess.of("payments", database, servers, prefix, directory, **settings)


async def _know_members(process: ServiceProcess) -> None:
    actor = Actor(kind="staff", id="maria.rossi", name="Maria Rossi")
    token = tokens.mint(PRIVATE_KEY, audience="payments", actor=actor, scopes=["members:write"])
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=process.url, headers=headers, timeout=30, trust_env=False) as client:
        for number in range(MEMBERS):
            given = {"name": "Mark Stevens", "customers": [customer(number)]}
            (await client.put(f"/members/soak-{number}", json=given)).raise_for_status()


async def _drain(database: TemporaryDatabase, limit_seconds: float, told: Told) -> float:
    """Wait until everything is read, applied and told. Raises TimeoutError with what is left."""
    began = time.monotonic()
    connection = await asyncpg.connect(database.admin_url)
    try:
        while any(left := await connection.fetchrow(_LEFT)):
            words = f"{left['queued']:,} events are queued, {left['unread']:,} debits unread, {left['untold']:,} untold"
            if time.monotonic() - began > limit_seconds:
                raise TimeoutError(f"{words} after {limit_seconds:.0f} s")
            told(words)
            if not left["queued"]:
                await connection.execute(_A_MINUTE_GOES_BY)
            await asyncio.sleep(_DRAIN_TURN_SECONDS)
    finally:
        await connection.close()
    return time.monotonic() - began
