"""Incidents, their timelines, and what people do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, cast
from uuid import UUID

from chassis.web import (
    INVALID,
    MISSING_SCOPE,
    PRECONDITION_FAILED,
    PRECONDITION_REQUIRED,
    IfMatch,
    Listed,
    Page,
    Problem,
    ProblemType,
    ReadTx,
    Tx,
    documents,
    web_state,
)
from contracts.events import ProviderHealthReviewed, ProviderIncidentUpdated
from fastapi import APIRouter, Depends, Path, Query, Request

from provider_health.incidents import queries, use_cases
from provider_health.incidents.domain import Owner, PreventionMissingError, PreventionUnassuredError, WrongStateError
from provider_health.incidents.queries import Wanted
from provider_health.incidents.use_cases import AlreadyOpenError, NoSuchIncidentError, Prevention, StillFailingError
from provider_health.incidents.views import (
    ENTRY_EXAMPLE,
    EXAMPLE,
    INCIDENT_ID,
    Assigned,
    EntryView,
    Escalated,
    IncidentDetail,
    IncidentFilters,
    IncidentView,
    Mitigated,
    Noted,
    NoteGiven,
    OwnerView,
    Reported,
    Reviewed,
)
from provider_health.settings import ProviderHealthSettings

router = APIRouter(tags=["incidents"])
READ: Final = "incidents:read"
WRITE: Final = "incidents:write"
TIMELINE_SHOWN: Final = 200

WRONG_STATE: Final = ProblemType("incident-wrong-state", "The incident is not in a state that this leads on from", 409)
STILL_FAILING: Final = ProblemType("incident-still-failing", "What the incident is about does not work yet", 409)
PREVENTION_UNASSURED: Final = ProblemType(
    "prevention-task-unassured", "The prevention task of a severe incident has no owner or no due date", 409
)
PREVENTION_MISSING: Final = ProblemType("prevention-task-missing", "A severe incident has no prevention task yet", 409)
ALREADY_OPEN: Final = ProblemType("incident-already-open", "An incident about the same is open already", 409)

IncidentId = Annotated[UUID, Path(description="The incident's id")]
_STALE: Final = (PRECONDITION_FAILED, f"The incident {INCIDENT_ID} has version 3, not 2.")
_NO_VERSION: Final = (
    PRECONDITION_REQUIRED,
    "Send the version that you have read as `If-Match`, in double quotes.",
)


@contextmanager
def told_as_problems() -> Iterator[None]:
    """Answer with a problem for what may not be done to an incident."""
    try:
        yield
    except NoSuchIncidentError as error:
        raise Problem.not_found("incident", error.id) from None
    except WrongStateError as error:
        raise Problem(WRONG_STATE, _sentence(error), incident_id=error.id, state=error.state) from None
    except StillFailingError as error:
        raise Problem(STILL_FAILING, _sentence(error), incident_id=error.id, status_now=error.status) from None
    except PreventionMissingError as error:
        raise Problem(PREVENTION_MISSING, _sentence(error), incident_id=error.id, severity=error.severity) from None
    except PreventionUnassuredError as error:
        raise Problem(PREVENTION_UNASSURED, _sentence(error), incident_id=error.id, task_id=error.task_id) from None
    except AlreadyOpenError as error:
        raise Problem(ALREADY_OPEN, _sentence(error), incident_id=error.id) from None


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


async def _prevention(request: Request) -> Prevention:
    return Prevention.of(cast("ProviderHealthSettings", web_state(request).settings))


AskedToPrevent = Annotated[Prevention, Depends(_prevention)]


def _step(request: object, wrong_state: str | None = None) -> dict[str, Any]:
    """What each step of an incident documents alike; `wrong_state` is one in which it is refused."""
    wrong = [(WRONG_STATE, f"The incident {INCIDENT_ID} is {wrong_state}: one cannot do that now.")]
    return documents(
        scope=WRITE,
        audit=ProviderIncidentUpdated,
        limit="write",
        request=request,
        example=EXAMPLE,
        problems=[
            Problem.not_found("incident", INCIDENT_ID),
            *([] if wrong_state is None else wrong),
            _STALE,
            _NO_VERSION,
        ],
    )


@router.get(
    "/incidents",
    **documents(
        scope=READ,
        example=Listed(items=[EXAMPLE], next=None),
        problems=[
            (INVALID, "Some parameters are not known here."),
            (MISSING_SCOPE, "This needs the scope incidents:read."),
        ],
    ),
)
async def list_incidents(tx: ReadTx, filters: Annotated[IncidentFilters, Query()], page: Page) -> Listed[IncidentView]:
    """Incidents, newest first."""
    wanted = Wanted(filters.state, filters.provider, filters.severity, filters.open)
    found = await queries.listed(tx.connection, wanted, after=page.after_id(), limit=page.limit + 1)
    return page.listed([IncidentView.of(each) for each in found], key=lambda each: each.id)


@router.post(
    "/incidents",
    **documents(
        scope=WRITE,
        audit=ProviderIncidentUpdated,
        limit="write",
        request=Reported(title="Members see the wrong balance", provider="members-api", severity=2),
        example=EXAMPLE,
        problems=[
            (ALREADY_OPEN, f"The incident {INCIDENT_ID} about members-api is open already."),
            (INVALID, "Some values are missing, or are not what they should be."),
        ],
        status=201,
    ),
)
async def create_incident(given: Reported, tx: Tx) -> IncidentView:
    """Report an incident that no check has seen; one for each provider at a time."""
    with told_as_problems():
        made = await use_cases.report(
            tx,
            title=given.title,
            provider=given.provider,
            severity=given.severity,
            impact=given.impact,
            note=given.note,
        )
    return IncidentView.of(made)


@router.get(
    "/incidents/{incident_id}",
    **documents(
        scope=READ,
        example=IncidentDetail(**EXAMPLE.model_dump(), timeline=[ENTRY_EXAMPLE], timeline_more=False),
        problems=[
            Problem.not_found("incident", INCIDENT_ID),
            (MISSING_SCOPE, "This needs the scope incidents:read."),
        ],
    ),
)
async def get_incident(incident_id: IncidentId, tx: ReadTx) -> IncidentDetail:
    """An incident with the first entries of its timeline."""
    found = await queries.get(tx.connection, str(incident_id))
    if found is None:
        raise Problem.not_found("incident", str(incident_id))
    entries = await queries.timeline(tx.connection, str(incident_id), after=None, limit=TIMELINE_SHOWN + 1)
    shown = [EntryView.of(entry) for entry in entries[:TIMELINE_SHOWN]]
    view = IncidentView.of(found)
    return IncidentDetail(**view.model_dump(), timeline=shown, timeline_more=len(entries) > TIMELINE_SHOWN)


@router.get(
    "/incidents/{incident_id}/timeline",
    **documents(
        scope=READ,
        example=Listed(items=[ENTRY_EXAMPLE], next=None),
        problems=[
            Problem.not_found("incident", INCIDENT_ID),
            (MISSING_SCOPE, "This needs the scope incidents:read."),
        ],
    ),
)
async def get_timeline(incident_id: IncidentId, tx: ReadTx, page: Page) -> Listed[EntryView]:
    """The whole timeline of an incident, oldest entry first."""
    if await queries.get(tx.connection, str(incident_id)) is None:
        raise Problem.not_found("incident", str(incident_id))
    found = await queries.timeline(tx.connection, str(incident_id), after=page.after_int(), limit=page.limit + 1)
    return page.listed([EntryView.of(entry) for entry in found], key=lambda entry: entry.id)


@router.post("/incidents/{incident_id}/acknowledge", **_step(Noted(note="I am on it"), "acknowledged"))
async def acknowledge_incident(
    incident_id: IncidentId, given: Noted, expected: IfMatch, asked: AskedToPrevent, tx: Tx
) -> IncidentView:
    """Say that somebody is on it; severity 1 and 2 ask for a task that prevents another."""
    with told_as_problems():
        return IncidentView.of(
            await use_cases.acknowledge(tx, str(incident_id), note=given.note, expected=expected, prevention=asked)
        )


@router.post("/incidents/{incident_id}/mitigate", **_step(Mitigated(action="Collection is paused"), "detected"))
async def mitigate_incident(incident_id: IncidentId, given: Mitigated, expected: IfMatch, tx: Tx) -> IncidentView:
    """Say what was done so that the impact ends."""
    with told_as_problems():
        return IncidentView.of(await use_cases.mitigate(tx, str(incident_id), action=given.action, expected=expected))


@router.post("/incidents/{incident_id}/resolve", **_step(Noted(note="It answers again"), "acknowledged"))
async def resolve_incident(incident_id: IncidentId, given: Noted, expected: IfMatch, tx: Tx) -> IncidentView:
    """Say that it is over; refused while its check still fails."""
    with told_as_problems():
        return IncidentView.of(await use_cases.resolve(tx, str(incident_id), note=given.note, expected=expected))


@router.post(
    "/incidents/{incident_id}/review",
    **documents(
        scope=WRITE,
        audit=ProviderHealthReviewed,
        limit="write",
        request=Reviewed(decision="The safe events were replayed, nothing was lost"),
        example=EXAMPLE,
        problems=[
            Problem.not_found("incident", INCIDENT_ID),
            (PREVENTION_MISSING, f"The incident {INCIDENT_ID} has severity 2: it needs a prevention task."),
            (PREVENTION_UNASSURED, f"The prevention task of the incident {INCIDENT_ID} has no owner yet."),
            (WRONG_STATE, f"The incident {INCIDENT_ID} is mitigated: one cannot review it now."),
            _STALE,
            _NO_VERSION,
        ],
    ),
)
async def review_incident(incident_id: IncidentId, given: Reviewed, expected: IfMatch, tx: Tx) -> IncidentView:
    """Close an incident with what was learned; severity 1 and 2 need their prevention task, with owner and due date."""
    with told_as_problems():
        return IncidentView.of(
            await use_cases.review(
                tx,
                str(incident_id),
                decision=given.decision,
                filters=given.filters,
                replay_ids=given.replay_ids,
                expected=expected,
            )
        )


@router.post("/incidents/{incident_id}/note", **_step(NoteGiven(note="Their status page says so too")))
async def note_incident(incident_id: IncidentId, given: NoteGiven, expected: IfMatch, tx: Tx) -> IncidentView:
    """Add words to the timeline; they stay there."""
    with told_as_problems():
        return IncidentView.of(await use_cases.note(tx, str(incident_id), words=given.note, expected=expected))


@router.post(
    "/incidents/{incident_id}/assign",
    **_step(Assigned(owner=OwnerView(id="platform", name="Platform"))),
)
async def assign_incident(incident_id: IncidentId, given: Assigned, expected: IfMatch, tx: Tx) -> IncidentView:
    """Give an incident to somebody."""
    owner = Owner(given.owner.id, given.owner.name)
    with told_as_problems():
        return IncidentView.of(
            await use_cases.assign(tx, str(incident_id), owner=owner, reason=given.reason, expected=expected)
        )


@router.post(
    "/incidents/{incident_id}/escalate",
    **_step(Escalated(severity=1, reason="Every member is affected"), "reviewed"),
)
async def escalate_incident(
    incident_id: IncidentId, given: Escalated, expected: IfMatch, asked: AskedToPrevent, tx: Tx
) -> IncidentView:
    """Give an incident another severity, for a reason."""
    with told_as_problems():
        return IncidentView.of(
            await use_cases.escalate(
                tx,
                str(incident_id),
                severity=given.severity,
                reason=given.reason,
                expected=expected,
                prevention=asked,
            )
        )
