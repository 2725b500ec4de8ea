"""What the log looks like in the document: one record, one account of a partition, and what was set aside."""

from __future__ import annotations

from typing import Any, Final

from contracts.events import MemberUpdated
from contracts.registry import type_of

Json = dict[str, Any]

_AT: Final = "2026-03-02T09:15:30.123456Z"
_EVENT_ID: Final = "019cadd6-1b7b-7c3e-9a52-3f0a6c1d2e4b"
_POINTER: Final[Json] = {"topic": "payments-events", "partition": 3, "offset": 1_042}
_ACTOR: Final[Json] = {"kind": "staff", "id": "maria-rossi", "name": "Maria Rossi"}
_MEMBER: Final[Json] = {"type": "member", "id": "mark-stevens"}
_WORKFLOW: Final[Json] = {"name": "member", "id": "mark-stevens"}

RECORD: Final[Json] = {
    "seq": 1_204,
    "occurred_at": _AT,
    "recorded_at": "2026-03-02T09:15:30.151200Z",
    "action": type_of(MemberUpdated).name,
    "version": 1,
    "schema_status": "known",
    "actor": _ACTOR,
    "entity": _MEMBER,
    "workflow": _WORKFLOW,
    "reason": None,
    "sentence": "Maria Rossi added member Mark Stevens",
    "event_id": _EVENT_ID,
    "source": "/payments",
    "pointer": _POINTER,
    "review": {"state": "not_needed", "why": None, "reason": None, "by": None, "at": None},
}
REVIEW: Final[Json] = {"verdict": "approved", "reason": "Agreed with Mark Stevens by phone"}
REVIEWED: Final[Json] = {
    "state": "approved",
    "why": None,
    "reason": REVIEW["reason"],
    "by": "Security",
    "at": _AT,
}
RECORD_DETAIL: Final[Json] = {
    **RECORD,
    "before": None,
    "after": {"name": "Mark Stevens"},
    "event": {
        "specversion": "1.0",
        "id": _EVENT_ID,
        "source": "/payments",
        "type": RECORD["action"],
        "subject": "mark-stevens",
        "time": _AT,
        "datacontenttype": "application/json",
        "data": {"actor": _ACTOR, "entity": _MEMBER, "workflow": _WORKFLOW, "after": {"name": "Mark Stevens"}},
    },
    "sha256": "9f3c1f2a7d0b4e5c8a6f1d2e3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e",
}
COVERAGE: Final[Json] = {
    "last_seq": 1_204,
    "searchable_seq": 1_204,
    "set_aside": {"unreadable": 0, "unknown_type": 0, "unknown_version": 0, "unreadable_body": 0, "conflicts": 0},
    "partitions": [
        {
            "topic": "payments-events",
            "partition": 3,
            "incarnation": 0,
            "first_offset": 0,
            "next_offset": 1_043,
            "recorded": 1_043,
            "duplicate": 0,
            "quarantined": 0,
            "technical": 0,
            "explained_gap": 0,
            "unexplained_gap": 0,
        }
    ],
    "gaps": [],
}
QUARANTINED: Final[Json] = {
    "id": 7,
    "pointer": _POINTER,
    "incarnation": 0,
    "reason": "unreadable",
    "detail": "The value is no event: it is not JSON",
    "seq": None,
    "dead_letter_id": "0198c2f4-7d1e-7c35-9a51-6f0e4b8d2a30",
    "found_at": _AT,
}
CONFLICTING: Final[Json] = {
    "id": 2,
    "pointer": _POINTER,
    "incarnation": 0,
    "source": "/payments",
    "event_id": _EVENT_ID,
    "found_at": _AT,
}
