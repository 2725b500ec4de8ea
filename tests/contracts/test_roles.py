"""One table says who may do what, and holds together by itself."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from contracts.roles import ROLES, SCOPES, Role, Scope, assert_complete, scopes_of


def test_every_role_and_every_scope_of_the_product_has_a_row() -> None:
    assert set(ROLES) == set(get_args(Role))
    assert set(SCOPES) == set(get_args(Scope))


def test_the_owner_may_do_everything() -> None:
    assert scopes_of("owner") == set(SCOPES)


def test_only_security_and_the_owner_review_the_audit_log() -> None:
    assert {role for role, granted in ROLES.items() if "audit:review" in granted} == {"owner", "security"}


def test_a_coach_sees_nobody_s_money() -> None:
    assert not {"members:read", "payments:read", "deliveries:read"} & scopes_of("coach")


def test_a_word_that_is_no_role_has_no_scopes() -> None:
    with pytest.raises(KeyError):
        scopes_of("janitor")  # type: ignore[arg-type]


GIVEN: dict[Any, Any] = dict(ROLES)
DESCRIBED: dict[Any, Any] = dict(SCOPES)


@pytest.mark.parametrize(
    ("roles", "scopes", "fault"),
    [
        ({role: each for role, each in GIVEN.items() if role != "coach"}, DESCRIBED, "the role coach has no row"),
        (
            {**GIVEN, "coach": {"classes:read"}},
            DESCRIBED,
            "is granted classes:read, which is no scope",
        ),
        (GIVEN, {**DESCRIBED, "classes:read": "Read classes"}, "the owner lacks classes:read"),
        (GIVEN, {**DESCRIBED, "classes:read": "Read classes"}, "nobody but the owner holds classes:read"),
        (
            GIVEN,
            {**DESCRIBED, "Members:delete": "Delete members"},
            "Members:delete has not the form",
        ),
        (GIVEN, {**DESCRIBED, "audit:read": ""}, "the scope audit:read has no description"),
    ],
)
def test_a_table_with_a_gap_does_not_import(roles: Any, scopes: Any, fault: str) -> None:
    with pytest.raises(TypeError) as refused:
        assert_complete(roles, scopes)
    assert fault in str(refused.value)
