"""The first draft of posting: a transaction for each journal, eight connections, one hot clearing account. Frozen."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Final

import asyncpg
import uvloop

from tests.bench.floor.ledger import payment, post, told

CONNECTIONS: Final = 8


async def worker(number: int, until: float, done: list[float]) -> None:
    """Post journals one by one until the time is up."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    made = number * 10**9
    try:
        while time.monotonic() < until:
            made += 1
            journals, entries = payment(made)
            for journal in journals:
                await post(connection, [journal], [entry for entry in entries if entry[0] == journal[0]])
                done.append(time.monotonic())
    finally:
        await connection.close()


async def main() -> None:
    seconds, warm_up = float(os.environ["SECONDS"]), float(os.environ["WARM_UP_SECONDS"])
    done: list[float] = []
    began = time.monotonic() + warm_up
    await asyncio.gather(*(worker(number, began + seconds, done) for number in range(CONNECTIONS)))
    sys.stdout.write(json.dumps(told(done, began, began + seconds, time.process_time())) + "\n")


if __name__ == "__main__":
    uvloop.run(main())
