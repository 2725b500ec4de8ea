"""The console without a browser: who is let in, what each page tells the browser, and what forms are believed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from gateway.console import rendering

from tests.console.staging import ARRIVAL, Stage, the_tasks
from tests.gateway.behind import a_gateway
from tests.support.infrastructure import TemporaryDatabase

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'{{1337*7331}}\u202eevil\x00\x1b[31m"
ISLA = next(iter(the_tasks()))


class Visitor:
    """Somebody who visits without a browser."""

    def __init__(self, stage: Stage) -> None:
        self.http = stage.gateway.http

    async def get(self, path: str, **given: Any) -> httpx.Response:
        return await self.http.get(path, **given)

    async def post(self, path: str, *, site: str | None = "same-origin", **fields: str) -> httpx.Response:
        headers = {} if site is None else {"sec-fetch-site": site}
        return await self.http.post(path, data=fields, headers=headers)

    async def signs_in(self, role: str = "owner") -> str:
        """Sign in; returns the token that forms of this session carry."""
        answer = await self.post("/sign-in", role=role)
        assert answer.status_code == 303, answer.text
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', (await self.get("/")).text)
        assert found is not None
        return found[1]

    def form(self, csrf: str, **more: str) -> dict[str, str]:
        return {"csrf": csrf, "task_id": ISLA, "version": "1", "key": "a-key-of-this-form", **more}


@pytest.fixture
def visitor(stage: Stage) -> Visitor:
    return Visitor(stage)


async def test_who_is_not_signed_in_is_asked_to_and_led_back(visitor: Visitor) -> None:
    home, item = await visitor.get("/"), await visitor.get(ARRIVAL)
    assert (home.status_code, home.headers["location"]) == (303, "/sign-in")
    assert (item.status_code, item.headers["location"]) == (303, f"/sign-in?next={ARRIVAL}")

    answer = await visitor.http.post(
        f"/sign-in?next={ARRIVAL}", data={"role": "billing"}, headers={"sec-fetch-site": "same-origin"}
    )
    assert answer.headers["location"] == ARRIVAL
    assert "Maria Rossi" in (await visitor.get(ARRIVAL)).text


@pytest.mark.parametrize("onwards", ["https://elsewhere.test/", "//elsewhere.test", "/\\elsewhere.test", "/v1/session"])
async def test_nobody_is_led_to_another_site(visitor: Visitor, onwards: str) -> None:
    answer = await visitor.http.post(
        "/sign-in", params={"next": onwards}, data={"role": "owner"}, headers={"sec-fetch-site": "same-origin"}
    )
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", None])
async def test_another_site_s_page_signs_nobody_in_and_does_nothing(
    visitor: Visitor, stage: Stage, site: str | None
) -> None:
    assert (await visitor.post("/sign-in", site=site, role="owner")).status_code == 403
    csrf = await visitor.signs_in()
    for path in (f"{ARRIVAL}/claim", "/sign-out"):
        answer = await visitor.post(path, site=site, **visitor.form(csrf))
        assert answer.status_code == 403
    assert stage.behind["tasks"].seen == []


async def test_a_form_without_the_session_s_token_does_nothing(visitor: Visitor, stage: Stage) -> None:
    csrf = await visitor.signs_in()
    for wrong in ("", "0" * 64, csrf[:-1]):
        answer = await visitor.post(f"{ARRIVAL}/claim", **visitor.form(wrong))
        assert answer.status_code == 403
        assert "not of your session" in answer.text
    assert stage.behind["tasks"].seen == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("task_id", "../../evidence"), ("version", "latest"), ("key", ""), ("version", ""), ("task_id", "")],
)
async def test_a_form_that_was_tampered_with_is_refused(visitor: Visitor, stage: Stage, field: str, value: str) -> None:
    csrf = await visitor.signs_in()
    answer = await visitor.post(f"{ARRIVAL}/claim", **visitor.form(csrf, **{field: value}))
    assert answer.status_code == 422
    assert "The form was not sent" in answer.text
    assert stage.behind["tasks"].seen == []


@pytest.mark.parametrize("verb", ["cancel", "delete", "evidence"])
async def test_no_form_reaches_what_the_page_does_not_offer(visitor: Visitor, verb: str) -> None:
    csrf = await visitor.signs_in()
    assert (await visitor.post(f"{ARRIVAL}/{verb}", **visitor.form(csrf))).status_code == 404
    assert (await visitor.post("/board/items/payment-rails/claim", **visitor.form(csrf))).status_code == 404


async def test_text_that_is_too_long_is_refused_before_it_is_sent(visitor: Visitor, stage: Stage) -> None:
    csrf = await visitor.signs_in()
    form = visitor.form(csrf, code="other", text="x" * 201)
    answer = await visitor.post(f"{ARRIVAL}/block", **form)
    assert (answer.status_code, stage.behind["tasks"].seen) == (422, [])
    huge = await visitor.post(f"{ARRIVAL}/block", **visitor.form(csrf, code="other", text="x" * 1_100_000))
    assert huge.status_code in {400, 413}
    assert stage.behind["tasks"].seen == []


async def test_signing_out_ends_the_session(visitor: Visitor) -> None:
    csrf = await visitor.signs_in()
    answer = await visitor.post("/sign-out", csrf=csrf)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert (await visitor.get("/")).status_code == 303


async def test_every_page_keeps_to_itself(visitor: Visitor) -> None:
    await visitor.signs_in()
    policies = set()
    for path in ("/", ARRIVAL, "/?lane=money", "/board/items/nothing"):
        headers = (await visitor.get(path)).headers
        policy = headers["content-security-policy"]
        policies.add(policy)
        assert policy.startswith("default-src 'none'; script-src 'nonce-")
        for word in ("unsafe-inline", "unsafe-eval", "http:", "https:", "*", "data:"):
            assert word not in policy
        for rule in ("form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for"):
            assert rule in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
    assert len(policies) == 4, "each answer has a nonce of its own"


async def test_no_page_carries_code_or_style_of_its_own(visitor: Visitor) -> None:
    await visitor.signs_in()
    for path in ("/", ARRIVAL, "/board/items/payment-webhooks"):
        html = (await visitor.get(path)).text
        assert not re.search(r"\son\w+=|\sstyle=|javascript:", html)
        assert all(match.endswith(" defer") for match in re.findall(r"<script([^>]*)>", html))
        assert "<style" not in html


async def test_files_are_small_named_by_their_bytes_and_no_others(visitor: Visitor) -> None:
    for name, limit in (("console.js", 3_000), ("console.css", 40_000), ("htmx.js", 60_000), ("icon.svg", 2_000)):
        found = rendering.static_file(name)
        assert found is not None
        body, media_type, digest = found
        answer = await visitor.get(f"/console/{name}", params={"v": digest})
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert "immutable" in answer.headers["cache-control"]
        assert len(body) <= limit, name
        assert (await visitor.get(f"/console/{name}?v=old")).headers["cache-control"] == "no-store"
    for name in ("..%2frendering.py", "rendering.py", "console.map"):
        assert (await visitor.get(f"/console/{name}")).status_code == 404


@pytest.mark.parametrize("field", ["title", "note", "owner", "blocked", "outcome"])
async def test_text_of_others_is_shown_and_does_nothing(visitor: Visitor, stage: Stage, field: str) -> None:
    hostile = {
        "title": HOSTILE,
        "note": HOSTILE,
        "owner": {"id": "x", "name": HOSTILE},
        "blocked": {"code": "other", "words": HOSTILE, "text": HOSTILE, "forbids": []},
        "outcome": {"code": "arrived", "words": HOSTILE, "note": HOSTILE},
    }
    stage.tasks[ISLA][field] = hostile[field]
    await visitor.signs_in()
    for path in ("/", ARRIVAL):
        answer = await visitor.get(path)
        assert answer.status_code == 200
        for part in ("<script>alert", "<img src=x", "\u202e", "\x00", "\x1b"):
            assert part not in answer.text
        assert str(1337 * 7331) not in answer.text


async def test_elsewhere_the_issuer_signs_people_in(
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
) -> None:
    oidc = {
        "local_issuer_private_key": None,
        "oidc_issuer": "https://issuer.test",
        "oidc_audience": "backbone",
        "oidc_jwks_url": "https://issuer.test/keys",
    }
    async with a_gateway(await database_for("gateway"), relay=False, **oidc) as gateway:
        page = await gateway.http.get("/sign-in")
        chosen = await gateway.http.post("/sign-in", data={"role": "owner"}, headers={"sec-fetch-site": "same-origin"})
    assert page.status_code == 200
    assert "Your organisation signs you in" in page.text
    assert 'name="role"' not in page.text
    assert "max-age=31536000" in page.headers["strict-transport-security"]
    assert chosen.status_code == 404
