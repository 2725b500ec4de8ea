"""The worker: takes inputs off the queue and applies them; what is poison goes to the dead letters.

Several processes may run it: rows are claimed with SKIP LOCKED, groups are locked in one order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson
from chassis import dead_letters
from chassis.batch import Claimed
from chassis.dead_letters import DeadLetter, Letter
from chassis.sql import write_together
from chassis.transaction import Cause, Transaction

from payments.collection import use_cases
from payments.collection.use_cases import Rules
from payments.deliveries import inputs
from payments.deliveries.inputs import CommandInput, EventInput, FetchedInput, Input, RefoldInput, UnusableInput
from payments.schema import SCHEMA

NAME = "payments.worker"


class InputWork:
    """What the batch runner runs for payments."""

    name = NAME

    def __init__(self, rules: Rules, *, livemode: bool, accounts: Collection[str] = ()) -> None:
        self._rules = rules
        self._livemode = livemode
        self._accounts = accounts

    async def claim(self, tx: Transaction, limit: int) -> Claimed[Input]:
        return await inputs.claim(tx.connection, limit, livemode=self._livemode, accounts=self._accounts)

    async def handle(self, tx: Transaction, items: Sequence[Input]) -> None:
        await use_cases.apply(tx, items, self._rules)

    async def set_aside(self, tx: Transaction, item: Input, error: Exception) -> None:
        """Keep what cannot be used as a dead letter; its delivery says so."""
        letter = letter_of(item, error)
        traceparent = item.traceparent if isinstance(item, EventInput | UnusableInput) else None
        await dead_letters.add(tx.automatically(Cause(letter.pointer, None, traceparent)), SCHEMA, letter)
        if isinstance(item, EventInput | UnusableInput) and item.delivery_id is not None:
            await inputs.dead(tx.connection, item.delivery_id)
        await write_together(tx.connection, inputs.done([item]))
        await inputs.processed(tx.connection, [item])

    async def retry(self, tx: Transaction, letter: DeadLetter) -> None:
        """Apply a dead letter's input again, at the end of all that came since. Raises what is still wrong with it."""
        claimed = await inputs.again(tx.connection, letter.pointer, livemode=self._livemode, accounts=self._accounts)
        for refused in claimed.refused:
            raise refused.error
        await use_cases.apply(tx, claimed.items, self._rules)
        await inputs.mended(tx.connection, letter.pointer, letter.id)


def letter_of(item: Input, error: Exception) -> Letter:
    """The dead letter of an input; its pointer says where the input came from."""
    match item:
        case UnusableInput(pointer=pointer, message=message):
            return Letter(consumer=NAME, pointer=pointer, message=message, error=error)
        case EventInput(delivery_id=delivery_id, event=event):
            return Letter(
                consumer=NAME,
                pointer=f"delivery/{delivery_id}/{event.index}",
                message=orjson.dumps(event.object)[: inputs.LETTER_MAX_BYTES],
                error=error,
                event_id=event.identity.id,
                message_type=event.type,
            )
        case FetchedInput(fetched_id=fetched_id, key=key):
            return Letter(consumer=NAME, pointer=f"fetched/{fetched_id}", message=key.text.encode(), error=error)
        case CommandInput(command_id=command_id, words=words):
            return Letter(consumer=NAME, pointer=f"command/{command_id}", message=words.encode(), error=error)
        case RefoldInput(key=key):
            pointer = f"refold/{key.text}"
            return Letter(consumer=NAME, pointer=pointer, message=key.text.encode(), error=error)
