"""Ways to look at evidence: each makes the `look` of a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from gateway.board.domain import Evidence, Fact, Seen

Look = Callable[[Evidence], Seen | None]


def at_most(service: str, measure: str, most: float) -> Look:
    """The largest value of any subject is `most` at most."""

    def look(evidence: Evidence) -> Seen | None:
        facts = _numbers(evidence.of(service, measure))
        if not facts:
            return None
        worst = max(facts, key=lambda fact: float(fact.value))
        return Seen(float(worst.value) <= most, _said(worst), _oldest(facts), _names(facts))

    return look


def none_named(service: str, measure: str) -> Look:
    """The measure as a whole is none; where it is not, its subjects say which those are."""

    def look(evidence: Evidence) -> Seen | None:
        facts = _numbers(evidence.of(service, measure))
        total = next((fact for fact in facts if not fact.subject), None)
        if total is None:
            return None
        named = [fact for fact in facts if fact.subject]
        return Seen(total.value == 0, f"{_said(total)}{_subjects(named)}", _oldest(facts), _names(facts))

    return look


def yes(service: str, measure: str) -> Look:
    """Every subject says yes."""

    def look(evidence: Evidence) -> Seen | None:
        facts = evidence.of(service, measure)
        if not facts:
            return None
        refusing = [fact for fact in facts if fact.value is not True]
        said = "yes" if not refusing else f"no{_subjects(refusing)}"
        return Seen(not refusing, said, _oldest(facts), _names(facts))

    return look


def none_is(service: str, measure: str, word: str, *, of: Sequence[str], unknown: str = "unknown") -> Look:
    """No subject that begins with one of `of` has this state; one that nobody knows is inconclusive."""

    def look(evidence: Evidence) -> Seen | None:
        facts = _beginning(evidence.of(service, measure), of)
        if not all(_beginning(facts, [name]) for name in of):
            return None
        bad, unclear = [f for f in facts if f.value == word], [f for f in facts if f.value == unknown]
        if bad:
            return Seen(False, f"{word}{_subjects(bad)}", _oldest(facts), _names(facts))
        if unclear:
            return Seen(None, f"{unknown}{_subjects(unclear)}", _oldest(facts), _names(facts))
        return Seen(True, f"none of {len(facts)} is {word}", _oldest(facts), _names(facts))

    return look


def all_are(service: str, measure: str, word: str, *, of: Sequence[str]) -> Look:
    """Every subject that begins with one of `of` has this state."""

    def look(evidence: Evidence) -> Seen | None:
        facts = _beginning(evidence.of(service, measure), of)
        if not all(_beginning(facts, [name]) for name in of):
            return None
        others = [fact for fact in facts if fact.value != word]
        said = word if not others else ", ".join(f"{fact.subject} is {fact.value}" for fact in others)
        return Seen(not others, said, _oldest(facts), _names(facts))

    return look


def share_at_most(service: str, part: str, whole: str, percent: float) -> Look:
    """Over all subjects, `part` is at most so many percent of `whole`; of nothing, nothing is wrong."""

    def look(evidence: Evidence) -> Seen | None:
        parts, wholes = _numbers(evidence.of(service, part)), _numbers(evidence.of(service, whole))
        if not parts or not wholes:
            return None
        some, all_of_them = sum(float(f.value) for f in parts), sum(float(f.value) for f in wholes)
        share = 100 * some / all_of_them if all_of_them else 0.0
        facts = [*parts, *wholes]
        said = f"{share:.2g} % ({some:.0f} of {all_of_them:.0f})"
        return Seen(share <= percent, said, _oldest(facts), _names(facts))

    return look


def passed_for(suite: str, tests: tuple[str, str], version: tuple[str, str]) -> Look:
    """The version for which tests of this suite have passed is what every process runs.

    When they passed does not matter: a version does not age.
    """

    def look(evidence: Evidence) -> Seen | None:
        passed = [fact for fact in evidence.of(*tests) if fact.subject == suite]
        running = evidence.of(*version)
        if not passed or not running:
            return None
        versions = sorted({str(fact.value) for fact in running})
        tested = str(passed[0].value)
        said = f"passed for {tested}" + ("" if versions == [tested] else f", {', '.join(versions)} runs")
        return Seen(versions == [tested], said, _oldest(running), _names([*passed, *running]))

    return look


def nothing_gates(service: str, measure: str, item: str) -> Look:
    """No open task holds the item back: the total is there, and this item has none of it."""

    def look(evidence: Evidence) -> Seen | None:
        facts = evidence.of(service, measure)
        if not [fact for fact in facts if not fact.subject]:
            return None
        gating = [fact for fact in _numbers(facts) if fact.subject == item]
        count = sum(int(float(fact.value)) for fact in gating)
        said = "no open task" if not count else f"{count} open task{'s' if count > 1 else ''}"
        return Seen(count == 0, said, _oldest(facts), _names(gating or facts[:1]))

    return look


def _numbers(facts: Sequence[Fact]) -> list[Fact]:
    return [fact for fact in facts if isinstance(fact.value, int | float)]


def _beginning(facts: Sequence[Fact], names: Sequence[str]) -> list[Fact]:
    return [fact for fact in facts if fact.subject.partition("/")[0] in names]


def _oldest(facts: Sequence[Fact]) -> datetime:
    return min(fact.observed_at for fact in facts)


def _names(facts: Sequence[Fact]) -> tuple[str, ...]:
    return tuple(f"{fact.service}/{fact.name}" for fact in facts)


def _subjects(facts: Sequence[Fact]) -> str:
    told = [fact.subject for fact in facts if fact.subject]
    return f": {', '.join(told)}" if told else ""


def _said(fact: Fact) -> str:
    """A number with its unit: `1 delivery`, `2 deliveries`, `0.5 seconds`."""
    value = f"{fact.value:g}" if isinstance(fact.value, float) else str(fact.value)
    return f"{value} {_one(fact.unit) if value == '1' else fact.unit}"


def _one(unit: str) -> str:
    """A unit, which is told in the plural, for one."""
    return f"{unit.removesuffix('ies')}y" if unit.endswith("ies") else unit.removesuffix("s")
