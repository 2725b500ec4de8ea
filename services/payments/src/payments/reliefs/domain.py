"""When GST of a debt that nobody has paid may be claimed back, though it was not written off: a year after it was due.

Time alone brings it about, and time is an input like any other: the fact that it has passed is kept with the time from
which it counts. On the accrual basis only: on the cash basis nothing was owed for what was not received.
"""

from __future__ import annotations

from typing import Final

from payments.collection.domain import Group, InvoiceView, Policy
from payments.collection.facts import LongOverdue
from payments.ledger.settling import relief_at
from payments.staff.domain import Asked, about

RELIEVE: Final = "relieve_debt"


def relieve(group: Group, invoice: InvoiceView, policy: Policy, asked: Asked) -> LongOverdue | None:
    """Return the fact that the debt is long overdue; None where it is not, or where that is known already."""
    if invoice.member is None:
        return None
    paying = [each for each in group.payments if each.invoice == invoice.key and each.currency == invoice.currency]
    at = relief_at(invoice, paying, policy)
    if at is None or at > asked.now:
        return None
    return LongOverdue(Asked(asked.command_id, asked.now, at).told(RELIEVE), about(group, invoice))
