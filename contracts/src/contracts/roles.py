"""Who may do what: every role of the product with the scopes that a token of it carries.

A scope is listed when an endpoint asks for it. A role that has no scope yet is listed all the same: a token of it is
genuine and opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

Role = Literal["owner", "billing", "front_desk", "coach", "operations", "platform", "security"]
Scope = Literal[
    "audit:read",
    "audit:review",
    "dead-letters:read",
    "dead-letters:write",
    "deliveries:read",
    "members:read",
    "members:write",
    "payments:read",
]

SCOPES: Final[Mapping[Scope, str]] = MappingProxyType(
    {
        "audit:read": "Read the audit log's records and its coverage",
        "audit:review": "Approve or flag an audit record",
        "dead-letters:read": "List the messages that were set aside",
        "dead-letters:write": "Bring a message that was set aside back",
        "deliveries:read": "Read what the payment providers delivered, raw bodies included",
        "members:read": "Read members and their ledgers",
        "members:write": "Keep members' names and provider customers",
        "payments:read": "Read payments",
    }
)

ROLES: Final[Mapping[Role, frozenset[Scope]]] = MappingProxyType(
    {
        "owner": frozenset(SCOPES),
        "billing": frozenset({"members:read", "members:write", "payments:read", "deliveries:read", "audit:read"}),
        "front_desk": frozenset({"members:read", "members:write", "payments:read"}),
        # What a member owes is no coach's business.
        "coach": frozenset(),
        "operations": frozenset(
            {
                "members:read",
                "payments:read",
                "deliveries:read",
                "dead-letters:read",
                "dead-letters:write",
                "audit:read",
            }
        ),
        # Deliveries hold personal data: who mends the machinery sees what it refused, not what it let through.
        "platform": frozenset({"dead-letters:read", "dead-letters:write"}),
        "security": frozenset({"audit:read", "audit:review", "deliveries:read"}),
    }
)

_FORM: Final = re.compile(r"[a-z]+(-[a-z]+)*:(read|write)|payments:approve|audit:review|ai:log")


def scopes_of(role: Role) -> frozenset[Scope]:
    """The scopes that a token of this role carries. Raises KeyError for a word that is no role."""
    return ROLES[role]


def assert_complete(roles: Mapping[Role, frozenset[Scope]], scopes: Mapping[Scope, str]) -> None:
    """Raise TypeError unless roles and scopes name each other without a gap."""
    faults = [f"the role {role} has no row" for role in get_args(Role) if role not in roles]
    faults += [f"the scope {scope} has no description" for scope in get_args(Scope) if not scopes.get(scope)]
    faults += [
        f"the scope {scope} has not the form plural:read or plural:write"
        for scope in scopes
        if not _FORM.fullmatch(scope)
    ]
    for role, granted in roles.items():
        faults += [f"{role} is granted {scope}, which is no scope" for scope in sorted(granted) if scope not in scopes]
    if missing := sorted(set(scopes) - roles.get("owner", frozenset())):
        faults.append(f"the owner lacks {', '.join(missing)}")
    held_by_staff = frozenset[Scope]().union(*(granted for role, granted in roles.items() if role != "owner"))
    faults += [f"nobody but the owner holds {scope}" for scope in sorted(set(scopes) - held_by_staff)]
    if faults:
        raise TypeError("; ".join(faults))


assert_complete(ROLES, SCOPES)
