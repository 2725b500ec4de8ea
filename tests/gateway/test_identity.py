"""Who calls: roles become scopes, names become harmless, addresses are those that trusted proxies saw."""

from __future__ import annotations

from typing import Any

import pytest
from contracts.roles import ROLES
from gateway.identity import Authenticator, address_of, plain
from gateway.oidc import FixedKeys, Tokens
from gateway.sessions import Sessions
from starlette.requests import Request

from tests.gateway.test_oidc import AUDIENCE, ISSUER, published, signed

SESSIONS = Sessions("s" * 32, minutes=5, secure=False)


def authenticator(roles_claim: str = "roles") -> Authenticator:
    tokens = Tokens(FixedKeys(published()), issuer=ISSUER, audience=AUDIENCE)
    return Authenticator(tokens, SESSIONS, roles_claim=roles_claim)


@pytest.mark.parametrize(
    ("claim", "given", "roles"),
    [
        ("roles", {"roles": ["billing", "coach"]}, ("billing", "coach")),
        ("roles", {"roles": "billing coach"}, ("billing", "coach")),
        ("roles", {"roles": ["admin", "root", 7, None]}, ()),
        ("roles", {"roles": None}, ()),
        ("realm_access.roles", {"realm_access": {"roles": ["security"]}}, ("security",)),
        ("https://backbone/roles", {"https://backbone/roles": ["owner"]}, ("owner",)),
    ],
)
async def test_roles_that_we_know_mean_scopes_and_others_nothing(
    claim: str, given: dict[str, Any], roles: tuple[str, ...]
) -> None:
    caller = await authenticator(claim).bearer(signed(**{"roles": None, **given}))

    assert caller.roles == roles
    assert caller.scopes == frozenset().union(*(ROLES[role] for role in roles))  # type: ignore[index]


async def test_a_name_cannot_steer_a_page_or_a_terminal() -> None:
    caller = await authenticator().bearer(signed(name="Maria\u202e\x1b[31m Rossi\u2066\n", sub="maria\u200b-rossi"))

    assert (caller.actor.id, caller.actor.name) == ("maria-rossi", "Maria[31m Rossi")


async def test_a_long_name_is_cut_and_a_missing_one_is_the_id() -> None:
    long = await authenticator().bearer(signed(name="x" * 5_000))
    nameless = await authenticator().bearer(signed(name=None))

    assert (len(long.actor.name), nameless.actor.name) == (200, "maria-rossi")


def test_html_stays_text() -> None:
    assert plain("<b>Mark</b> Stevens") == "<b>Mark</b> Stevens", "it is escaped where it is shown"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, None, "192.0.2.7"),
        (0, "10.9.9.9", "192.0.2.7"),
        (1, "10.9.9.9, 198.51.100.3", "198.51.100.3"),
        (2, "10.9.9.9, 198.51.100.3", "10.9.9.9"),
        (5, "198.51.100.3", "198.51.100.3"),
        (1, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (1, "nonsense", "unknown"),
    ],
)
def test_an_address_is_what_a_trusted_proxy_saw(proxies: int, forwarded: str | None, address: str) -> None:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    request = Request({"type": "http", "headers": headers, "client": ("192.0.2.7", 1)})

    assert address_of(request, proxies) == address
