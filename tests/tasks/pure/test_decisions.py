"""What may be done with a task, in sentences."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from tasks.commands import (
    Assign,
    BlockTask,
    Cancel,
    Claim,
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
    TaskAssigned,
    TaskBlocked,
    TaskCancelled,
    TaskClaimed,
    TaskCommentedOn,
    TaskCompleted,
    TaskNotedAgain,
    TaskReleased,
    TaskReopened,
    TaskReprioritised,
    TaskRescheduled,
    TaskStarted,
    TaskUnblocked,
    TaskWithdrawn,
    Unblock,
)
from tasks.domain import evolve, open_task
from tasks.refusals import (
    AlreadyClaimedError,
    AlreadyEndedError,
    BlockedError,
    BlockUnknownError,
    NotOwnerError,
    OutcomeForbiddenError,
    OutcomeUnknownError,
    TooLateToReopenError,
    UntilPassedError,
)
from tasks.states import Block, Cancelled, Claimed, Completed, DueOn, EnteredInError, InProgress, Open, Outcome

from tests.tasks.pure.saying import (
    DESK,
    EARLIER,
    HELD,
    MARIA,
    MEDICAL,
    NOON,
    PAID,
    an_open_one,
    blocked,
    facts,
    given,
    one_begun_by,
    one_completed_by,
    one_of,
)

LONG_AGO = EARLIER - timedelta(days=30)


def test_an_open_task_is_claimed() -> None:
    after = given(an_open_one()).when(Claim(MARIA)).then(TaskClaimed(MARIA, NOON))

    assert after == Claimed(facts(), MARIA, NOON)


@pytest.mark.parametrize("task", [one_of(DESK), one_begun_by(DESK)], ids=["claimed", "begun"])
def test_claiming_never_steals_and_names_who_has_it(task: Claimed | InProgress) -> None:
    error = given(task).when(Claim(MARIA)).is_refused(AlreadyClaimedError, saying="Front desk has this task")

    assert isinstance(error, AlreadyClaimedError)
    assert (error.winner, error.at) == (DESK, EARLIER)


def test_what_is_mine_already_i_claim_without_a_change() -> None:
    given(one_of(MARIA)).when(Claim(MARIA)).nothing()
    given(one_begun_by(MARIA)).when(Claim(MARIA)).nothing()


def test_an_owner_gives_a_task_back_and_nobody_else_does() -> None:
    assert given(one_begun_by(MARIA)).when(Release(MARIA)).then(TaskReleased()) == an_open_one()
    given(one_of(MARIA)).when(Release(DESK)).is_refused(NotOwnerError, saying="assign it instead")
    given(an_open_one()).when(Release(MARIA)).nothing()


def test_a_task_is_assigned_whoever_has_it() -> None:
    for task in (an_open_one(), one_of(DESK), one_begun_by(DESK)):
        assert given(task).when(Assign(MARIA)).then(TaskAssigned(MARIA, NOON)) == Claimed(facts(), MARIA, NOON)
    given(one_of(MARIA)).when(Assign(MARIA)).nothing()


def test_who_begins_an_open_task_takes_it() -> None:
    after = given(an_open_one()).when(Start(MARIA)).then(TaskStarted(MARIA, NOON))

    assert after == InProgress(facts(), MARIA, NOON)
    given(one_begun_by(MARIA)).when(Start(MARIA)).nothing()
    given(one_of(DESK)).when(Start(MARIA)).is_refused(AlreadyClaimedError, saying="Front desk has this task")


def test_a_blocked_task_waits_but_can_be_claimed_and_given_back() -> None:
    given(blocked(one_of(MARIA))).when(Start(MARIA)).is_refused(BlockedError, saying="blocked by medical_hold")
    given(blocked(an_open_one())).when(Claim(MARIA)).then(TaskClaimed(MARIA, NOON))
    assert given(blocked(one_of(MARIA))).when(Release(MARIA)).then(TaskReleased()) == blocked(an_open_one())


def test_a_block_keeps_the_state_beneath() -> None:
    block = Block("medical_hold", NOON, NOON, "on medical hold", None, "member_hold:1")
    for task in (an_open_one(), one_of(MARIA), one_begun_by(MARIA)):
        assert given(task).when(MEDICAL).then(TaskBlocked(block)) == blocked(task, block)


def test_a_task_has_one_block() -> None:
    task = blocked(one_of(MARIA), Block("medical_hold", EARLIER, EARLIER, "on medical hold", None, "member_hold:1"))

    given(task).when(MEDICAL).nothing()
    given(task).when(BlockTask("other")).is_refused(BlockedError, saying="unblock it first")


def test_the_codes_of_blocks_are_a_closed_set() -> None:
    given(an_open_one()).when(BlockTask("lunch")).is_refused(BlockUnknownError, saying="lunch blocks no payment_rec")
    waiting = BlockTask("waiting_for_member", condition="member_hold:1")
    given(an_open_one()).when(waiting).is_refused(BlockUnknownError, saying="waits for no condition")
    over = BlockTask("other", until=NOON)
    given(an_open_one()).when(over).is_refused(UntilPassedError, saying="in the past")


def test_a_block_ends_by_hand_by_its_condition_or_by_its_time() -> None:
    for_a_while = Block("other", EARLIER, EARLIER, until=NOON)

    assert given(blocked(one_of(MARIA))).when(Unblock("called")).then(TaskUnblocked(NOON, "called")) == one_of(
        MARIA, paused=timedelta(hours=3)
    )
    given(blocked(one_of(MARIA))).when(EndCondition("member_hold:1")).then(
        TaskUnblocked(NOON, "what it waited for is over")
    )
    given(blocked(one_of(MARIA), for_a_while)).when(ReachUntil()).then(
        TaskUnblocked(NOON, "the block was to last until now")
    )


def test_a_block_does_not_end_by_anything_else() -> None:
    given(blocked(one_of(MARIA))).when(EndCondition("member_hold:2")).nothing()
    given(blocked(one_of(MARIA))).when(ReachUntil()).nothing()
    given(one_of(MARIA)).when(Unblock()).nothing()
    given(one_completed_by(MARIA)).when(EndCondition("member_hold:1")).nothing()
    given(one_completed_by(MARIA)).when(ReachUntil()).nothing()


@pytest.mark.parametrize("task", [an_open_one(), one_of(DESK), one_begun_by(MARIA)], ids=["open", "another's", "begun"])
def test_anybody_completes_a_task_which_stays_its_owners(task: Open | Claimed | InProgress) -> None:
    after = given(task).when(Complete(MARIA, PAID)).then(TaskCompleted(MARIA, NOON, PAID))

    assert after == Completed(facts(), None if isinstance(task, Open) else task.owner, MARIA, NOON, PAID)


def test_of_two_who_complete_a_task_the_second_hears_who_when_and_how() -> None:
    error = (
        given(one_completed_by(DESK))
        .when(Complete(MARIA, Outcome("write_off")))
        .is_refused(
            AlreadyEndedError, saying="Front desk has completed this task already with the outcome paid_otherwise"
        )
    )

    assert isinstance(error, AlreadyEndedError)
    assert (error.winner, error.at, error.outcome) == (DESK, EARLIER, PAID)


def test_the_same_completion_again_changes_nothing() -> None:
    given(one_completed_by(MARIA)).when(Complete(MARIA, PAID)).nothing()


def test_outcomes_are_a_closed_set_and_a_block_forbids_some() -> None:
    retry = Complete(MARIA, Outcome("retry_now"))

    given(one_of(MARIA)).when(Complete(MARIA, Outcome("arrived"))).is_refused(
        OutcomeUnknownError, saying="arrived is no outcome of a payment_recovery task; these are: cancelled"
    )
    given(blocked(one_of(MARIA))).when(retry).is_refused(OutcomeForbiddenError, saying="retry_now is not possible")
    given(one_of(MARIA)).when(retry).then(TaskCompleted(MARIA, NOON, Outcome("retry_now")))


def test_completing_ends_the_block() -> None:
    after = given(blocked(one_of(MARIA))).when(Complete(MARIA, PAID)).then(TaskCompleted(MARIA, NOON, PAID))

    assert after.facts.blocked is None


def test_an_ended_task_refuses_what_is_for_the_living() -> None:
    for command in (
        Claim(MARIA),
        Release(DESK),
        Assign(MARIA),
        SetDue(None, None),
        SetPriority("high"),
        MEDICAL,
        Unblock(),
        Start(MARIA),
        Cancel(MARIA, "late"),
        NoteAgain(),
    ):
        given(one_completed_by(DESK)).when(command).is_refused(AlreadyEndedError, saying="Front desk has completed")


def test_a_task_is_cancelled_with_a_reason() -> None:
    after = given(one_of(DESK)).when(Cancel(MARIA, "paid")).then(TaskCancelled(MARIA, NOON, "paid"))

    assert after == Cancelled(facts(), DESK, MARIA, NOON, "paid")
    given(after).when(Cancel(MARIA, "again")).nothing()
    given(after).when(Cancel(DESK, "again")).is_refused(AlreadyEndedError, saying="Maria Rossi has cancelled")


def test_what_has_ended_is_opened_again_within_its_time() -> None:
    reopen = Reopen(LONG_AGO, "declined again")
    change = TaskReopened(NOON, "declined again")

    assert given(one_completed_by(MARIA)).when(reopen).then(change) == Claimed(facts(), MARIA, NOON)
    assert given(Cancelled(facts(), None, DESK, EARLIER, "x")).when(reopen).then(change) == an_open_one()
    given(one_of(MARIA)).when(reopen).nothing()
    given(one_completed_by(MARIA)).when(Reopen(NOON, "late")).is_refused(TooLateToReopenError, saying="too long ago")


def test_entered_in_error_is_final() -> None:
    after = (
        given(one_completed_by(DESK))
        .when(EnterInError(MARIA, "another's"))
        .then(TaskWithdrawn(MARIA, NOON, "another's"))
    )

    assert after == EnteredInError(facts(), DESK, MARIA, NOON, "another's")
    given(after).when(EnterInError(DESK, "again")).nothing()
    given(after).when(Reopen(LONG_AGO, "no")).is_refused(AlreadyEndedError, saying="Maria Rossi has withdrawn")


def test_something_can_be_said_in_every_state() -> None:
    for task in (an_open_one(), one_of(MARIA), one_completed_by(DESK)):
        assert given(task).when(Comment("called")).then(TaskCommentedOn("called")) == task


def test_due_dates_and_urgency_are_set_once() -> None:
    due = DueOn(date(2026, 3, 4))

    given(one_of(MARIA)).when(SetDue(due, NOON)).then(TaskRescheduled(due, NOON, NOON))
    given(one_of(MARIA, due=due)).when(SetDue(due, None)).nothing()
    given(one_of(MARIA)).when(SetPriority("urgent")).then(TaskReprioritised("urgent"))
    given(one_of(MARIA)).when(SetPriority("normal")).nothing()


def test_a_new_due_date_starts_a_clock_that_a_block_still_stops() -> None:
    due = DueOn(date(2026, 3, 4))
    after = (
        given(blocked(one_of(MARIA, paused=timedelta(days=2))))
        .when(SetDue(due, None))
        .then(TaskRescheduled(due, None, NOON))
    )

    assert after.facts.paused == timedelta()
    assert after.facts.blocked == replace(HELD, paused_from=NOON)


def test_what_happens_again_is_counted_and_brings_its_block_where_there_is_none() -> None:
    after = given(one_of(MARIA)).when(NoteAgain()).then(TaskNotedAgain())
    assert after.facts.occurrences == 2

    block = Block("medical_hold", NOON, NOON, "on medical hold", None, "member_hold:1")
    given(one_of(MARIA)).when(NoteAgain(MEDICAL)).then(TaskNotedAgain(), TaskBlocked(block))
    given(blocked(one_of(MARIA))).when(NoteAgain(MEDICAL)).then(TaskNotedAgain())


def test_a_task_opens_in_its_queue_or_with_an_owner_and_blocked_where_asked() -> None:
    def opened(owner: object, block: BlockTask | None = None) -> object:
        task = None
        for change in open_task(facts(), owner, block, now=NOON):  # type: ignore[arg-type]
            task = evolve(task, change)
        return task

    assert opened(None) == an_open_one()
    assert opened(MARIA) == Claimed(facts(), MARIA, NOON)
    held = Block("medical_hold", NOON, NOON, "on medical hold", None, "member_hold:1")
    assert opened(MARIA, MEDICAL) == Claimed(facts(blocked=held), MARIA, NOON)


def test_a_task_begins_by_being_opened() -> None:
    with pytest.raises(ValueError, match="begins by being opened"):
        evolve(None, TaskReleased())
