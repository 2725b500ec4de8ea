"""How inputs get their numbers, and how commands of staff are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import orjson
from chassis.clock import real_now
from chassis.ids import new_id
from chassis.sql import Part, Write, write_together
from chassis.transaction import Transaction

from payments.collection.domain import Policy

Kind = Literal["event", "alternative", "conflict", "fetched", "refold", "command"]
PUT_MEMBER: Final = "put_member"
"""The command that keeps a member; every other command's body is `{"facts": [...]}`, facts as they are stored."""
CLOSE_PERIOD: Final = "close_period"
"""The command that closes a period: it makes no facts, and says from which number on nothing counts before its end."""

_NUMBER: Final = Part(
    """
    numbered AS (
        INSERT INTO payments.inputs
            (kind, delivery_id, position, provider_event_id, fetched_id, command_id, subject, rules)
        SELECT kind, delivery_id, position, provider_event_id, fetched_id, command_id, subject, CAST(:rules AS text)
        FROM unnest(
            CAST(:kinds AS text[]), CAST(:deliveries AS uuid[]), CAST(:positions AS integer[]),
            CAST(:events AS uuid[]), CAST(:fetched AS uuid[]), CAST(:commands AS uuid[]), CAST(:subjects AS text[]))
            AS i (kind, delivery_id, position, provider_event_id, fetched_id, command_id, subject)
    )
    """
)
_COMMAND: Final = Part(
    """
    commanded AS (
        INSERT INTO payments.staff_commands (id, name, body, actor, reason, recorded_at)
        VALUES (:command_id, :name, CAST(:body AS jsonb), CAST(:actor AS jsonb), :reason, :at)
    )
    """
)


@dataclass(frozen=True, slots=True)
class Numbered:
    """An input that is being applied, by what it comes from."""

    kind: Kind
    delivery_id: str | None = None
    position: int | None = None
    provider_event_id: str | None = None
    fetched_id: str | None = None
    command_id: str | None = None
    subject: str | None = None


def number(applied: Sequence[Numbered], policy: Policy | None) -> Iterator[Write]:
    """Number inputs in this order. Their objects are locked: only then do numbers say what was applied first."""
    if applied:
        yield (
            _NUMBER,
            {
                "rules": None if policy is None else policy_text(policy),
                "kinds": [each.kind for each in applied],
                "deliveries": [each.delivery_id for each in applied],
                "positions": [each.position for each in applied],
                "events": [each.provider_event_id for each in applied],
                "fetched": [each.fetched_id for each in applied],
                "commands": [each.command_id for each in applied],
                "subjects": [each.subject for each in applied],
            },
        )


def keep_command(tx: Transaction, command_id: str, name: str, body: Mapping[str, Any], reason: str | None) -> Write:
    """Keep a command of whoever acts; it is numbered by whoever applies it, in the same transaction."""
    at: datetime = real_now()
    return (
        _COMMAND,
        {
            "command_id": command_id,
            "name": name,
            "body": orjson.dumps(body).decode(),
            "actor": orjson.dumps(tx.actor.model_dump(mode="json")).decode(),
            "reason": reason,
            "at": at,
        },
    )


async def record_member(tx: Transaction, member_id: str, name: str, customers: Sequence[Mapping[str, str]]) -> None:
    """Keep and number the command that makes a member what is given. What it changes is locked by the caller."""
    command_id = new_id()
    body = {"member_id": member_id, "name": name, "customers": [dict(each) for each in customers]}
    await write_together(
        tx.connection,
        keep_command(tx, command_id, PUT_MEMBER, body, None),
        *number([Numbered("command", command_id=command_id)], None),
    )


async def record_close(tx: Transaction, period: str, ends_on: date) -> None:
    """Keep and number the command that closes a period. The caller holds the books' lock alone."""
    command_id = new_id()
    body = {"facts": [], "words": "closed", "period": period, "ends_on": ends_on.isoformat()}
    await write_together(
        tx.connection,
        keep_command(tx, command_id, CLOSE_PERIOD, body, None),
        *number([Numbered("command", command_id=command_id)], None),
    )


def policy_text(policy: Policy) -> str:
    """The rules of booking as an input keeps them."""
    stated = {
        "home_currency": policy.home_currency,
        "gst_registered": policy.gst_registered,
        "basis": policy.basis,
        "implied": policy.implied,
        "unstated": policy.unstated,
        "zone": policy.zone.key,
    }
    return orjson.dumps(stated).decode()


def policy_of(stated: str) -> Policy:
    """Read what `policy_text` wrote."""
    read = orjson.loads(stated)
    return Policy(**{**read, "zone": ZoneInfo(read["zone"])})
