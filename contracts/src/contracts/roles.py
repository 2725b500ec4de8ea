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
    "board:read",
    "dead-letters:read",
    "dead-letters:write",
    "deliveries:read",
    "holds:read",
    "holds:write",
    "incidents:read",
    "incidents:write",
    "members:read",
    "members:write",
    "pauses:read",
    "pauses:write",
    "payments:approve",
    "payments:read",
    "payments:write",
    "periods:write",
    "providers:read",
    "replays:read",
    "replays:write",
    "reports:read",
    "tasks:read",
    "tasks:write",
]

SCOPES: Final[Mapping[Scope, str]] = MappingProxyType(
    {
        "audit:read": "Read the audit log's records and its coverage",
        "audit:review": "Approve or flag an audit record",
        "board:read": "Read the readiness board and the evidence behind it",
        "dead-letters:read": "List the messages that were set aside",
        "dead-letters:write": "Bring a message that was set aside back",
        "deliveries:read": "Read what the payment providers delivered, raw bodies included",
        "holds:read": "Read which members are on hold, and why",
        "holds:write": "Put members on hold and end their holds",
        "incidents:read": "Read incidents and their timelines",
        "incidents:write": "Acknowledge, mitigate, resolve and review incidents",
        "members:read": "Read members and their ledgers",
        "members:write": "Keep members' names and provider customers",
        "pauses:read": "Read which automation is paused, and who has stopped",
        "pauses:write": "Pause automation, extend a pause and release it",
        "payments:approve": "Approve or refuse what a colleague proposes about a payment",
        "payments:read": "Read payments",
        "payments:write": "Decide about payments: refunds, write-offs, money received elsewhere, whose a payment is",
        "periods:write": "Close periods of the ledger",
        "providers:read": "Read how the providers and our own doors are",
        "replays:read": "Read replays and what became of each event",
        "replays:write": "Replay provider events, and cancel a replay",
        "reports:read": "Read activity statements and every entry of the ledger",
        "tasks:read": "Read tasks",
        "tasks:write": "Open, claim, block and complete tasks",
    }
)

_TASKS: Final[frozenset[Scope]] = frozenset({"tasks:read", "tasks:write"})
_EVERYBODY: Final[frozenset[Scope]] = _TASKS | {"board:read"}
_HEALTH: Final[frozenset[Scope]] = frozenset({"providers:read", "incidents:read", "pauses:read", "replays:read"})

ROLES: Final[Mapping[Role, frozenset[Scope]]] = MappingProxyType(
    {
        "owner": frozenset(SCOPES),
        "billing": _EVERYBODY
        | _HEALTH
        | {
            "members:read",
            "members:write",
            "payments:read",
            "payments:write",
            "payments:approve",
            "periods:write",
            "reports:read",
            "deliveries:read",
            "audit:read",
            "holds:read",
            "holds:write",
        },
        "front_desk": _EVERYBODY | {"members:read", "members:write", "payments:read", "holds:read", "holds:write"},
        # What a member owes is no coach's business.
        "coach": _TASKS,
        "operations": _EVERYBODY
        | _HEALTH
        | {
            "members:read",
            "payments:read",
            "payments:approve",
            "deliveries:read",
            "dead-letters:read",
            "dead-letters:write",
            "audit:read",
            "holds:read",
            "incidents:write",
            "pauses:write",
            "replays:write",
        },
        # Deliveries hold personal data: who mends the machinery sees what it refused, not what it let through.
        "platform": _EVERYBODY
        | _HEALTH
        | {"dead-letters:read", "dead-letters:write", "incidents:write", "pauses:write", "replays:write"},
        "security": _EVERYBODY | _HEALTH | {"audit:read", "audit:review", "deliveries:read"},
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
