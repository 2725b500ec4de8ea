"""The console's pages: the readiness board, an item of it, and signing in.

Every page is a plain request that works without JavaScript; htmx swaps the same pages in place. A form answers with a
redirect when it was done, and with the page as it stands now, and the reason, when it was not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from chassis.ids import new_id
from chassis.web import NOT_FOUND, Problem, RequestContext, web_state
from chassis.web.problems import MISSING_SCOPE, UNAUTHENTICATED, problem_of
from contracts.roles import ROLES
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.board import views
from gateway.board.catalogue import BY_ID, ITEMS
from gateway.board.domain import LANES, Item
from gateway.board.gathering import BOARD_SCOPE, TASKS_SCOPE, Gathered, Gatherer
from gateway.board.http import BOARD_SECONDS
from gateway.board.views import BoardItem
from gateway.console import forms, rendering
from gateway.console.forms import VERBS, FormRefusedError, Verb
from gateway.door import door_of
from gateway.identity import CROSS_SITE, Caller
from gateway.local_issuer import STAFF
from gateway.sessions import FORM_FIELD, comes_from_our_pages
from gateway.upstream import Unavailable

STATES: Final = ("blocked", "watch", "ready")
_SEE_OTHER: Final = 303
_FORM_MAX_FIELDS: Final = 20
_YEAR_SECONDS: Final = 31_536_000
_DONE: Final = "done"
Page = Callable[[Request], Awaitable[Response]]


def routes() -> Sequence[BaseRoute]:
    """Every page and file of the console."""
    return [
        Route("/", _guarded(home), name="look at the board"),
        Route("/board/items/{item_id}", _guarded(item), name="look at an item of the board"),
        Route("/board/items/{item_id}/{verb}", _guarded(act), methods=["POST"], name="act on an item's task"),
        Route("/sign-in", _guarded(sign_in), methods=["GET", "POST"], name="sign in"),
        Route("/sign-out", _guarded(sign_out), methods=["POST"], name="sign out"),
        Route("/console/{name}", file, name="read a file of the console"),
    ]


async def home(request: Request) -> Response:
    """The Workflow Backbone: counts, lanes and the queue."""
    caller = await _visitor(request)
    items = _visible(caller)
    gathered = await _gather(request, caller, items)
    board = views.board(gathered.judged(items), gathered.missing)
    lane, state = _chosen(request, "lane", LANES), _chosen(request, "state", STATES)
    queue = sorted((each for one in board.lanes for each in one.items), key=lambda each: STATES.index(each.state))
    shown = [each for each in queue if lane in {None, each.lane} and state in {None, each.state}]
    return _page(request, "home.html", caller=caller, board=board, queue=shown, lane=lane, state=state)


async def item(request: Request) -> Response:
    """One item: why it is as it is, what stands behind it, and what can be done."""
    caller = await _visitor(request)
    done = next((each for each in VERBS if each == request.query_params.get(_DONE)), None)
    return await _item_page(request, caller, notice=None if done is None else forms.said(done))


async def act(request: Request) -> Response:
    """Do what a form asks of the item's task, in the visitor's name."""
    caller, door = await _visitor(request), door_of(request)
    verb = next((each for each in VERBS if each == request.path_params["verb"]), None)
    chosen = _item(request, caller)
    if verb is None or chosen.task is None:
        raise Problem.not_found("page", request.url.path)
    if forms.WRITE_SCOPE not in caller.scopes:
        raise Problem(MISSING_SCOPE, f"This needs the scope {forms.WRITE_SCOPE}.", scope=forms.WRITE_SCOPE)
    form = await _form(request)
    if caller.session is None or not door.sessions.form_is_ours(caller.session, form.get(FORM_FIELD)):
        raise Problem(CROSS_SITE, "Nothing was changed: this form is not of your session. Load the page again.")
    try:
        refusal = await _send(request, caller, verb, form)
    except FormRefusedError as error:
        refusal = (422, "The form was not sent", str(error))
    if refusal is None:
        return RedirectResponse(f"/board/items/{chosen.id}?{_DONE}={verb}", _SEE_OTHER)
    status, title, detail = refusal
    return await _item_page(request, caller, status=status, alert=(title, detail))


async def sign_in(request: Request) -> Response:
    """Choose a role, in local mode; elsewhere the issuer's tokens are what signs somebody in."""
    door, onwards = door_of(request), _onwards(request.query_params.get("next"))
    if request.method == "GET":
        if await door.visitor(request) is not None:
            return RedirectResponse(onwards, _SEE_OTHER)
        staff = STAFF if door.issuer is not None else {}
        return _page(request, "sign_in.html", staff=staff, onwards=onwards)
    await door.visitor(request)
    if not comes_from_our_pages(request):
        raise Problem(CROSS_SITE, "Nobody was signed in: this was sent by a page that is not ours.")
    form = await _form(request)
    role = next((each for each in ROLES if each == form.get("role")), None)
    if role is None:
        raise Problem(NOT_FOUND, "There is no such role.")
    response = RedirectResponse(onwards, _SEE_OTHER)
    door.sign_in(request, response, STAFF[role], [role])
    return response


async def sign_out(request: Request) -> Response:
    """End the session."""
    caller, door = await _visitor(request), door_of(request)
    form = await _form(request)
    if caller.session is None or not door.sessions.form_is_ours(caller.session, form.get(FORM_FIELD)):
        raise Problem(CROSS_SITE, "You are still signed in: this form is not of your session.")
    response = RedirectResponse("/sign-in", _SEE_OTHER)
    door.sign_out(response)
    return response


async def file(request: Request) -> Response:
    """One of the console's own files; its address changes with its bytes."""
    found = rendering.static_file(request.path_params["name"])
    if found is None:
        raise Problem.not_found("file", request.path_params["name"])
    body, media_type, digest = found
    fresh = request.query_params.get("v") == digest
    kept = f"public, max-age={_YEAR_SECONDS}, immutable" if fresh else rendering.NO_STORE
    return Response(body, 200, {"Cache-Control": kept}, media_type)


def _guarded(page: Page) -> Page:
    """A page whose problems are pages too; who is not signed in is asked to."""

    async def guarded(request: Request) -> Response:
        try:
            return await page(request)
        except (Problem, HTTPException) as error:
            problem = problem_of(error)
            if problem.type is UNAUTHENTICATED:
                return _to_sign_in(request)
            door_of(request).refused(request, problem)
            return _page(request, "problem.html", status=problem.type.status, problem=problem)

    return guarded


async def _visitor(request: Request) -> Caller:
    caller = await door_of(request).visitor(request)
    if caller is None:
        raise Problem(UNAUTHENTICATED, "Sign in first.")
    return caller


def _to_sign_in(request: Request) -> Response:
    where = request.url.path if request.method == "GET" else "/"
    return RedirectResponse("/sign-in" if where == "/" else f"/sign-in?next={quote(where)}", _SEE_OTHER)


def _onwards(given: str | None) -> str:
    """Where to go after signing in: a page of ours, never another site."""
    known = {f"/board/items/{each.id}" for each in ITEMS}
    return given if given in known else "/"


def _visible(caller: Caller) -> tuple[Item, ...]:
    """The items that somebody may see: tasks alone where the evidence is not theirs to read."""
    if BOARD_SCOPE in caller.scopes:
        return ITEMS
    if TASKS_SCOPE in caller.scopes:
        return tuple(each for each in ITEMS if each.task is not None)
    raise Problem(MISSING_SCOPE, f"This needs the scope {BOARD_SCOPE}.", scope=BOARD_SCOPE)


def _item(request: Request, caller: Caller) -> Item:
    chosen = BY_ID.get(request.path_params["item_id"])
    if chosen is None or chosen not in _visible(caller):
        raise Problem.not_found("board item", request.path_params["item_id"])
    return chosen


async def _gather(request: Request, caller: Caller, items: Sequence[Item], *, deliveries: bool = False) -> Gathered:
    door, context = door_of(request), RequestContext.of(request.scope)
    gatherer = Gatherer(door.upstreams, caller, context, seconds=BOARD_SECONDS)
    return await gatherer.gather(items, web_state(request).evidence, deliveries=deliveries)


async def _item_page(
    request: Request,
    caller: Caller,
    *,
    status: int = 200,
    notice: str | None = None,
    alert: tuple[str, str] | None = None,
) -> Response:
    chosen = _item(request, caller)
    gathered = await _gather(request, caller, [chosen], deliveries="payments" in chosen.inspects)
    (judged,) = gathered.judged([chosen])
    shown, task = views.page(judged, gathered), gathered.shown.get(chosen.id)
    possible = None if task is None else forms.actions(task, may_write=forms.WRITE_SCOPE in caller.scopes)
    return _page(
        request,
        "item.html",
        caller=caller,
        status=status,
        page=shown,
        item=shown.item,
        task=task,
        actions=possible,
        key=new_id,
        notice=notice,
        alert=alert,
        problems=_problems(shown.item),
    )


def _problems(shown: BoardItem) -> int:
    return sum(1 for each in shown.because if each.outcome != "holds")


async def _send(request: Request, caller: Caller, verb: Verb, form: Mapping[str, Any]) -> tuple[int, str, str] | None:
    """None when it was done; else status, title and what is wrong."""
    wanted, context = forms.request_of(verb, form), RequestContext.of(request.scope)
    outcome = await door_of(request).upstreams.send(
        "POST", "tasks", wanted.target, caller, context, headers=wanted.headers, body=wanted.body
    )
    if isinstance(outcome, Unavailable):
        unclear = "It may have been done: look before you try again." if outcome.sent else "Nothing was changed."
        return 503, f"The task service {outcome.why}", unclear
    if outcome.ok:
        return None
    try:
        told = outcome.json()
        return outcome.status, str(told["title"]), str(told["detail"])
    except (ValueError, KeyError, TypeError):
        return 503, "The task service cannot answer now", "Nothing is known to have changed."


async def _form(request: Request) -> Mapping[str, Any]:
    return await request.form(max_files=0, max_fields=_FORM_MAX_FIELDS)


def _chosen(request: Request, name: str, known: Sequence[str]) -> str | None:
    given = request.query_params.get(name)
    return given if given in known else None


def _page(
    request: Request, template: str, *, caller: Caller | None = None, status: int = 200, **values: Any
) -> Response:
    settings = door_of(request).settings
    look = rendering.Look(ZoneInfo(settings.business_timezone), secure=settings.cookies_are_secure)
    return rendering.page(request, template, look, caller=caller, status=status, **values)
