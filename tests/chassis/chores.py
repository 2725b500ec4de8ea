"""A schedule of chores for the chassis' own tests, and a process of it: `python -m tests.chassis.chores URL CLOCK`."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

from chassis.batch import Backoff
from chassis.clock import BusinessClock
from chassis.database import Database
from chassis.schedule import Due, Open, Rows, Schedule, ScheduleLimits
from sqlalchemy import text

from tests.support import specimen

EVERY: Final = timedelta(hours=1)
PATIENT: Final = ScheduleLimits(
    execution_max_seconds=3_600,
    lease_margin_seconds=60,
    poll_seconds=0.05,
    backoff=Backoff(first_seconds=0.001, cap_seconds=0.002),
)
BRIEF: Final = ScheduleLimits(execution_max_seconds=1.0, lease_margin_seconds=0.5, poll_seconds=0.05)
TABLES: Final = f"""
CREATE TABLE {specimen.SCHEMA}.chores (
    id text PRIMARY KEY,
    due_at timestamptz,
    lease_token text,
    leased_until timestamptz,
    claims integer NOT NULL DEFAULT 0
);
CREATE TABLE {specimen.SCHEMA}.done (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chore text NOT NULL,
    at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON {specimen.SCHEMA}.chores TO {specimen.SCHEMA};
GRANT SELECT, INSERT ON {specimen.SCHEMA}.done TO {specimen.SCHEMA};
"""


class Chores(Schedule):
    """Does each chore by writing that it is done; the next time is an hour later. Subclasses do more in between."""

    name: ClassVar[str] = "chores"
    rows = Rows(f"{specimen.SCHEMA}.chores")

    async def execute(self, due: Due, open_tx: Open) -> None:
        await self.call(due)
        async with open_tx() as tx:
            await tx.connection.execute(
                text(f"INSERT INTO {specimen.SCHEMA}.done (chore, at) VALUES (:chore, :at)"),
                {"chore": due.key, "at": tx.now},
            )
            tx.emit(specimen.a_change(due.key))
            await due.settle(tx, tx.now + EVERY)

    async def call(self, due: Due) -> None:
        """Whatever lies outside of the database."""


class Hanging(Chores):
    """Says that it has begun, and never ends."""

    async def call(self, due: Due) -> None:
        sys.stdout.write(f"{due.key}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def opened(url: str, clock: Path) -> Database:
    return specimen.opened(url, now=BusinessClock(clock, recheck_seconds=0))


async def main(url: str, clock: str) -> None:
    await Hanging(opened(url, Path(clock)), limits=BRIEF).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
