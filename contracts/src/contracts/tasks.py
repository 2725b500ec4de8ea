"""Kinds of operational tasks: what is needed to ask for one and to act on how it ended.

A kind closes its sets: outcomes that end its tasks, and codes that may block them. Who asks for a task and who acts on
its outcome read the same table as the service that keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

Queue = Literal["Front desk", "Billing", "Coaches", "Operations", "Platform", "Security", "AI review"]
QUEUES: Final[tuple[Queue, ...]] = get_args(Queue)
SourceArea = Literal["Leads", "Billing", "Households", "Events", "Providers", "Audit"]


@dataclass(frozen=True, slots=True)
class BlockedCode:
    """One reason for a block. `pauses_clock`: the due date does not run meanwhile, for `pause_max_days` at most.

    `forbids` are outcomes that may not be given while it holds. `condition`: the block may name a condition whose end
    ends it.
    """

    text: str
    pauses_clock: bool = False
    pause_max_days: int = 0
    forbids: frozenset[str] = frozenset()
    condition: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of task. `title` is a template over the request's fields; `outcomes` are code to words."""

    title: str
    area: SourceArea
    outcomes: Mapping[str, str]
    blocked: Mapping[str, BlockedCode]

    def title_for(self, fields: Mapping[str, str]) -> str:
        """The title of a task of this kind. Raises KeyError for a field that the template needs and nobody gave."""
        return self.title.format_map(dict(fields))


_WAITING: Final[Mapping[str, BlockedCode]] = MappingProxyType(
    {
        "waiting_for_member": BlockedCode("Waiting for the member", pauses_clock=True, pause_max_days=7),
        "waiting_for_provider": BlockedCode("Waiting for the provider", pauses_clock=True, pause_max_days=7),
        "waiting_for_colleague": BlockedCode("Waiting for a colleague"),
        "other": BlockedCode("Something else"),
    }
)
_DONE: Final[Mapping[str, str]] = MappingProxyType({"done": "Done", "not_needed": "Not needed any more"})

PAYMENT_RECOVERY: Final = "payment_recovery"
INCIDENT_PREVENTION: Final = "incident_prevention"
UNKNOWN_OBJECT: Final = "unknown_object"

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "general": Kind("{title}", "Leads", _DONE, _WAITING),
        "trial_arrival": Kind(
            "Confirm {member} trial arrival",
            "Leads",
            MappingProxyType({"arrived": "Arrived", "rescheduled": "Rescheduled", "no_show": "Did not come"}),
            _WAITING,
        ),
        "pickup_authority": Kind(
            "Clarify pickup authority for {member}",
            "Households",
            MappingProxyType({"confirmed": "Confirmed", "refused": "Refused"}),
            _WAITING,
        ),
        "event_preparation": Kind("{title}", "Events", _DONE, _WAITING),
        PAYMENT_RECOVERY: Kind(
            "Call {member} about failed payment",
            "Billing",
            MappingProxyType(
                {
                    "paid_otherwise": "Paid otherwise",
                    "retry_now": "Try again now",
                    "new_method": "New payment method",
                    "write_off": "Write it off",
                    "cancelled": "Cancelled",
                }
            ),
            MappingProxyType(
                {
                    **_WAITING,
                    "medical_hold": BlockedCode(
                        "The member is on medical hold",
                        pauses_clock=True,
                        pause_max_days=180,
                        forbids=frozenset({"retry_now"}),
                        condition=True,
                    ),
                    "bereavement_hold": BlockedCode(
                        "The member is on bereavement hold",
                        pauses_clock=True,
                        pause_max_days=90,
                        forbids=frozenset({"retry_now"}),
                        condition=True,
                    ),
                    "dispute_hold": BlockedCode(
                        "The member disputes a payment",
                        pauses_clock=True,
                        pause_max_days=120,
                        forbids=frozenset({"retry_now"}),
                        condition=True,
                    ),
                }
            ),
        ),
        "payment_review": Kind(
            "Look into a payment of {member}",
            "Billing",
            MappingProxyType({"matched": "Matched", "refunded": "Refunded", "nothing_wrong": "Nothing is wrong"}),
            _WAITING,
        ),
        UNKNOWN_OBJECT: Kind(
            "Find out about {what}",
            "Billing",
            MappingProxyType({"matched": "It is known", "refunded": "Given back", "nothing_wrong": "Nothing is wrong"}),
            _WAITING,
        ),
        INCIDENT_PREVENTION: Kind(
            "Prevent another {incident}",
            "Providers",
            MappingProxyType({"prevented": "Prevented", "accepted": "The risk is accepted"}),
            _WAITING,
        ),
        "audit_review": Kind("Look into {finding}", "Audit", _DONE, _WAITING),
    }
)
