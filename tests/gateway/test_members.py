"""One member on one page, out of several services: whole when all answer, and what there is when one does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from tests.gateway.behind import NOBODY_LISTENS, Gateway, Standing, a_gateway, listening, replying
from tests.gateway.test_upstream import says_nothing, wire
from tests.support.infrastructure import TemporaryDatabase

MARK = {"id": "mark-stevens", "name": "Mark Stevens", "version": 1, "customers": []}
LEDGER = {
    "member": MARK,
    "lines": [{"words": "Payment failed", "payment_id": "pay-1"}, {"words": "Invoice", "payment_id": None}],
    "balances": [{"amount_minor": 11_000, "currency": "AUD"}],
    "next": None,
}
HOLD = {"id": "hold-1", "kind": "medical"}
TASK = {"id": "task-1", "title": "Call Mark Stevens about failed payment"}
HEALTH = "/v1/services/provider-health"
IMPATIENT: dict[str, Any] = {"upstream_timeout_seconds": 1.0}
JSON = {"content-type": "application/json"}


def payments() -> Standing:
    def reply(method: str, path: str) -> tuple[int, Mapping[str, str], bytes]:
        if not path.startswith("/members/mark-stevens"):
            return 404, JSON, b"{}"
        found: Any = LEDGER if path.endswith("/ledger") else {"items": [HOLD], "next": None}
        return 200, JSON, orjson.dumps(found)

    return Standing(reply)


class Audit(Standing):
    """Has one record of each entity that is asked for."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        (entity,) = parse_qs(scope["query_string"].decode())["entity"]
        order = ["member:mark-stevens", "payment:pay-1", "member_hold:hold-1", "task:task-1"]
        record = {"seq": order.index(entity) + 1, "sentence": entity}
        self.reply = lambda method, path: (200, JSON, orjson.dumps({"items": [record], "next": None}))
        await super().__call__(scope, receive, send)


def tasks() -> Standing:
    return replying(200, orjson.dumps({"items": [TASK], "next": None}))


@asynccontextmanager
async def standing(
    database: TemporaryDatabase, *, dead: str | None = None, slow: str | None = None, **settings: Any
) -> AsyncIterator[Gateway]:
    """A gateway before three services, of which one may be dead or say nothing."""
    services = {"payments": payments(), "audit": Audit(lambda method, path: (500, {}, b"")), "tasks": tasks()}
    async with AsyncExitStack() as stack:
        urls = {f"{name}_url": await stack.enter_async_context(listening(each)) for name, each in services.items()}
        if dead is not None:
            urls[f"{dead}_url"] = NOBODY_LISTENS
        if slow is not None:
            urls[f"{slow}_url"] = await stack.enter_async_context(wire(says_nothing))
        yield await stack.enter_async_context(a_gateway(database, **urls, **settings))


async def test_a_page_holds_what_every_service_knows_of_a_member(no_database: TemporaryDatabase) -> None:
    async with standing(no_database) as gateway:
        page = (await gateway.call("GET", "/v1/members/mark-stevens")).json()

    assert (page["id"], page["name"], page["missing"]) == ("mark-stevens", "Mark Stevens", [])
    assert (page["ledger"], page["holds"], page["tasks"]) == (LEDGER, [HOLD], [TASK])
    said = [record["sentence"] for record in page["timeline"]]
    assert said == ["task:task-1", "member_hold:hold-1", "payment:pay-1", "member:mark-stevens"], "newest first"


@pytest.mark.parametrize("how", ["dead", "slow"])
@pytest.mark.parametrize(
    ("service", "missing"),
    [
        ("payments", {"ledger", "holds"}),
        ("audit", {"timeline"}),
        ("tasks", {"tasks"}),
    ],
)
async def test_a_service_that_is_away_leaves_a_gap_that_says_so(
    service: str, missing: set[str], how: str, no_database: TemporaryDatabase
) -> None:
    async with standing(no_database, **IMPATIENT, **{how: service}) as gateway:
        answer = await gateway.call("GET", "/v1/members/mark-stevens")

    page = answer.json()
    assert answer.status_code == 200
    assert {each["part"] for each in page["missing"]} == missing
    assert all(page[part] is None for part in missing)
    present = {"ledger", "holds", "tasks", "timeline"} - missing
    assert all(page[part] for part in present), page
    assert all(each["why"] and each["service"] for each in page["missing"])


@pytest.mark.parametrize(
    ("service", "missing"), [("payments", ["holds", "ledger"]), ("audit", ["timeline"]), ("tasks", ["tasks"])]
)
async def test_a_service_that_says_nothing_costs_its_part_of_the_page_by_the_limits_as_they_are(
    service: str, missing: list[str], no_database: TemporaryDatabase
) -> None:
    as_they_are = {"upstream_timeout_seconds": None, "upstream_connect_timeout_seconds": None}
    async with standing(no_database, slow=service, **as_they_are) as gateway:
        limits = gateway.runtime.settings
        assert limits.upstream_timeout_seconds + limits.upstream_connect_timeout_seconds < 2.0
        async with asyncio.timeout(30):
            page = (await gateway.call("GET", "/v1/members/mark-stevens")).json()

    assert {each["part"] for each in page["missing"]} >= set(missing)


async def test_without_any_service_the_page_names_all_that_is_missing(no_database: TemporaryDatabase) -> None:
    async with a_gateway(no_database) as gateway:
        answer = await gateway.call("GET", "/v1/members/mark-stevens")

    assert answer.status_code == 200
    assert {each["part"] for each in answer.json()["missing"]} == {"ledger", "holds", "tasks", "timeline"}


async def test_what_the_caller_may_not_see_is_withheld_and_named(no_database: TemporaryDatabase) -> None:
    async with standing(no_database) as gateway:
        page = (await gateway.call("GET", "/v1/members/mark-stevens", role="front_desk")).json()

    assert page["timeline"] is None
    assert page["missing"] == [{"part": "timeline", "service": "audit", "why": "needs the scope audit:read"}]


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/v1/members/isla-morgan", "owner", 404),
        ("/v1/members/mark-stevens", "coach", 403),
        ("/v1/members/mark-stevens", None, 401),
        ("/v1/members/%00", "owner", 422),
        ("/v1/members/mark-stevens?x=1", "owner", 422),
    ],
)
async def test_a_page_that_cannot_be_is_a_problem(
    path: str, role: Any, status: int, no_database: TemporaryDatabase
) -> None:
    async with standing(no_database) as gateway:
        answer = await gateway.call("GET", path, role=role)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("how", ["dead", "slow"])
@pytest.mark.parametrize(
    ("service", "read", "write"),
    [
        ("payments", "/v1/payments", "/v1/members/mark-stevens"),
        ("audit", "/v1/audit/records", "/v1/services/audit/outbox/parked/release"),
        ("tasks", "/v1/services/tasks/dead-letters", "/v1/services/tasks/outbox/parked/release"),
        (
            "provider_health",
            "/v1/services/provider-health/dead-letters",
            "/v1/services/provider-health/outbox/parked/release",
        ),
    ],
)
async def test_without_its_service_an_operation_says_what_is_missing_and_when_to_come_again(
    service: str, read: str, write: str, how: str, no_database: TemporaryDatabase
) -> None:
    async with AsyncExitStack() as stack:
        url = NOBODY_LISTENS if how == "dead" else await stack.enter_async_context(wire(says_nothing))
        gateway = await stack.enter_async_context(a_gateway(no_database, **IMPATIENT, **{f"{service}_url": url}))
        answers = await asyncio.gather(
            gateway.call("GET", read),
            gateway.call("PUT" if write.startswith("/v1/members") else "POST", write, json={}),
        )

    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["missing"] == [service.replace("_", "-")]
        assert int(answer.headers["retry-after"]) >= 1
