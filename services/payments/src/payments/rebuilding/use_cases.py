"""Deriving everything again from the numbered inputs, and comparing it with what stands. Nothing is written.

One snapshot is read from beginning to end, as the service's own role: the running service notices nothing but one
more reader, and what it commits meanwhile is not looked at. Retries, attempts of ours and holds are not derived: what
is due also follows from timers. Tested in tests/payments/test_rebuild.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

import orjson
from chassis.batch import describe
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection import codec
from payments.collection.domain import Member, Policy
from payments.collection.objects import customer_key
from payments.deliveries import inputs as deliveries
from payments.deliveries.inputs import CommandInput, EventInput, Input
from payments.numbering.store import CLOSE_PERIOD, PUT_MEMBER, policy_of
from payments.rebuilding import store
from payments.rebuilding.deriving import Books, Numbered, Rows, Timeline, derive
from payments.rebuilding.spooling import Spool
from payments.rebuilding.store import TABLES, Derived

_ABSENT: Final = "no such row"
_PRESENT: Final = "a row"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is stored otherwise than it is derived."""

    table: str
    key: tuple[Any, ...]
    column: str
    stored: Any
    rebuilt: Any

    def __str__(self) -> str:
        key = ", ".join(str(each) for each in self.key)
        return f"{self.table} {key}: {self.column} is {_shown(self.stored)}, rebuilt {_shown(self.rebuilt)}"


def _shown(value: Any) -> str:
    if value in (_ABSENT, _PRESENT):
        return str(value)
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:
        return repr(value)


@dataclass(slots=True)
class Rebuilt:
    """What was derived and compared; `first` holds the first differences, `differences` counts all of them."""

    keep: int
    inputs: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    differences: int = 0
    first: list[Difference] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        return not self.differences

    def differs(self, table: str, key: tuple[Any, ...], column: str, stored: Any, rebuilt: Any) -> None:
        """Note one difference."""
        self.differences += 1
        if len(self.first) < self.keep:
            self.first.append(Difference(table, key, column, stored, rebuilt))

    def compare(self, table: str, stored: Mapping[Any, Mapping[str, Any]], rebuilt: Mapping[Any, Any]) -> None:
        """Compare rows of one table by key and column."""
        self.rows[table] += len(rebuilt)
        for key, row in rebuilt.items():
            held = stored.get(key)
            if held is None:
                self.differs(table, key, "the row", _ABSENT, _PRESENT)
            elif held != row:
                for column, value in row.items():
                    if held.get(column) != value:
                        self.differs(table, key, column, held.get(column), value)
        for key in stored.keys() - rebuilt.keys():
            self.differs(table, key, "the row", _PRESENT, _ABSENT)


@dataclass(slots=True)
class _Known:
    """Members and closed periods as the commands make them, and the sums of all entries."""

    members: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    customers: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    balances: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    timeline: Timeline = field(default_factory=Timeline)
    periods: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    books: Books = field(default_factory=Books)

    def close(self, number: int, body: Mapping[str, Any], actor: Mapping[str, Any]) -> None:
        """Close the period that a command says."""
        ends_on = date.fromisoformat(body["ends_on"])
        self.periods[body["period"],] = {
            "ends_on": ends_on,
            "closed_by": actor["id"],
            "closed_by_name": actor["name"],
        }
        self.books.close(number, ends_on)

    def put(self, number: int, body: Mapping[str, Any]) -> None:
        """Make a member what a command says."""
        member = Member(body["member_id"], body["name"])
        self.members[member.id,] = {"name": member.name}
        wanted = {(each["provider"], each["account"], each["reference"]) for each in body["customers"]}
        held = {key for key, row in self.customers.items() if row["member_id"] == member.id}
        for provider, account, reference in held - wanted:
            del self.customers[provider, account, reference]
            self.timeline.put(number, customer_key(provider, reference, account), None)
        for provider, account, reference in wanted - held:
            self.customers[provider, account, reference] = {"member_id": member.id}
            self.timeline.put(number, customer_key(provider, reference, account), member)


async def check(
    connection: AsyncConnection,
    policy: Policy,
    *,
    livemode: bool,
    keep_differences: int = 100,
    progress: Progress | None = None,
) -> Rebuilt:
    """Derive everything again and compare it. `policy` is for inputs from before the rules were kept with each."""
    report, known = Rebuilt(keep_differences), _Known()
    told = progress or (lambda *_: None)
    with closing(Spool()) as spool:
        total = await store.count_inputs(connection)

        def read(inputs: int) -> None:
            told("read", inputs, total)

        await _read(connection, spool, known, report, policy, livemode=livemode, progress=read)
        seen: dict[str, set[int]] = {table.name: set() for table in TABLES}
        done = 0
        for part in spool.slices():
            rows = derive(part, known.timeline, known.books)
            await _compare(connection, rows, seen, report)
            for entry in rows["ledger_entries"].values():
                known.balances[entry["account"], entry["currency"], entry["phase"]] += entry["amount_minor"]
            done += len(part)
            told("compared", done, len(spool))
    for table in TABLES:
        await _extras(connection, table, seen[table.name], report)
    await _compare_whole(connection, known, report)
    return report


async def _read(
    connection: AsyncConnection,
    spool: Spool,
    known: _Known,
    report: Rebuilt,
    policy: Policy,
    *,
    livemode: bool,
    progress: Callable[[int], None],
) -> None:
    """Read every input and put it where it belongs; what cannot be read any more is a difference."""
    policies: dict[str | None, Policy] = {None: policy}
    async for rows in store.inputs(connection):
        commands = [row for row in rows if row.kind == "command"]
        claimed = await deliveries.interpreted(
            connection, [row for row in rows if row.kind != "command"], livemode=livemode, lock=False
        )
        for refused in claimed.refused:
            report.differs("inputs", (refused.item.pending_id,), "the input", "applied", describe(refused.error))
        given: dict[int, Input] = {each.pending_id: each for each in claimed.items}
        for row in commands:
            body = _json(row.body)
            if row.command == PUT_MEMBER:
                known.put(row.id, body)
            elif row.command == CLOSE_PERIOD:
                known.close(row.id, body, _json(row.actor))
            else:
                facts = tuple(codec.from_json(each) for each in body["facts"])
                given[row.id] = CommandInput(row.id, str(row.command_id), body["words"], facts, row.reason)
        for row in rows:
            if row.rules not in policies:
                policies[row.rules] = policy_of(row.rules)
            if row.id in given:
                numbered = Numbered(_lightened(given[row.id]), policies[row.rules])
                spool.add(numbered, numbered.named())
        report.inputs += len(rows)
        progress(report.inputs)


def _json(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str) else value


def _lightened(given: Input) -> Input:
    """The input without what its provider sent: its facts are all that is applied."""
    if isinstance(given, EventInput):
        return replace(given, event=replace(given.event, object={}))
    return given


async def _compare(connection: AsyncConnection, rows: Rows, seen: dict[str, set[int]], report: Rebuilt) -> None:
    """Compare what some groups derive with what stands under their keys."""
    for table in TABLES:
        keys = [key[0] for key in rows[table.owner]]
        if not keys:
            continue
        report.compare(table.name, await store.stored(connection, table, keys), rows[table.name])
        if table.keys is not None:
            seen[table.name].update(hash(key) for key in keys)


async def _extras(connection: AsyncConnection, table: Derived, seen: set[int], report: Rebuilt) -> None:
    """Name the rows that stand in a table and are not derived: looked for where there are more than there should be."""
    if table.count is None or (await table.count.all(connection))[0].rows == len(seen):
        return
    async for key in store.all_keys(connection, table):
        if hash(key) not in seen:
            report.differs(table.name, (key,), "the row", _PRESENT, _ABSENT)


async def _compare_whole(connection: AsyncConnection, known: _Known, report: Rebuilt) -> None:
    balances = {key: {"amount_minor": amount} for key, amount in known.balances.items() if amount}
    rebuilt = {
        "members": known.members,
        "member_customers": known.customers,
        "periods": known.periods,
        "balances": balances,
    }
    for table, rows in rebuilt.items():
        report.compare(table, await store.whole(connection, table), rows)
