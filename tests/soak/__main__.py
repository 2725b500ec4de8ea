"""`python -m tests.soak`: a million chaotic events while processes are killed, and nothing lost or posted twice.

PostgreSQL and Apache Kafka are its own, made for it and removed afterwards; everything listens on 127.0.0.1 alone.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import signal
import sys
from dataclasses import replace
from pathlib import Path

from backbone import topics
from contracts.topics import TOPICS
from rich.console import Console

from tests.bench.lab import Lab, laboratory, new_run
from tests.bench.processes import REPOSITORY
from tests.soak.running import Plan, Report, soak

REPORT = REPOSITORY / ".backbone" / "soak.json"


async def run(lab: Lab, plan: Plan, console: Console) -> Report:
    """Make a place for it, run it, remove the place."""
    prefix = f"{new_run()}-"
    await asyncio.to_thread(topics.apply, lab.kafka, [replace(each, name=prefix + each.name) for each in TOPICS])
    database = await lab.service_database("payments")
    try:
        return await soak(
            plan, database, lab.kafka, prefix, lab.directory, lambda words: console.print(words, highlight=False),
            lab.postgres_cpu,
        )  # fmt: skip
    finally:
        await lab.databases.drop(database)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many (default: 1000000)")
    parser.add_argument("--duplicates", type=float, default=0.3, help="share that are copies (default: 0.3)")
    parser.add_argument("--kill-every", type=float, default=5.0, help="seconds from kill to kill (default: 5)")
    parser.add_argument("--limit", type=float, default=120.0, help="minutes after which no more is sent (default: 120)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same order (default: 1)")
    parser.add_argument("--out", type=Path, default=REPORT, help="where the report is written")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    # However it is ended, nothing that it has started stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=None if sys.stdout.isatty() else 140)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    plan = Plan(
        events=arguments.events,
        duplicates=arguments.duplicates,
        seed=arguments.seed,
        limit_seconds=arguments.limit * 60,
        kill_every_seconds=arguments.kill_every,
    )
    with laboratory(0) as lab:
        report = asyncio.run(run(lab, plan, console))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n")
    console.print_json(data=dataclasses.asdict(report))
    console.print(
        "nothing is lost, nothing is posted twice" if not report.faults else "\n".join(report.faults), highlight=False
    )
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
