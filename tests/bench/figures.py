"""The figures of a round and of a path: medians, percentiles, shares of floor and first draft, targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal, get_args

Name = Literal["ours", "floor", "first_draft"]
PathName = Literal[
    "ingress", "relay", "consumer", "ledger", "end_to_end", "delivery", "visible", "rebuild", "verify",
    "at_rest", "gateway_read", "pause", "five_services", "board",
]  # fmt: skip
PATHS: tuple[PathName, ...] = get_args(PathName)
COMPARED: tuple[PathName, ...] = ("ingress", "relay", "consumer", "ledger")
"""Paths with a floor and a first draft."""
WHOLE: tuple[PathName, ...] = ("at_rest", "gateway_read", "pause", "five_services", "board")
"""What is measured once, on the whole stack, in this order."""
UNITS: dict[PathName, str] = {
    "ledger": "journals/s",
    "verify": "entries/s",
    "at_rest": "MiB",
    "gateway_read": "reads/s",
    "pause": "pauses/s",
    "board": "boards/s",
}
"""Of `ours`, where it is not events a second."""


@dataclass(frozen=True, slots=True)
class Round:
    """One measured round of one subject. CPU in milliseconds an event, of the server unless named otherwise."""

    rate: float
    p50_ms: float | None
    p99_ms: float | None
    cpu_ms: float
    postgres_cpu_ms: float
    kafka_cpu_ms: float = 0.0
    generator_cpu_ms: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found afterwards: ids that are missing, ids that are there twice, keys whose order broke."""

    lost: int
    doubled: int
    misordered: int = 0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.misordered)


@dataclass(slots=True)
class PathResult:
    """All rounds of one path."""

    path: PathName
    rounds: dict[Name, list[Round]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    def add(self, name: Name, measured: Round, verdict: Verdict) -> None:
        self.rounds.setdefault(name, []).append(measured)
        self.verdicts.append(verdict)

    def middle(self, name: Name, what: str) -> float | None:
        """The median over the rounds of one subject; None where there were none."""
        values = [getattr(each, what) for each in self.rounds.get(name, ())]
        return None if not values or None in values else median(values)

    @property
    def clean(self) -> bool:
        return all(verdict.clean for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        ours, floor, draft = (self.middle(name, "rate") for name in ("ours", "floor", "first_draft"))
        if self.path not in COMPARED:
            floor = draft = None
        return {
            "path": self.path,
            "unit": UNITS.get(self.path, "events/s"),
            "ours": _rounded(ours, 1),
            "floor": _rounded(floor, 1),
            "first_draft": _rounded(draft, 1),
            "of_floor": _rounded(ours / floor, 3) if ours and floor else None,
            "over_first_draft": _rounded(ours / draft, 2) if ours and draft else None,
            "p50_ms": _rounded(self.middle("ours", "p50_ms"), 2),
            "p99_ms": _rounded(self.middle("ours", "p99_ms"), 2),
            "cpu_ms_per_event": _rounded(self.middle("ours", "cpu_ms"), 4),
            "lost": sum(verdict.lost for verdict in self.verdicts),
            "doubled": sum(verdict.doubled for verdict in self.verdicts),
        }


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one field of the result."""

    path: PathName
    what: str
    at_least: float | None = None
    at_most: float | None = None

    def met(self, result: dict[str, Any]) -> bool | None:
        """None where the run did not measure it."""
        value = result[self.what]
        if value is None:
            return None
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        unit = "ms" if self.what.endswith("_ms") else UNITS.get(self.path, "events/s") if self.what == "ours" else "x"
        words = self.what.removesuffix("_ms").replace("_", " ")
        return f"{words} {'>=' if self.at_most is None else '<='} {self.at_least or self.at_most or 0:g} {unit}"


TARGETS = (
    Target("ingress", "of_floor", at_least=0.6),
    Target("ingress", "over_first_draft", at_least=2.5),
    Target("relay", "of_floor", at_least=0.6),
    Target("relay", "over_first_draft", at_least=20),
    Target("consumer", "of_floor", at_least=0.4),
    Target("consumer", "over_first_draft", at_least=8),
    Target("end_to_end", "p50_ms", at_most=25),
    Target("end_to_end", "p99_ms", at_most=100),
    Target("ledger", "of_floor", at_least=0.4),
    Target("ledger", "over_first_draft", at_least=8),
    Target("delivery", "p99_ms", at_most=300),
    Target("visible", "p99_ms", at_most=2_000),
    Target("rebuild", "ours", at_least=1_000),
    Target("verify", "ours", at_least=40_000),
    Target("at_rest", "ours", at_most=1.9 * 1024),
    Target("gateway_read", "p50_ms", at_most=4),
    Target("pause", "p99_ms", at_most=1_000),
    Target("five_services", "p99_ms", at_most=150),
    Target("board", "p99_ms", at_most=150),
)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of `values` do not exceed; values need not be sorted."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
