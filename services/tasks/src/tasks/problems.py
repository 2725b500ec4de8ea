"""What a refusal is over HTTP: a problem of a type of its own, with the ids and the winner that it names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from chassis.web import INVALID, Problem, ProblemType

from tasks import refusals
from tasks.refusals import LostError, RefusedError
from tasks.store import TaskNotFoundError
from tasks.texts import TextRefusedError
from tasks.translate import BadRequestError
from tasks.use_cases import StillOpenError

ALREADY_CLAIMED: Final = ProblemType("already-claimed", "Somebody else has this task", 409)
ALREADY_ENDED: Final = ProblemType("already-ended", "This task has ended already", 409)
NOT_OWNER: Final = ProblemType("not-owner", "Only its owner may do this", 409)
TASK_BLOCKED: Final = ProblemType("task-blocked", "This task is blocked", 409)
OUTCOME_FORBIDDEN: Final = ProblemType("outcome-forbidden", "The block in force forbids this outcome", 409)
STILL_OPEN: Final = ProblemType("still-open", "Another task about the same thing is open", 409)
TOO_LATE: Final = ProblemType("too-late-to-reopen", "This task ended too long ago", 409)
UNKNOWN_OUTCOME: Final = ProblemType("unknown-outcome", "The kind has no such outcome", 422)
UNKNOWN_BLOCK: Final = ProblemType("unknown-block", "The kind has no such block", 422)
UNTIL_PASSED: Final = ProblemType("until-passed", "The block would be over already", 422)


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what the tasks service refuses into problems."""
    try:
        yield
    except TaskNotFoundError as error:
        raise Problem.not_found("task", error.task_id) from None
    except RefusedError as error:
        raise _problem(error) from None
    except (BadRequestError, TextRefusedError) as error:
        sentence = str(error)
        raise Problem(INVALID, f"{sentence[:1].upper()}{sentence[1:]}.") from None


def _problem(error: RefusedError) -> Problem:
    sentence = f"{error}."
    match error:
        case LostError():
            kind = ALREADY_CLAIMED if isinstance(error, refusals.AlreadyClaimedError) else ALREADY_ENDED
            return Problem(kind, sentence, **_winner(error))
        case refusals.NotOwnerError(owner=owner):
            return Problem(NOT_OWNER, sentence, owner={"id": owner.id, "name": owner.name})
        case refusals.BlockedError(block=block):
            return Problem(TASK_BLOCKED, sentence, code=block.code, unblocked_by=block.condition)
        case refusals.OutcomeForbiddenError(code=code, block=block):
            return Problem(OUTCOME_FORBIDDEN, sentence, outcome=code, code=block.code)
        case refusals.OutcomeUnknownError(known=known):
            return Problem(UNKNOWN_OUTCOME, sentence, known=sorted(known))
        case refusals.BlockUnknownError(known=known):
            return Problem(UNKNOWN_BLOCK, sentence, known=sorted(known))
        case refusals.UntilPassedError(until=until):
            return Problem(UNTIL_PASSED, sentence, until=until.isoformat())
        case refusals.TooLateToReopenError(ended_at=ended_at):
            return Problem(TOO_LATE, sentence, ended_at=ended_at.isoformat())
        case StillOpenError(task_id=task_id):
            return Problem(STILL_OPEN, sentence, task_id=task_id)
        case _:
            raise error


def _winner(error: LostError) -> dict[str, Any]:
    """Who was first, when, and with which outcome."""
    return {
        "winner": {"id": error.winner.id, "name": error.winner.name},
        "at": error.at.isoformat(),
        "state": error.state,
        "outcome": None if error.outcome is None else error.outcome.code,
    }
