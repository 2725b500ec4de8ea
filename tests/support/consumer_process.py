"""A process with one consumer, to be killed: `python -m tests.support.consumer_process URL SERVERS PREFIX INSTANCE`."""

from __future__ import annotations

import asyncio
import sys

from chassis.consumer import Consumer
from chassis.transaction import Transaction
from contracts.envelope import Event
from contracts.events import PaymentUpdated
from contracts.topics import PAYMENTS_EVENTS

from tests.support.consuming import note, open_database, settings_for


def noting_consumer(name: str = "noting") -> Consumer:
    """A consumer whose effect of an event is a note of its payment."""
    consumer = Consumer(name, reads=[PAYMENTS_EVENTS], batch_max_records=20)

    @consumer.on(PaymentUpdated)
    async def note_payment_on_payment_updated(tx: Transaction, event: Event[PaymentUpdated]) -> None:
        await note(tx, event.id, event.data.body.payment.id)

    return consumer


async def main(database_url: str, servers: str, prefix: str, instance: str) -> None:
    settings = settings_for(database_url, servers, prefix, instance)
    await noting_consumer().runner(open_database(database_url), settings).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
