"""Replaying provider events: a durable job, one chunk of items in one transaction.

An item is applied exactly as a delivery would be, in a savepoint of its own, so that one that fails fails alone. A dry
run takes every savepoint back, whatever became of it: so it counts what a run would do, by doing it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from chassis import dead_letters, versions
from chassis.batch import check_deferred, describe, sandboxed
from chassis.dead_letters import Retrier
from chassis.ids import new_id
from chassis.schedule import Due, Open
from chassis.transaction import Draft, Transaction
from contracts.envelope import Entity, Snapshot, Workflow
from contracts.events import ReplayCounts, ReplayUpdated

from payments.collection import use_cases as collection
from payments.collection.codec import names
from payments.collection.store import digest_of
from payments.collection.use_cases import Rules
from payments.deliveries import inputs
from payments.deliveries.inputs import AlternativeInput, EventInput, UnusableInput
from payments.pauses.domain import Paused
from payments.pauses.view import REPLAYS, Pauses
from payments.replays import domain, store
from payments.replays.domain import Counts, Filter, ItemOutcome, Replay, TooManyEventsError
from payments.replays.store import Item
from payments.schema import SCHEMA

CHUNK_MAX: Final = 50
_PAUSED_FOR: Final = timedelta(seconds=5)
Became = tuple[ItemOutcome, str | None]


class NoSuchReplayError(Exception):
    """There is no replay with this id."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a replay needs beside the database: the rules of booking, who retries dead letters, and the pauses."""

    rules: Rules
    retriers: Mapping[str, Retrier]
    pauses: Pauses
    livemode: bool
    accounts: Collection[str] = ()


async def request(
    tx: Transaction,
    chosen: Filter,
    *,
    purpose: str,
    incident_id: str | None,
    dry_run: bool,
    rate_per_second: int,
) -> Replay:
    """Ask for a replay of what the filter matches now. Raises TooManyEventsError."""
    made = Replay(
        id=new_id(),
        state="requested",
        filter=chosen,
        purpose=purpose,
        incident_id=incident_id,
        dry_run=dry_run,
        rate_per_second=rate_per_second,
        counts=Counts(0),
        requested_at=tx.now,
    )
    actor = tx.actor.model_dump(mode="json")
    matched = await store.add(tx.connection, made, requested_by=actor, most=domain.EVENTS_MAX + 1)
    if matched > domain.EVENTS_MAX:
        raise TooManyEventsError
    after = domain.counted(made, Counts(matched))
    await store.save(tx.connection, after)
    tx.emit(_told(None, after, "asked for"))
    return after


async def cancel(tx: Transaction, replay_id: str, *, expected: int | None) -> Replay:
    """Cancel a replay; what it has done stays done. Raises NoSuchReplayError, ReplayOverError, StaleVersionError."""
    before = await store.find(tx.connection, replay_id, lock=True)
    if before is None:
        raise NoSuchReplayError(replay_id)
    versions.require("replay", replay_id, expected=expected, version=before.version)
    after = domain.cancelled(before, now=tx.now)
    await store.save(tx.connection, after)
    await store.stop(tx.connection, replay_id)
    tx.emit(_told(before, after, "cancelled"))
    return after


async def advance(open_tx: Open, means: Means, due: Due) -> None:
    """Work off the next items, as many as a second may have; then the replay is due again."""
    async with open_tx() as tx:
        replay = await store.find(tx.connection, str(due.key), lock=True)
        if replay is None or replay.over:
            await due.settle(tx, None)
            return
        if isinstance(means.pauses.verdict(replay.filter.provider or "*", "*", REPLAYS), Paused):
            await due.settle(tx, tx.now + _PAUSED_FOR)
            return
        if replay.state == "requested":
            before, replay = replay, domain.started(replay)
            tx.emit(_told(before, replay, "started"))
        chunk = min(replay.rate_per_second, CHUNK_MAX)
        found = await store.open_items(tx.connection, replay.id, limit=chunk)
        outcomes = {item.number: await _item(tx, means, item, keep=not replay.dry_run) for item in found}
        counts = replay.counts
        for outcome, _ in outcomes.values():
            counts = counts.plus(outcome)
        await store.keep_outcomes(tx.connection, replay.id, outcomes)
        replay = domain.counted(replay, counts)
        if len(found) < chunk:
            before, replay = replay, domain.completed(replay, now=tx.now)
            tx.emit(_told(before, replay, "completed"))
        await store.save(tx.connection, replay)
        await due.settle(tx, None if replay.over else tx.now + timedelta(seconds=len(found) / replay.rate_per_second))


class _UndoneError(Exception):
    """Ends the savepoint of a dry run."""


async def _item(tx: Transaction, means: Means, item: Item, *, keep: bool) -> Became:
    refusal = domain.refusal(item.type)
    if refusal is not None:
        return "refused", refusal
    became: Became = ("failed", None)

    async def work() -> None:
        nonlocal became
        became = await _replayed(tx, means, item)
        await check_deferred(tx.connection)
        if not keep:
            raise _UndoneError

    error = await sandboxed(tx, work)
    return became if error is None or isinstance(error, _UndoneError) else ("failed", describe(error))


async def _replayed(tx: Transaction, means: Means, item: Item) -> Became:
    """Do for one event what its delivery would have done, where that was not done."""
    if item.letter is not None:
        retried = await dead_letters.retry(tx, SCHEMA, item.letter, means.retriers)
        return ("replayed", None) if retried.state == "retried" else ("failed", retried.reason)
    if item.pending:
        return "unchanged", "it is still in the queue"
    given = await _input(tx, means, item)
    if isinstance(given, str):
        return "failed", given
    if not given.facts:
        return "unchanged", "it tells nothing that is understood"
    if await store.all_known(tx.connection, [digest_of(fact) for fact in given.facts]):
        keys = {key.text for fact in given.facts for key in names(fact)}
        if await store.ask_again(tx.connection, sorted(keys)):
            return "replayed", "its provider is asked again for what it left out"
        return "unchanged", "already known"
    await collection.apply(tx, [given], means.rules)
    return "replayed", None


class _Row(NamedTuple):
    """A row of the queue that was never queued: the input that an event would be."""

    id: int
    kind: str
    delivery_id: str
    position: int
    provider_event_id: str
    fetched_id: None = None
    subject: None = None


async def _input(tx: Transaction, means: Means, item: Item) -> EventInput | str:
    """The event as an input; one that was applied before only adds its facts. What is wrong with it, otherwise."""
    kind = "alternative" if item.applied else "event"
    row = _Row(-item.number, kind, item.delivery_id, item.position, item.provider_event_id)
    claimed = await inputs.interpreted(tx.connection, [row], livemode=means.livemode, accounts=means.accounts)
    for refused in claimed.refused:
        return describe(refused.error)
    (given,) = claimed.items
    if isinstance(given, AlternativeInput | EventInput):
        return given
    return "it is no event" if not isinstance(given, UnusableInput) else "it cannot be read"


def _told(before: Replay | None, after: Replay, change: str) -> Draft[ReplayUpdated]:
    counts = after.counts
    provider = after.filter.provider
    return Draft(
        ReplayUpdated(
            change=change,
            state=after.state,
            counts=ReplayCounts(
                matched=counts.matched,
                replayed=counts.replayed,
                unchanged=counts.unchanged,
                refused=counts.refused,
                failed=counts.failed,
            ),
            purpose=after.purpose,
            provider=provider if provider in ("stripe", "gocardless") else None,
            incident_id=after.incident_id,
            dry_run=after.dry_run,
        ),
        Entity(type="replay", id=after.id),
        Workflow(name="incident" if after.incident_id else "replay", id=after.incident_id or after.id),
        before=None if before is None else _snapshot(before),
        after=_snapshot(after),
    )


def _snapshot(replay: Replay) -> Snapshot:
    counts = replay.counts
    return {"state": replay.state, "matched": counts.matched, "done": counts.done, "dry_run": replay.dry_run}
