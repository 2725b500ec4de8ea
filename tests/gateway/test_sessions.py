"""Sessions of browsers: what the cookie is, what it opens, and what another site can do with it."""

from __future__ import annotations

import base64
import json
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
from chassis.settings import SettingsError
from gateway.identity import caller_of
from gateway.local_issuer import STAFF
from gateway.sessions import Session, Sessions
from gateway.settings import GatewaySettings
from starlette.requests import Request
from starlette.responses import Response

from tests.gateway.behind import ISSUER_KEY, NOBODY_LISTENS, SECRET, Gateway, a_gateway, listening, replying
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import PRIVATE_KEY

OURS = {"Sec-Fetch-Site": "same-origin"}


def begun(sessions: Sessions) -> tuple[Session, str, Any]:
    response = Response()
    session = sessions.begin(response, STAFF["billing"], ("billing",), issuer="local")
    morsel = SimpleCookie(response.headers["set-cookie"])[sessions.cookie]
    return session, morsel.value, morsel


def asking(sessions: Sessions, value: str) -> Request:
    cookie = f"{sessions.cookie}={value}".encode()
    return Request({"type": "http", "method": "GET", "headers": [(b"cookie", cookie)]})


def test_a_session_is_read_back_from_its_cookie() -> None:
    sessions = Sessions(SECRET, minutes=5, secure=False)
    session, value, _ = begun(sessions)

    assert sessions.read(asking(sessions, value)) == session
    assert caller_of(session).scopes


@pytest.mark.parametrize(("secure", "name"), [(True, "__Host-backbone_session"), (False, "backbone_session")])
def test_the_cookie_is_for_the_door_alone(secure: bool, name: str) -> None:
    _, _, morsel = begun(Sessions(SECRET, minutes=5, secure=secure))

    assert morsel.key == name
    assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["max-age"]) == (True, "lax", "/", "300")
    assert bool(morsel["secure"]) == secure
    assert not morsel["domain"]


def test_a_cookie_that_was_changed_or_made_elsewhere_is_none() -> None:
    sessions, others = Sessions(SECRET, minutes=5, secure=False), Sessions("x" * 32, minutes=5, secure=False)
    _, value, _ = begun(sessions)
    header, body, proof = value.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    raised = base64.urlsafe_b64encode(json.dumps({**claims, "roles": ["owner"]}).encode()).rstrip(b"=").decode()
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()

    for forged in (f"{header}.{raised}.{proof}", f"{unsigned}.{raised}.", begun(others)[1], "x", "", "x" * 9_000):
        assert sessions.read(asking(sessions, forged)) is None


def test_a_session_ends() -> None:
    sessions = Sessions(SECRET, minutes=-1, secure=False)

    assert sessions.read(asking(sessions, begun(sessions)[1])) is None


def test_a_form_carries_its_own_sessions_token() -> None:
    sessions = Sessions(SECRET, minutes=5, secure=False)
    one, other = begun(sessions)[0], begun(sessions)[0]

    assert sessions.form_is_ours(one, one.csrf)
    for given in (other.csrf, "", None, one.csrf.upper(), "é"):
        assert not sessions.form_is_ours(one, given)


async def signed_in(gateway: Gateway) -> dict[str, str]:
    answer = await gateway.call("POST", "/v1/session", role="billing")
    assert answer.status_code == 200, answer.text
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


async def test_a_token_becomes_a_session_that_opens_what_the_token_did(no_database: TemporaryDatabase) -> None:
    standing = replying(200, b'{"items":[],"next":null}')
    async with listening(standing) as url, a_gateway(no_database, payments_url=url) as gateway:
        cookie = await signed_in(gateway)
        gateway.http.cookies.clear()

        answer = await gateway.call("GET", "/v1/payments", role=None, headers=cookie)
        assert answer.status_code == 200
        said = (await gateway.call("GET", "/v1/session", role=None, headers=cookie)).json()
        assert (said["id"], said["name"], said["roles"]) == ("maria-rossi", "Maria Rossi", ["billing"])
        out = await gateway.call("DELETE", "/v1/session", role=None, headers=cookie | OURS)
        assert out.status_code == 204
        assert 'backbone_session=""' in out.headers["set-cookie"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://gateway"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://gateway.elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://gateway"}, 403),
        ({}, 403),
    ],
)
async def test_another_site_changes_nothing_with_a_session(
    headers: dict[str, str], status: int, no_database: TemporaryDatabase
) -> None:
    standing = replying()
    async with listening(standing) as url, a_gateway(no_database, payments_url=url) as gateway:
        cookie = await signed_in(gateway)
        gateway.http.cookies.clear()
        answer = await gateway.call(
            "PUT", "/v1/members/mark-stevens", role=None, headers=cookie | headers, json={"name": "Mark Stevens"}
        )

    assert answer.status_code == status
    assert len(standing.seen) == (status == 200)


def settings(**more: Any) -> dict[str, str]:
    given = {
        "database_url": "postgresql://gateway:x@localhost/backbone",
        "kafka_bootstrap_servers": "localhost:9092",
        "payments_url": NOBODY_LISTENS,
        "provider_health_url": NOBODY_LISTENS,
        "tasks_url": NOBODY_LISTENS,
        "audit_url": NOBODY_LISTENS,
        "token_private_key": PRIVATE_KEY,
        "session_secret": SECRET,
        **more,
    }
    return {f"GATEWAY_{name.upper()}": value for name, value in given.items() if value is not None}


OIDC = {"oidc_issuer": "https://i.example", "oidc_audience": "b", "oidc_jwks_url": "https://i.example/keys"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "GATEWAY_LOCAL_ISSUER_PRIVATE_KEY is not set, so somebody else must vouch for staff: set GATEWAY_OIDC_"),
        ({"oidc_issuer": "https://i.example"}, "set GATEWAY_OIDC_AUDIENCE, GATEWAY_OIDC_JWKS_URL"),
        ({**OIDC, "local_issuer_private_key": ISSUER_KEY}, "is for local mode, where no other issuer is set"),
        ({**OIDC, "session_secret": None}, "GATEWAY_SESSION_SECRET is not set"),
        ({**OIDC, "session_secret": "short"}, "GATEWAY_SESSION_SECRET"),
        ({**OIDC, "token_private_key": None}, "GATEWAY_TOKEN_PRIVATE_KEY is not set"),
        ({**OIDC, "token_private_key": "hunter2"}, "must be an Ed25519 private key in PEM"),
        ({**OIDC, "tasks_url": "http://a,ftp://b"}, "GATEWAY_TASKS_URL must look like https://host"),
        ({**OIDC, "rate_limit_read": "many"}, "GATEWAY_RATE_LIMIT_READ must look like 600/minute"),
    ],
)
def test_there_is_one_issuer_and_no_secret_of_its_own_making(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        GatewaySettings.load("gateway", settings(**given))
    assert sentence in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "secure"),
    [
        (OIDC, True),
        ({"local_issuer_private_key": ISSUER_KEY}, False),
        ({"local_issuer_private_key": ISSUER_KEY, "public_url": "https://b.example"}, True),
        ({**OIDC, "public_url": "http://b.example"}, False),
    ],
)
def test_cookies_are_secure_wherever_the_door_is_reached_by_https(given: dict[str, str], secure: bool) -> None:
    assert GatewaySettings.load("gateway", settings(**given)).cookies_are_secure == secure


async def test_outside_local_mode_there_is_no_local_issuer(no_database: TemporaryDatabase) -> None:
    async with a_gateway(no_database, local_issuer_private_key=None, **OIDC) as gateway:
        for method, path in (("GET", "/local/keys"), ("POST", "/local/token")):
            answer = await gateway.http.request(method, path, json={"role": "owner"})
            assert answer.status_code == 404


async def test_in_local_mode_a_role_is_enough(no_database: TemporaryDatabase) -> None:
    async with a_gateway(no_database) as gateway:
        answer = await gateway.http.post("/local/token", json={"role": "coach"})
        token = answer.json()["token"]
        said: httpx.Response = await gateway.http.get("/v1/session", headers={"Authorization": f"Bearer {token}"})
        assert said.json()["name"] == "Coach Sarah"
        assert (await gateway.http.get("/local/keys")).json()["keys"][0]["alg"] == "EdDSA"
        for body in (b"", b"{}", b'{"role":"admin"}', b"[]", b"x" * 5_000):
            assert (await gateway.http.post("/local/token", content=body)).status_code == 400
