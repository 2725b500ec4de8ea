"""What a retry plan is derived from: nothing, as long as it is not known how much there is to collect."""

from __future__ import annotations

from payments.recovery import translate
from payments.recovery.declines import TABLE

from tests.payments.pure.given import debit, fetched
from tests.payments.pure.model import Books


def test_a_debit_that_failed_before_anybody_knew_its_amount_waits_for_it() -> None:
    """Otherwise recovery would be asked of a person because of an order of arrival."""
    failed = Books().apply(debit("failed"))
    (unknown,) = failed.view().payments
    assert unknown.amount_minor is None
    assert translate.failing(unknown, TABLE) is None

    (known,) = failed.apply(fetched()).view().payments
    failing = translate.failing(known, TABLE)
    assert failing is not None
    assert (failing.standing, failing.decline, failing.collectable) == ("failed", "soft", True)
