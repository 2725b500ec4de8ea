"""The services' operations at the door: what goes on to a service, and what comes back."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from chassis.telemetry import logs
from chassis.tokens import TokenRefusedError, Verifier

from tests.gateway.behind import Gateway, Standing, a_gateway, listening, replying
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import PUBLIC_KEY


@pytest.fixture
def payments() -> Standing:
    return replying(200, b'{"id":"x"}', etag='"3"', retry_after="7", set_cookie="a=b", idempotency_replayed="true")


@pytest.fixture
async def gateway(no_database: TemporaryDatabase, payments: Standing) -> AsyncIterator[Gateway]:
    async with listening(payments) as url, a_gateway(no_database, payments_url=url) as running:
        yield running


async def test_a_read_is_passed_on_with_its_query_and_its_answer_comes_back(
    gateway: Gateway, payments: Standing
) -> None:
    answer = await gateway.call("GET", "/v1/payments?reference=ch_1%2F2&limit=3")

    assert (answer.status_code, answer.json()) == (200, {"id": "x"})
    assert (answer.headers["etag"], answer.headers["retry-after"]) == ('"3"', "7")
    assert answer.headers["idempotency-replayed"] == "true"
    assert "set-cookie" not in answer.headers
    (seen,) = payments.seen
    assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/payments", "reference=ch_1%2F2&limit=3")


async def test_a_write_takes_body_precondition_key_and_ids_along(gateway: Gateway, payments: Standing) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    given = {
        "If-Match": '"3"',
        "Idempotency-Key": "key-1",
        "X-Request-Id": "request-0001",
        "traceparent": trace,
        "Content-Type": "application/json",
        "Cookie": "secret=1",
        "X-Forwarded-For": "10.0.0.1",
    }
    answer = await gateway.call("PUT", "/v1/members/mark-stevens", content=b'{"name":"Mark Stevens"}', headers=given)

    assert answer.headers["x-request-id"] == "request-0001"
    (seen,) = payments.seen
    headers = seen["headers"]
    assert seen["body"] == b'{"name":"Mark Stevens"}'
    assert (headers["if-match"], headers["idempotency-key"]) == ('"3"', "key-1")
    assert headers["x-request-id"] == "request-0001"
    assert headers["traceparent"].split("-")[1] == trace.split("-")[1]
    assert not {"cookie", "x-forwarded-for"} & headers.keys()


async def test_the_service_is_told_who_acts_in_a_token_for_itself_alone(gateway: Gateway, payments: Standing) -> None:
    await gateway.call("GET", "/v1/payments", role="billing")

    token = payments.seen[0]["headers"]["authorization"].removeprefix("Bearer ")
    identity = Verifier(PUBLIC_KEY, audience="payments").verify(token)
    assert (identity.actor.kind, identity.actor.id, identity.actor.name) == ("staff", "maria-rossi", "Maria Rossi")
    assert "payments:read" in identity.scopes
    assert "audit:read" not in identity.scopes, "a token carries no scope that its service does not ask for"
    with pytest.raises(TokenRefusedError):
        Verifier(PUBLIC_KEY, audience="audit").verify(token)


@pytest.mark.parametrize(
    ("method", "path", "role", "status", "slug"),
    [
        ("GET", "/v1/payments", None, 401, "unauthenticated"),
        ("GET", "/v1/payments", "coach", 403, "missing-scope"),
        ("PUT", "/v1/members/mark-stevens", "security", 403, "missing-scope"),
        ("DELETE", "/v1/payments", "owner", 405, "method-not-allowed"),
        ("GET", "/v1/nothing", "owner", 404, "not-found"),
        ("GET", "/v1/webhooks/stripe", "owner", 404, "not-found"),
        ("GET", "/v1/evidence", "owner", 404, "not-found"),
        ("GET", "/v1/payments/%2e%2e", "owner", 404, "not-found"),
        ("GET", "/v1/payments/..%2Fdeliveries", "owner", 404, "not-found"),
    ],
)
async def test_what_is_refused_reaches_no_service(
    method: str, path: str, role: Any, status: int, slug: str, gateway: Gateway, payments: Standing
) -> None:
    answer = await gateway.call(method, path, role=role)

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert payments.seen == []


async def test_a_value_in_a_path_stays_one_part_of_it(gateway: Gateway, payments: Standing) -> None:
    await gateway.call("GET", "/v1/payments/a%3Fb%23c%20d%00")

    assert payments.seen[0]["path"] == "/payments/a%3Fb%23c%20d%00"


async def test_a_body_beyond_the_limit_reaches_no_service(gateway: Gateway, payments: Standing) -> None:
    answer = await gateway.call("PUT", "/v1/members/mark-stevens", content=b" " * (1_048_576 + 1))

    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/body-too-large")
    assert payments.seen == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_service_that_refuses_the_door_is_unavailable_not_the_callers_fault(
    status: int, no_database: TemporaryDatabase
) -> None:
    async with listening(replying(status)) as url, a_gateway(no_database, payments_url=url) as gateway:
        answer = await gateway.call("GET", "/v1/payments")

    assert (answer.status_code, answer.json()["missing"]) == (503, ["payments"])


async def test_a_request_is_one_line_of_the_log_with_its_caller_and_without_secrets(
    gateway: Gateway, payments: Standing
) -> None:
    lines = io.StringIO()
    logs.configure("gateway", None, "info", lines)
    await gateway.call("PUT", "/v1/members/mark-stevens?reference=secret-reference", json={"name": "secret-name"})

    (line,) = [json.loads(line) for line in lines.getvalue().splitlines() if '"event":"request"' in line]
    assert (line["method"], line["route"], line["status"]) == ("PUT", "/v1/members/{member_id}", 200)
    assert (line["caller"], line["service"]) == ("owner", "gateway")
    assert {"request_id", "trace_id", "ms", "time"} <= line.keys()
    assert "eyJ" not in lines.getvalue(), "no token"
    assert "secret" not in lines.getvalue(), "neither body nor query"
