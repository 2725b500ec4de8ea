"""Any sequence of commands: what holds whatever is asked, in whatever order, by whomever."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.commands import (
    Assign,
    BlockTask,
    Cancel,
    Change,
    Claim,
    Command,
    Comment,
    Complete,
    EndCondition,
    EnterInError,
    NoteAgain,
    ReachUntil,
    Release,
    Reopen,
    SetDue,
    SetPriority,
    Start,
    Unblock,
)
from tasks.domain import decide, evolve
from tasks.due import deadline, due_state
from tasks.refusals import LostError, RefusedError
from tasks.states import (
    Cancelled,
    Claimed,
    Completed,
    DueAt,
    DueOn,
    EnteredInError,
    InProgress,
    Open,
    Outcome,
    Person,
    Task,
    owner_of,
)

from tests.tasks.pure.saying import DESK, MARIA, NOON, RECOVERY, SYDNEY, an_open_one

people = st.sampled_from([MARIA, DESK, Person("coach-sarah", "Coach Sarah")])
NEVER = datetime.max.replace(tzinfo=UTC)
words = st.sampled_from(["called", "no answer"])
conditions = st.sampled_from(["member_hold:1", "member_hold:2"])
instants = st.integers(0, 60 * 24).map(lambda hours: NOON + timedelta(hours=hours))
dues = st.one_of(st.none(), st.dates(date(2026, 3, 1), date(2026, 5, 1)).map(DueOn), instants.map(DueAt))
outcomes = st.builds(Outcome, st.sampled_from([*sorted(RECOVERY.outcomes), "arrived"]))
blocks = st.builds(
    BlockTask, st.sampled_from([*sorted(RECOVERY.blocks), "lunch"]), words, st.none() | instants, st.none() | conditions
)
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Claim, people),
    st.builds(Release, people),
    st.builds(Assign, people),
    st.builds(Start, people),
    st.builds(Complete, people, outcomes),
    st.builds(Cancel, people, words),
    st.builds(Reopen, st.just(NOON - timedelta(days=1)), words),
    st.builds(EnterInError, people, words),
    st.builds(Comment, words),
    st.builds(SetDue, dues, st.none() | instants),
    st.builds(SetPriority, st.sampled_from(["low", "normal", "high", "urgent"])),
    blocks,
    st.builds(Unblock, words),
    st.builds(EndCondition, conditions),
    st.builds(ReachUntil),
    st.builds(NoteAgain, st.none() | blocks),
)
steps = st.lists(st.tuples(commands, st.integers(0, 100_000)), max_size=30)


def check(before: Task, after: Task, command: Command, now: datetime) -> None:
    """What one accepted command may do, and what it may not."""
    if isinstance(before, EnteredInError):
        assert isinstance(after, EnteredInError), "final"
    if isinstance(before, Claimed | InProgress) and isinstance(command, Claim):
        assert owner_of(after) == before.owner, "claiming never steals"
    if owner_of(after) != owner_of(before):
        assert isinstance(command, Claim | Release | Assign | Start), f"{command} changed the owner"
    if isinstance(after, Completed | Cancelled | EnteredInError):
        assert after.facts.blocked is None, "what has ended is not blocked"
        assert due_state(after, now, SYDNEY) == "none"
    if isinstance(after, Completed):
        assert after.outcome.code in RECOVERY.outcomes
    assert after.facts.occurrences - before.facts.occurrences == int(isinstance(command, NoteAgain))
    assert (after.facts.id, after.facts.title, after.facts.kind) == (before.facts.id, before.facts.title, RECOVERY)
    assert after.facts.paused >= timedelta()
    if after.facts.due is not None and before.facts.due == after.facts.due and isinstance(command, Unblock):
        earlier, later = deadline(after.facts, SYDNEY) or NEVER, deadline(before.facts, SYDNEY) or NEVER
        assert earlier <= later, "unblocking never puts the date off"


def _decided(task: Task, command: Command, now: datetime) -> tuple[Change, ...] | None:
    """What follows, or None where it is refused, by a sentence and, for a lost race, with who was first."""
    try:
        return decide(task, command, now=now)
    except RefusedError as error:
        refusal = error
    assert str(refusal)
    if isinstance(refusal, LostError):
        assert refusal.winner in {owner_of(task), getattr(task, "by", None)}
        assert refusal.at <= now
    return None


@settings(max_examples=300, deadline=None)
@given(steps)
def test_every_sequence_keeps_what_a_task_promises(given_steps: list[tuple[Command, int]]) -> None:
    task: Task = an_open_one()
    now = NOON
    for command, seconds in given_steps:
        now += timedelta(seconds=seconds)
        changes = _decided(task, command, now)
        if changes is None:
            continue
        after = task
        for change in changes:
            after = evolve(after, change)
        check(task, after, command, now)
        assert not _decided(after, command, now) or isinstance(command, Comment | NoteAgain), "twice is once"
        task = after


@settings(max_examples=200, deadline=None)
@given(steps)
def test_the_changes_alone_lead_to_the_same_task(given_steps: list[tuple[Command, int]]) -> None:
    task: Task = an_open_one()
    history = []
    now = NOON
    for command, seconds in given_steps:
        now += timedelta(seconds=seconds)
        for change in _decided(task, command, now) or ():
            history.append(change)
            task = evolve(task, change)
    replayed: Task = an_open_one()
    for change in history:
        replayed = evolve(replayed, change)
    assert replayed == task
    assert isinstance(replayed, Open | Claimed | InProgress | Completed | Cancelled | EnteredInError)
