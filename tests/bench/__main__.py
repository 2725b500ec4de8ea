"""`python -m tests.bench`: ours beside the floor and the first draft, or the stack at rest."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console

from tests.bench import at_rest, report
from tests.bench.consumer import Consumer
from tests.bench.end_to_end import EndToEnd
from tests.bench.figures import COMPARED, PATHS, WHOLE, Name, PathName, PathResult, Round, Verdict
from tests.bench.five_services import five_services
from tests.bench.ingress import Ingress
from tests.bench.lab import Lab, laboratory
from tests.bench.ledger import Ledger
from tests.bench.money import Delivery, Rebuilding, Verifying, Visible
from tests.bench.processes import REPOSITORY
from tests.bench.relay import Relay
from tests.bench.stack import Stack, standing
from tests.bench.subjects import Factory, Subject
from tests.bench.whole import board, gateway_read, pauses, resting

RESULTS = REPOSITORY / ".backbone" / "bench.json"
REPORT_COLUMNS = 140
NAMES: tuple[Name, ...] = ("ours", "floor", "first_draft")
FACTORIES: dict[PathName, Factory] = {
    "ingress": Ingress,
    "relay": Relay,
    "consumer": Consumer,
    "ledger": Ledger,
    "end_to_end": EndToEnd,
    "delivery": Delivery,
    "visible": Visible,
    "rebuild": Rebuilding,
    "verify": Verifying,
}
"""Those of ours alone are warmed up by a round of their own."""

ONCE: dict[PathName, Callable[[Stack], Awaitable[tuple[Round, Verdict]]]] = {
    "at_rest": resting,
    "gateway_read": gateway_read,
    "pause": pauses,
    "five_services": five_services,
    "board": board,
}


async def one_round(subject: Subject) -> tuple[Round, Verdict]:
    await subject.prepare()
    try:
        return await subject.run(), await subject.verify()
    finally:
        await subject.clean_up()


async def measure(lab: Lab, console: Console, path: PathName, names: tuple[Name, ...], rounds: int) -> PathResult:
    """Every subject in turn, as often as there are rounds, so that a noisy minute hits all of them."""
    result = PathResult(path)
    with console.status(f"{path}: a round that nobody counts, to warm the servers up"):
        await one_round(FACTORIES[path](lab, "floor" if path in COMPARED else "ours"))
    for number in range(1, rounds + 1):
        for name in names:
            with console.status(f"{path}: round {number} of {rounds}, {report.WORDS[name]}"):
                measured, verdict = await one_round(FACTORIES[path](lab, name))
            result.add(name, measured, verdict)
            console.print(
                report.round_line(path, name, measured, "" if verdict.clean else str(verdict)), highlight=False
            )
            for note in measured.notes:
                console.print(f"    {note}", highlight=False)
    return result


async def bench(lab: Lab, console: Console, arguments: argparse.Namespace) -> list[PathResult]:
    wanted = arguments.only or PATHS
    results = []
    for path in (path for path in wanted if path in FACTORIES):
        names: tuple[Name, ...] = tuple(arguments.subject or NAMES) if path in COMPARED else ("ours",)
        results.append(await measure(lab, console, path, names, arguments.rounds))
    once = [path for path in WHOLE if path in wanted]
    return results + (await measure_once(lab, console, once) if once else [])


async def measure_once(lab: Lab, console: Console, paths: Sequence[PathName]) -> list[PathResult]:
    """One run of each on the same five services."""
    results = []
    with console.status("starting five services"):
        standing_stack = contextlib.AsyncExitStack()
        stack = await standing_stack.enter_async_context(standing(lab))
    async with standing_stack:
        for path in paths:
            result = PathResult(path)
            with console.status(path.replace("_", " ")):
                measured, verdict = await ONCE[path](stack)
            result.add("ours", measured, verdict)
            words = "" if verdict.clean else str(verdict)
            console.print(report.round_line(path, "ours", measured, words), highlight=False)
            for note in measured.notes:
                console.print(f"    {note}", highlight=False)
            results.append(result)
    return results


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=PATHS, help="measure this path; may be repeated")
    parser.add_argument("--subject", action="append", choices=NAMES, help="measure this subject; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every subject (default: 3)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a measured span (default: 6)")
    parser.add_argument("--keep", action="store_true", help="keep the servers' data and every log")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results are written")
    parser.add_argument("--at-rest", action="store_true", help="memory and CPU of the running local stack instead")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    # Tables need more than the 80 columns that rich assumes of a pipe.
    console = Console(width=None if sys.stdout.isatty() else REPORT_COLUMNS)
    if arguments.at_rest:
        return at_rest.report(console)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    with console.status("starting PostgreSQL and Apache Kafka"):
        running = contextlib.ExitStack()
        lab = running.enter_context(laboratory(arguments.seconds, keep=arguments.keep))
    with running:
        results = asyncio.run(bench(lab, console, arguments))
    report.tables(console, results)
    report.write(results, arguments.out)
    console.print(f"written to {arguments.out}", highlight=False)
    return 0 if all(result.clean for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
