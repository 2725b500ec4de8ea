"""What the bench shows and writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.figures import PATHS, TARGETS, UNITS, Name, PathName, PathResult, Round

WORDS: dict[Name, str] = {"ours": "ours", "floor": "floor", "first_draft": "first draft"}
ENOUGH_DIGITS_BELOW = 100


def round_line(path: PathName, name: Name, measured: Round, verdict_words: str) -> str:
    rate = f"  {path:<13} {WORDS[name]:<11} {measured.rate:>9,.0f} {UNITS.get(path, 'events/s'):<8}"
    if measured.p50_ms is None or measured.p99_ms is None:
        return rate
    return (
        f"{rate}  p50 {measured.p50_ms:>7.1f} ms  p99 {measured.p99_ms:>7.1f} ms  "
        f"cpu {measured.cpu_ms * 1e3:>6.0f} us/event  {verdict_words}"
    )


def tables(console: Console, results: Sequence[PathResult]) -> None:
    """Print the medians, then each target beside what was measured."""
    console.print(_medians(results))
    console.print(_targets(results))


def write(results: Sequence[PathResult], file: Path) -> None:
    """Write the results; a path that this run left out keeps what an earlier run wrote."""
    file.parent.mkdir(parents=True, exist_ok=True)
    earlier = json.loads(file.read_text()) if file.exists() else []
    fresh = [result.as_json() for result in results]
    kept = [each for each in earlier if each["path"] not in {result["path"] for result in fresh}]
    file.write_text(json.dumps(sorted([*kept, *fresh], key=lambda each: PATHS.index(each["path"])), indent=2) + "\n")


def _medians(results: Sequence[PathResult]) -> Table:
    table = Table(title="Medians over the rounds; CPU in microseconds an event", title_justify="left")
    for heading in ("path", "subject"):
        table.add_column(heading)
    for heading in ("a second", "of floor", "over draft", "p50 ms", "p99 ms", "cpu", "postgres", "kafka", "generator"):
        table.add_column(heading, justify="right")
    for result in results:
        shares = result.as_json()
        for name in result.rounds:
            ours = name == "ours"
            table.add_row(
                result.path.replace("_", " "),
                WORDS[name],
                _number(result.middle(name, "rate")) + (" MiB" if result.path == "at_rest" else ""),
                _number(shares["of_floor"] if ours else None),
                _number(shares["over_first_draft"] if ours else None),
                *(_number(result.middle(name, what)) for what in ("p50_ms", "p99_ms")),
                *(_micro(result, name, what) for what in _CPU),
            )
        table.add_section()
    return table


_CPU = ("cpu_ms", "postgres_cpu_ms", "kafka_cpu_ms", "generator_cpu_ms")


def _targets(results: Sequence[PathResult]) -> Table:
    table = Table(title="Targets", title_justify="left")
    for heading in ("path", "target", "measured", ""):
        table.add_column(heading)
    for result in results:
        shares = result.as_json()
        for target in TARGETS:
            if target.path == result.path:
                met = target.met(shares)
                words = "not measured" if met is None else "[green]met[/]" if met else "[red]missed[/]"
                table.add_row(result.path.replace("_", " "), str(target), _number(shares[target.what]), words)
        lost, doubled = shares["lost"], shares["doubled"]
        misordered = sum(verdict.misordered for verdict in result.verdicts)
        words = "[green]met[/]" if result.clean else "[red]missed[/]"
        found = f"{lost}, {doubled}, {misordered}"
        table.add_row(result.path.replace("_", " "), "lost, doubled, misordered 0", found, words)
        table.add_section()
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if value < ENOUGH_DIGITS_BELOW else f"{value:,.0f}"


def _micro(result: PathResult, name: Name, what: str) -> str:
    value = result.middle(name, what)
    return f"{value * 1e3:,.0f}" if value else ""
