"""Refused writes and sign-ins become events; PostgreSQL may be away without anybody being kept out."""

from __future__ import annotations

import asyncio

import pytest
from backbone.postgres import Cluster
from contracts.envelope import RawEvent
from contracts.events import AccessRefused, AccessSignedIn
from contracts.registry import type_of, typed

from tests.gateway.behind import Gateway, a_gateway, listening, replying
from tests.support.eventually import eventually
from tests.support.infrastructure import Databases, TemporaryDatabase


async def told(gateway: Gateway, number: int) -> list[RawEvent]:
    """The first `number` events, once they are told."""
    return (await eventually(gateway.told, lambda events: len(events) >= number))[:number]


async def test_a_refused_write_is_told_with_who_tried_what_and_why(gateway_database: TemporaryDatabase) -> None:
    async with a_gateway(gateway_database) as gateway:
        answer = await gateway.call(
            "PUT", "/v1/members/mark-stevens", role="coach", json={}, headers={"X-Request-Id": "request-0001"}
        )
        assert answer.status_code == 403
        (event,) = await told(gateway, 1)

    found = typed(event)
    body = found.data.body
    assert isinstance(body, AccessRefused)
    assert (body.route, body.cause, body.count) == ("PUT /v1/members/{member_id}", "missing-scope", 1)
    assert body.operation == "put member"
    assert found.data.actor.name == "Coach Sarah"
    assert (found.correlationid, found.subject) == ("request-0001", "coach-sarah")
    assert found.data.reason == "This needs the scope members:write"


async def test_refused_reads_are_not_told(gateway_database: TemporaryDatabase) -> None:
    async with a_gateway(gateway_database) as gateway:
        await gateway.call("GET", "/v1/payments", role="coach")
        await gateway.call("GET", "/v1/payments", role=None)
        await gateway.call("PUT", "/v1/members/mark-stevens", role="coach", json={})
        (event,) = await told(gateway, 1)
        assert event.type == type_of(AccessRefused).name

    assert event.subject == "coach-sarah"


async def test_writes_of_nobody_are_told_together_when_the_process_ends_at_the_latest(
    gateway_database: TemporaryDatabase,
) -> None:
    async with a_gateway(gateway_database) as gateway:
        for headers in ({}, {"Authorization": "Bearer hunter2"}, {"Authorization": "Basic x"}):
            answer = await gateway.call("PUT", "/v1/members/isla-morgan", role=None, json={}, headers=headers)
            assert answer.status_code == 401
        await gateway.door.teller.close()
        events = await gateway.told()

    bodies = [typed(event).data.body for event in events]
    assert sum(body.count for body in bodies if isinstance(body, AccessRefused)) == 3
    assert {event.subject for event in events} == {"anonymous"}


async def test_a_sign_in_is_told_with_roles_and_method(gateway_database: TemporaryDatabase) -> None:
    async with a_gateway(gateway_database) as gateway:
        await gateway.call("POST", "/v1/session", role="billing")
        (event,) = await told(gateway, 1)

    body = typed(event).data.body
    assert isinstance(body, AccessSignedIn)
    assert (body.roles, body.method, body.issuer) == (("billing",), "token", "backbone-local")
    assert typed(event).data.actor.name == "Maria Rossi"


@pytest.fixture
async def own_database(private_postgres: Cluster) -> TemporaryDatabase:
    databases = Databases(private_postgres.admin_url)
    return await databases.create(await databases.template_for(("gateway",)))


async def test_without_postgresql_the_door_stays_open_and_what_was_refused_is_told_later(
    private_postgres: Cluster, own_database: TemporaryDatabase
) -> None:
    async with listening(replying()) as url, a_gateway(own_database, payments_url=url) as gateway:
        await asyncio.to_thread(private_postgres.stop)
        assert (await gateway.call("GET", "/v1/payments")).status_code == 200
        assert (await gateway.call("PUT", "/v1/members/mark-stevens", json={})).status_code == 200
        assert (await gateway.call("POST", "/v1/session", role="billing")).status_code == 200
        refused = await gateway.call("PUT", "/v1/members/mark-stevens", role="coach", json={})
        assert refused.status_code == 403
        ready = await gateway.http.get("/health/ready")
        assert ready.status_code == 200
        assert {"name": "postgres", "ok": False} in [
            {name: check[name] for name in ("name", "ok")} for check in ready.json()["checks"]
        ]

        await asyncio.to_thread(private_postgres.start)
        events = await told(gateway, 2)

    assert {event.type for event in events} == {type_of(AccessRefused).name, type_of(AccessSignedIn).name}
