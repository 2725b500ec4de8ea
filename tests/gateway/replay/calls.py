"""How each example of the document is brought about: what has to be there before a call, and how the call differs.

A call starts as its operation's example has it. Every name in its path is made (`makes`), then what its success needs
is done (`before`). A problem either has a preparation of its own (`before(..., problem)`), or one that holds for every
operation (`GENERALLY`). What nobody has prepared fails the replay with a sentence that says what to add.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from chassis.ids import new_id
from contracts.roles import Role

if TYPE_CHECKING:
    from tests.gateway.replay.world import World

Where = Literal["door", "strict", "deserted"]


@dataclass(slots=True)
class Call:
    """One call of an operation; `where` is the gateway that is called: an ordinary one, one whose limits are used up,
    or one behind which every service is away."""

    method: str
    path: str
    declared: Mapping[str, Any]
    names: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    role: Role | Literal["stranger"] | None = "owner"
    where: Where = "door"

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def expects(self, version: int) -> None:
        """Send the version that was read."""
        self.headers["If-Match"] = f'"{version}"'


Prepare = Callable[["World", Call], Awaitable[None]]
MAKERS: dict[str, Prepare] = {}
BEFORE: dict[tuple[str, str | None], Prepare] = {}


def makes(*names: str) -> Callable[[Prepare], Prepare]:
    """The decorated function makes what these names in a path stand for; `service:name` for one service's."""

    def keep(prepare: Prepare) -> Prepare:
        MAKERS.update(dict.fromkeys(names, prepare))
        return prepare

    return keep


def before(*operations: str, problem: str | None = None) -> Callable[[Prepare], Prepare]:
    """The decorated function does what the success, or a problem, of these operations needs."""

    def keep(prepare: Prepare) -> Prepare:
        BEFORE.update({(operation, problem): prepare for operation in operations})
        return prepare

    return keep


async def by_nobody(world: World, call: Call) -> None:
    call.role = None


async def by_a_stranger(world: World, call: Call) -> None:
    call.role = "stranger"


async def too_often(world: World, call: Call) -> None:
    call.where = "strict"


async def without_services(world: World, call: Call) -> None:
    call.where = "deserted"


async def of_something_else(world: World, call: Call) -> None:
    """Name something that is not there, in the form that the operation wants."""
    if not call.names:
        raise LookupError("nothing in its path could be missing")
    parameters = {each["name"]: each["schema"] for each in call.declared.get("parameters", ()) if each["in"] == "path"}
    name = list(call.names)[-1]
    schema = parameters[name]
    if schema.get("format") == "uuid":
        call.names[name] = str(uuid4())
    else:
        call.names[name] = "999999999" if schema.get("type") == "integer" else new_id()


async def with_what_is_not_valid(world: World, call: Call) -> None:
    if call.declared.get("x-pagination") == "keyset":
        call.query["limit"] = 0
    elif call.writes and call.declared.get("requestBody"):
        call.json = {"no_such_field": "\u0000"}
    else:
        call.query["no_such_parameter"] = 1


async def with_another_lists_cursor(world: World, call: Call) -> None:
    call.query["cursor"] = "!"


async def without_a_version(world: World, call: Call) -> None:
    call.headers.pop("If-Match", None)


async def with_an_old_version(world: World, call: Call) -> None:
    call.expects(999_999)


async def with_a_used_key(world: World, call: Call) -> None:
    call.headers["Idempotency-Key"] = new_id()
    first = await world.send(call)
    assert first.is_success, first.text
    call.json = {**(call.json or {}), "no_such_field": 1}


async def without_json(world: World, call: Call) -> None:
    call.json, call.content = None, b"{"
    call.headers["Content-Type"] = "application/json"


async def with_a_huge_body(world: World, call: Call) -> None:
    call.json, call.content = None, b" " * 2_000_000


GENERALLY: dict[str, Prepare] = {
    "unauthenticated": by_nobody,
    "missing-scope": by_a_stranger,
    "rate-limited": too_often,
    "unavailable": without_services,
    "not-found": of_something_else,
    "invalid": with_what_is_not_valid,
    "bad-cursor": with_another_lists_cursor,
    "precondition-required": without_a_version,
    "precondition-failed": with_an_old_version,
    "idempotency-key-reused": with_a_used_key,
    "bad-request": without_json,
    "body-too-large": with_a_huge_body,
}
AT_THE_DOOR = frozenset({"unauthenticated", "missing-scope", "rate-limited", "unavailable"})
"""Answered before any service has seen the call."""
