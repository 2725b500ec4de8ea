"""When a check is up, degraded, flapping or down: a score, a run, a share of changes, and nothing else.

A detector sees one observation at a time. Two scores count alike: `failing` counts what failed, `impaired` what failed
or was slow. A score rises by 5 with what it counts, falls by 1 with what it does not, never below 0, and trips at 16 or
at three in a row. Once tripped it is mirrored: the other outcomes raise it, and it trips back, though never before it
has dwelt for a while. So a blip never trips it, a fifth of failures does within minutes, a total outage at the third.

Where observations change too often while something is tripped, the check is flapping, until they change less: one
state, and so one incident, for what would otherwise come and go.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

Status = Literal["up", "degraded", "flapping", "down", "unknown", "maintenance"]
Outcome = Literal["ok", "impaired", "failed", "limited", "early", "absent"]
"""What one look has shown. `limited` (we ask too often) and `early` (it failed, but whoever looks has only just
started, and so perhaps has what it looks at) say nothing about the other side; `absent`: there is no source."""

RAISED_BY: Final = 5
LOWERED_BY: Final = 1
TRIPS_AT: Final = 16
TRIPS_IN_A_ROW: Final = 3
RECENT_MAX: Final = 40
RECENT_LEAST: Final = 12
FLAPPING_ABOVE_PERCENT: Final = 30
FLAPPING_UNTIL_PERCENT: Final = 25
WINDOW_MAX: Final = timedelta(days=7)
_SAYS_NOTHING: Final[frozenset[Outcome]] = frozenset({"limited", "early"})
ALARMING: Final[frozenset[Status]] = frozenset({"degraded", "flapping", "down"})


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at what is checked, by business time; `evidence` says in words what was seen."""

    outcome: Outcome
    at: datetime
    evidence: str
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Counts towards the other of two positions; `tripped` is the bad one, `since` when it was taken."""

    points: int = 0
    in_a_row: int = 0
    tripped: bool = False
    since: datetime | None = None

    def seen(self, bad: bool, at: datetime, dwell: timedelta) -> Score:
        """This score after one more observation."""
        counts = bad is not self.tripped
        points = min(TRIPS_AT, self.points + RAISED_BY) if counts else max(0, self.points - LOWERED_BY)
        in_a_row = min(TRIPS_IN_A_ROW, self.in_a_row + 1) if counts else 0
        dwelt = not self.tripped or self.since is None or at - self.since >= dwell
        if dwelt and (points >= TRIPS_AT or in_a_row >= TRIPS_IN_A_ROW):
            return Score(tripped=not self.tripped, since=at)
        return Score(points, in_a_row, self.tripped, self.since)


@dataclass(frozen=True, slots=True)
class Detector:
    """What is concluded from all observations so far; `recent` are the newest ones, whether each was bad."""

    status: Status = "unknown"
    since: datetime | None = None
    failing: Score = field(default_factory=Score)
    impaired: Score = field(default_factory=Score)
    recent: tuple[bool, ...] = ()

    @property
    def changes_percent(self) -> int:
        """The share of recent observations that differ from the one before."""
        if len(self.recent) < RECENT_LEAST:
            return 0
        pairs = list(zip(self.recent, self.recent[1:], strict=False))
        return 100 * sum(one is not other for one, other in pairs) // len(pairs)


def observe(detector: Detector, seen: Observation, *, dwell: timedelta) -> Detector:
    """Return the detector after one more observation."""
    if seen.outcome in _SAYS_NOTHING:
        return detector
    if seen.outcome == "absent":
        return _as(replace(detector, failing=Score(), impaired=Score(), recent=()), "unknown", seen.at)
    failed, bad = seen.outcome == "failed", seen.outcome != "ok"
    counted = replace(
        detector,
        failing=detector.failing.seen(failed, seen.at, dwell),
        impaired=detector.impaired.seen(bad, seen.at, dwell),
        recent=(*detector.recent, bad)[-RECENT_MAX:],
    )
    return _as(counted, _status(counted, seen), seen.at)


def _as(detector: Detector, status: Status, at: datetime) -> Detector:
    return detector if status == detector.status else replace(detector, status=status, since=at)


def _status(detector: Detector, seen: Observation) -> Status:
    tripped = detector.failing.tripped or detector.impaired.tripped
    limit = FLAPPING_UNTIL_PERCENT if detector.status == "flapping" else FLAPPING_ABOVE_PERCENT
    if (tripped or detector.status == "flapping") and detector.changes_percent >= limit:
        return "flapping"
    if detector.failing.tripped:
        return "down"
    if detector.impaired.tripped:
        return "degraded"
    # The first failures of a check that nothing is known about yet prove neither that it is up nor that it is down.
    return "unknown" if detector.status == "unknown" and seen.outcome == "failed" else "up"


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window: while it lasts nothing is alarmed, and everything is recorded."""

    id: str
    provider: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    actor_id: str
    actor_name: str
    version: int = 1


class WindowError(Exception):
    """A maintenance window has to lie ahead, and to end within a week."""


class WindowOverError(Exception):
    """The maintenance window is over already."""

    def __init__(self, window: Window) -> None:
        super().__init__(f"the maintenance window {window.id} is over already")
        self.id = window.id


def planned(window: Window, *, now: datetime) -> Window:
    """Return the window if it may be. Raises WindowError."""
    if window.ends_at <= now:
        raise WindowError("a maintenance window ends in the future")
    if not timedelta() < window.ends_at - window.starts_at <= WINDOW_MAX:
        raise WindowError("a maintenance window lasts for more than nothing and at most 7 days")
    return window


def ended_early(window: Window, *, now: datetime) -> Window:
    """Return the window as it ends now; one that has not begun never does. Raises WindowOverError."""
    if window.ends_at <= now:
        raise WindowOverError(window)
    starts_at = min(window.starts_at, now - timedelta(microseconds=1))
    return replace(window, starts_at=starts_at, ends_at=now, version=window.version + 1)


@dataclass(frozen=True, slots=True)
class Changed:
    """A check's status as others see it has changed."""

    previous: Status
    status: Status
    reason: str


def shown(detector: Detector, *, in_maintenance: bool) -> Status:
    """Return the status that others are told: a maintenance window covers it, and the detector goes on below."""
    return "maintenance" if in_maintenance and detector.status != "unknown" else detector.status


def change(previous: Status, status: Status, detector: Detector, seen: Observation) -> Changed | None:
    """Return what there is to tell, if anything."""
    return None if previous == status else Changed(previous, status, reason(status, detector, seen))


def reason(status: Status, detector: Detector, seen: Observation) -> str:
    """Return why a check has this status, in words."""
    bad, looks = sum(detector.recent), len(detector.recent)
    match status:
        case "down":
            return f"{bad} of the last {looks} checks failed, the last with: {seen.evidence}"
        case "degraded":
            return f"{bad} of the last {looks} checks were slow or failed, the last with: {seen.evidence}"
        case "flapping":
            return f"it changes between working and not in {detector.changes_percent} % of checks"
        case "maintenance":
            return "a maintenance window began"
        case "unknown":
            return seen.evidence
        case "up":
            return f"it answers again: {seen.evidence}"
