"""What becomes of mandates beside being activated and cancelled."""

from __future__ import annotations

from typing import Any, Final

from simulator.gocardless.objects import Mandate
from simulator.gocardless.organisation import Organisation, RefusedError

CHANGES: Final[dict[str, tuple[str, str | None]]] = {
    "fail": ("failed", "failed"),
    "expire": ("expired", "expired"),
    "block": ("blocked", "blocked"),
    "consume": ("consumed", "consumed"),
    "reinstate": ("reinstated", "active"),
    "resubmit": ("resubmission_requested", "pending_submission"),
    "transfer": ("transferred", None),
    "replace": ("replaced", "cancelled"),
}
"""The event's action and the status that it leaves; None leaves it as it was."""
_ENDED: Final = frozenset({"cancelled", "failed", "expired", "consumed", "blocked"})
_REVIVES: Final = frozenset({"reinstate", "resubmit"})


def change(organisation: Organisation, mandate: Mandate, name: str) -> Mandate:
    """Let a mandate end, or come back to life. Raises RefusedError for one whose turn it is not."""
    action, status = CHANGES[name]
    if (mandate.status in _ENDED) is not (name in _REVIVES):
        raise RefusedError(f"Mandate {mandate.id} is {mandate.status}: it cannot {name}", reason="invalid_state")
    links = {"mandate": mandate.id}
    if name == "transfer":
        links |= {
            "previous_customer_bank_account": mandate.bank_account,
            "new_customer_bank_account": _account(mandate),
        }
    if name == "replace":
        account = organisation.book.customer_bank_accounts[mandate.bank_account]
        links["new_mandate"] = organisation.create_mandate(account).id
    if status is not None:
        new: Any = status
        mandate.status, mandate.next_step_at = new, None
    organisation.emit("mandates", action, links, metadata=mandate.metadata)
    return mandate


def _account(mandate: Mandate) -> str:
    return f"{mandate.bank_account[:-1]}{'0' if mandate.bank_account[-1] != '0' else '1'}"
