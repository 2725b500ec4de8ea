"""The board through the door: composed out of every service's evidence, and there although services are away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from chassis.clock import real_now
from gateway.board.catalogue import ITEMS
from gateway.board.domain import Fact
from gateway.settings import UPSTREAMS

from contracts import evidence as e
from tests.gateway.behind import Gateway, Standing, a_gateway, listening, urls
from tests.gateway.board_evidence import ALL_WELL
from tests.support.infrastructure import TemporaryDatabase

TASK = {
    "id": "0199a0b0-0000-7000-8000-000000000001",
    "kind": "trial_arrival",
    "title": "Confirm Isla Morgan trial arrival",
    "state": "open",
    "due_state": "upcoming",
    "queue": "Front desk",
    "owner": None,
    "blocked": None,
    "outcome": None,
    "version": 1,
}
Replies = Callable[[str, str], tuple[int, Mapping[str, str], bytes]]


def shown(facts: list[Fact]) -> list[dict[str, Any]]:
    return [{"name": f.name, "value": f.value, "unit": f.unit, "observed_at": f.observed_at.isoformat()} for f in facts]


def answering(service: str, **changes: Any) -> Replies:
    """A service as the board meets it: its evidence of this moment, tasks, deliveries."""
    facts = [replace(each, observed_at=real_now()) for each in ALL_WELL.facts if each.service == service]
    replies = {
        "/evidence": shown(facts),
        "/tasks": {"items": [TASK], "next": None},
        "/deliveries": {"items": [{"id": "a-delivery", "provider": "stripe"}], "next": None},
        **changes,
    }

    def reply(_: str, path: str) -> tuple[int, Mapping[str, str], bytes]:
        body = replies[path]
        status = body if isinstance(body, int) else 200
        return status, {"content-type": "application/json"}, json.dumps(body).encode()

    return reply


@asynccontextmanager
async def a_board(
    database: TemporaryDatabase, *, away: tuple[str, ...] = (), twice: str | None = None, **services: Any
) -> AsyncIterator[tuple[Gateway, dict[str, Standing]]]:
    """A gateway before services that answer as they are told; `twice` has two processes, the second one away."""
    standing = {name: Standing(answering(name, **services.get(name.replace("-", "_"), {}))) for name in UPSTREAMS}
    async with AsyncExitStack() as stack:
        addresses = {
            f"{name.replace('-', '_')}_url": await stack.enter_async_context(listening(app))
            for name, app in standing.items()
            if name not in away
        }
        if twice is not None:
            addresses[f"{twice}_url"] = urls([addresses[f"{twice}_url"], "http://127.0.0.1:9"])
        gateway = await stack.enter_async_context(a_gateway(database, **addresses))
        yield gateway, standing


async def the_board(gateway: Gateway) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    answer = await gateway.call("GET", "/v1/board")
    assert answer.status_code == 200, answer.text
    board = answer.json()
    return board, {item["id"]: item for lane in board["lanes"] for item in lane["items"]}


async def test_the_board_has_ten_items_in_four_lanes_and_counts_them(gateway_database: TemporaryDatabase) -> None:
    async with a_board(gateway_database) as (gateway, standing):
        board, items = await the_board(gateway)

    assert [lane["lane"] for lane in board["lanes"]] == ["money", "platform", "tasks", "audit"]
    assert set(items) == {item.id for item in ITEMS}
    assert sum(board["counts"].values()) == 10
    assert {state: sum(lane["counts"][state] for lane in board["lanes"]) for state in board["counts"]} == board[
        "counts"
    ]
    assert board["missing"] == []
    assert items["payment-provider-event-ledger"]["state"] == "ready"
    assert items["confirm-isla-morgan-trial-arrival"]["task"]["version"] == 1
    assert items["confirm-isla-morgan-trial-arrival"]["next_action"] == "Claim it"
    assert items["call-mark-stevens-about-failed-payment"]["because"][0]["outcome"] == "missing", "another's title"
    for item in items.values():
        assert item["because"]
        assert item["next_action"]
    asked = [seen["query"] for seen in standing["tasks"].seen if seen["path"] == "/tasks"]
    assert any("dedupe_key=board%3Atrial-arrival%3Aisla-morgan" in query for query in asked)


@pytest.mark.parametrize("service", UPSTREAMS)
async def test_a_service_that_is_away_is_named_and_what_it_measures_is_missing(
    gateway_database: TemporaryDatabase, service: str
) -> None:
    async with a_board(gateway_database, away=(service,)) as (gateway, _):
        board, items = await the_board(gateway)

    assert {each["service"] for each in board["missing"]} == {service}
    assert len(items) == 10
    told = [
        each for item in items.values() for each in item["because"] if f"{service} cannot be reached" in each["value"]
    ]
    assert told
    assert all(each["state"] != "ready" for each in told)


@pytest.mark.parametrize("service", UPSTREAMS)
async def test_a_service_that_hangs_costs_the_board_its_part_and_not_its_time(
    gateway_database: TemporaryDatabase, service: str
) -> None:
    released = asyncio.Event()

    async def hang(_: Any, __: Any, send: Any) -> None:
        await released.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[]"})

    async with AsyncExitStack() as stack:
        addresses = {
            f"{name.replace('-', '_')}_url": await stack.enter_async_context(
                listening(hang if name == service else Standing(answering(name)))
            )
            for name in UPSTREAMS
        }
        impatient = a_gateway(gateway_database, **addresses, upstream_timeout_seconds=3)
        gateway = await stack.enter_async_context(impatient)
        board, items = await the_board(gateway)
        released.set()

    assert {each["service"] for each in board["missing"]} == {service}
    held = [each for item in items.values() for each in item["because"] if each["outcome"] == "holds"]
    assert held, "what the others measure counts"


async def test_one_process_of_two_that_is_away_is_named_and_the_other_s_evidence_counts(
    gateway_database: TemporaryDatabase,
) -> None:
    async with a_board(gateway_database, twice="payments") as (gateway, _):
        board, items = await the_board(gateway)

    assert [each["part"] for each in board["missing"]] == ["evidence of payments, process 2"]
    assert items["payment-provider-event-ledger"]["state"] == "ready"


@pytest.mark.parametrize("reply", [429, {"items": "nonsense"}, "no evidence"])
async def test_evidence_that_cannot_be_read_is_missing(gateway_database: TemporaryDatabase, reply: Any) -> None:
    async with a_board(gateway_database, payments={"/evidence": reply}) as (gateway, _):
        board, items = await the_board(gateway)

    assert [each["part"] for each in board["missing"]] == ["evidence of payments"]
    assert items["payment-provider-event-ledger"]["state"] == "blocked"


async def test_tasks_that_cannot_be_read_are_not_taken_for_tasks_that_are_not_there(
    gateway_database: TemporaryDatabase,
) -> None:
    async with a_board(gateway_database, tasks={"/tasks": 429}) as (gateway, _):
        _, items = await the_board(gateway)

    reason = items["confirm-isla-morgan-trial-arrival"]["because"][0]
    assert (reason["state"], reason["value"]) == ("blocked", "tasks answers 429")


async def test_an_item_shows_what_stands_behind_it(gateway_database: TemporaryDatabase) -> None:
    facts = [replace(each, observed_at=real_now()) for each in ALL_WELL.facts if each.service == "payments"]
    route = e.ROUTE_SERVER_ERRORS.reading(3, real_now(), of="payments-1 GET /payments")
    evidence = [*shown(facts), route.model_dump(mode="json")]
    async with a_board(gateway_database, payments={"/evidence": evidence}) as (gateway, _):
        answer = await gateway.call("GET", "/v1/board/items/payment-webhooks")
        unknown = await gateway.call("GET", "/v1/board/items/payment-walls")
        secret = await gateway.call("GET", "/v1/board/items/payment-webhooks", role="platform")

    page = answer.json()
    assert page["item"]["id"] == "payment-webhooks"
    assert page["inspect"]["deliveries"] == [{"id": "a-delivery", "provider": "stripe"}]
    assert {each["name"] for each in page["inspect"]["queues"]} >= {e.OUTBOX_DEPTH.name, e.PENDING_EVENTS.name}
    assert {each["instance"] for each in page["inspect"]["processes"]} >= {"payments-1", "payments-2"}
    assert page["inspect"]["failures"] == [
        {"service": "payments", "instance": "payments-1", "route": "GET /payments", "count": 3}
    ]
    assert unknown.status_code == 404
    assert secret.json()["inspect"]["deliveries"] is None, "deliveries hold personal data"
    assert secret.json()["missing"][0]["why"] == "needs the scope deliveries:read"


async def test_the_board_is_for_who_may_read_it_and_nothing_sets_a_state(gateway_database: TemporaryDatabase) -> None:
    async with a_board(gateway_database) as (gateway, _):
        assert (await gateway.call("GET", "/v1/board", role="coach")).status_code == 403
        assert (await gateway.call("GET", "/v1/board", role=None)).status_code == 401
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for path in ("/v1/board", "/v1/board/items/members-api"):
                assert (await gateway.call(method, path)).status_code in {404, 405}


async def test_old_evidence_ages_on_the_board(gateway_database: TemporaryDatabase) -> None:
    facts = [
        replace(each, observed_at=real_now() - timedelta(hours=3 if each.measure == e.AUDIT_VERIFIED.name else 0))
        for each in ALL_WELL.facts
        if each.service == "audit"
    ]
    async with a_board(gateway_database, audit={"/evidence": shown(facts)}) as (gateway, _):
        _, items = await the_board(gateway)

    reason = items["sensitive-action-audit-trail"]["because"][0]
    assert (reason["outcome"], reason["state"], reason["age_limit_seconds"]) == ("too_old", "blocked", 3_600.0)
    assert reason["age_seconds"] > 3 * 3_600 - 5
