"""Ours of posting: what a hundred payments call for is derived, compared with what stands, and posted together.

The same payments as the floor's: one membership charge and one payment each, all through one clearing account. This is
the ledger's own way, without reading and folding events: those are measured end to end.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import uvloop
from chassis.cli import spare_the_collector
from chassis.clock import real_now
from chassis.database import Database
from chassis.service import Runtime
from chassis.sql import write_together
from payments.collection.domain import Group, InvoiceView, Member, Movement, PaymentView, Policy
from payments.collection.objects import CHARGE, INVOICE, Key
from payments.ledger import store
from payments.ledger.domain import difference
from payments.ledger.posting import derive
from payments.ledger.store import NewJournal
from payments.main import service
from payments.settings import PaymentsSettings

from tests.bench.floor.ledger import AMOUNT_MINOR, CONNECTIONS, GST_MINOR, MEMBERS, PAYMENTS_A_BATCH, told

POLICY: Final = Policy()
SYDNEY: Final = ZoneInfo("Australia/Sydney")


def group(run: str, number: int) -> Group:
    """A paid membership, as the fold returns it."""
    now = datetime.now(UTC)
    member = Member(f"mem_{number % MEMBERS}", "Mark Stevens")
    charge = Key("stripe", "self", CHARGE, f"ch_{run}{number}")
    billed = Key("stripe", "self", INVOICE, f"in_{run}{number}")
    movement = Movement(charge, 1, AMOUNT_MINOR, "AUD", succeeded_at=now)
    payment = PaymentView(
        charge, "succeeded", AMOUNT_MINOR, "AUD", now, member=member, invoice=billed, movements=(movement,)
    )
    invoice = InvoiceView(
        billed, "paid", False, AMOUNT_MINOR, GST_MINOR, "stated", "AUD", now, member=member, payments=(charge,)
    )
    return Group(payments=(payment,), invoices=(invoice,))


async def post_batch(database: Database, groups: list[Group]) -> int:
    """Derive and post what these groups call for, in one transaction; returns how many journals that were."""
    async with database.transaction() as tx:
        journals = [journal for each in groups for journal in difference(derive(each, POLICY), ())]
        ids = await store.ids_of(tx.connection, journals)
        posted = [NewJournal(journal, None, None, None) for journal in journals]
        await write_together(tx.connection, *store.post(posted, ids, at=real_now(), zone=SYDNEY))
    return len(journals)


async def worker(database: Database, until: float, done: list[float]) -> None:
    """Post batches until the time is up; notes a time for each journal that is committed."""
    numbers: Iterator[int] = itertools.count()
    run = uuid4().hex[:8]
    while time.monotonic() < until:
        journals = await post_batch(database, [group(run, next(numbers)) for _ in range(PAYMENTS_A_BATCH)])
        done += [time.monotonic()] * journals


async def main() -> None:
    seconds, warm_up = float(os.environ["SECONDS"]), float(os.environ["WARM_UP_SECONDS"])
    done: list[float] = []
    async with Runtime(service, PaymentsSettings.load("payments")) as runtime:
        began = time.monotonic() + warm_up
        await asyncio.gather(*(worker(runtime.database, began + seconds, done) for _ in range(CONNECTIONS)))
    sys.stdout.write(json.dumps(told(done, began, began + seconds, time.process_time())) + "\n")


if __name__ == "__main__":
    spare_the_collector()  # as every process of ours does
    uvloop.run(main())
