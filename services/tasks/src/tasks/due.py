"""When a task is due, and how that stands at an instant.

A date means the end of that business day. While a block stops the clock the task is paused, for as long as the block's
code allows; the time that it stood still moves the deadline: by itself for an instant, by whole days (to the nearest)
for a date, which stays a date. All of it is plain arithmetic over what is stored: reading needs no timer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from tasks.states import Claimed, Due, DueAt, DueOn, Facts, InProgress, Open, Task

DueState = Literal["overdue", "due_today", "upcoming", "paused", "none"]
_DAY: Final = timedelta(days=1)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a business day begins, in UTC."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a business day is over: the first one of the next."""
    return start_of_day(day + _DAY, zone)


def business_day(instant: datetime, zone: ZoneInfo) -> date:
    """The business day that `instant` lies in."""
    return instant.astimezone(zone).date()


def pause_ends_at(facts: Facts) -> datetime | None:
    """Until when the block in force stops the clock; None where none does."""
    rule = facts.rule()
    if facts.blocked is None or rule is None or not rule.pauses_for:
        return None
    return facts.blocked.paused_from + rule.pauses_for


def paused_by(facts: Facts, now: datetime) -> timedelta:
    """For how long the block in force has stopped the clock by now."""
    ends = pause_ends_at(facts)
    if facts.blocked is None or ends is None:
        return timedelta()
    return max(timedelta(), min(now, ends) - facts.blocked.paused_from)


def deadline(facts: Facts, zone: ZoneInfo) -> datetime | None:
    """From when on the task is overdue, were the block in force to stop the clock for as long as it may."""
    if facts.due is None:
        return None
    ends = pause_ends_at(facts)
    standing = ends - facts.blocked.paused_from if ends is not None and facts.blocked is not None else timedelta()
    return _extended(facts.due, facts.paused + standing, zone)


def _extended(due: Due, by: timedelta, zone: ZoneInfo) -> datetime:
    match due:
        case DueAt(instant):
            return instant + by
        case DueOn(day):
            return end_of_day(day + round(by / _DAY) * _DAY, zone)


def due_state(task: Task, now: datetime, zone: ZoneInfo) -> DueState:
    """How the due date stands at `now`; a task that has ended has none."""
    if not isinstance(task, Open | Claimed | InProgress):
        return "none"
    limit, pause = deadline(task.facts, zone), pause_ends_at(task.facts)
    if limit is None:
        return "none"
    if pause is not None and now < pause:
        return "paused"
    if now >= limit:
        return "overdue"
    return "due_today" if limit <= end_of_day(business_day(now, zone), zone) else "upcoming"
