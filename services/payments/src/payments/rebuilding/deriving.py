"""What inputs make, in memory, by the same code as the worker's: rows by table and key, without generated columns.

Rows refer to each other by what is stable (a payment's key, a journal's source key) and never by an id of ours.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from payments.collection import codec
from payments.collection import store as collection
from payments.collection.announcing import telling_of
from payments.collection.domain import Member, Policy
from payments.collection.objects import CUSTOMER, Key
from payments.collection.store import Ids
from payments.collection.telling import snapshot
from payments.collection.use_cases import Batch, apply_one, facts_of, posted, source_of
from payments.collection.working_set import WorkingSet
from payments.deliveries.inputs import AlternativeInput, ConflictInput, EventInput, Input, RefoldInput
from payments.ledger.domain import Journal, member_of
from payments.ledger.lines import rank_of
from payments.settlement import store as settlement

Row = Mapping[str, Any]
Rows = dict[str, dict[tuple[Any, ...], Row]]
"""By table and key."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """An input with the rules by which it was booked."""

    given: Input
    policy: Policy

    @property
    def number(self) -> int:
        return self.given.pending_id

    def named(self) -> frozenset[Key]:
        """Every object that it names."""
        if isinstance(self.given, RefoldInput):
            return frozenset({self.given.key})
        return frozenset(key for fact in facts_of(self.given) for key in codec.names(fact))


@dataclass(slots=True)
class Timeline:
    """Whose each customer was, from which number on."""

    _changes: dict[Key, list[tuple[int, Member | None]]] = field(default_factory=lambda: defaultdict(list))

    def put(self, number: int, customer: Key, member: Member | None) -> None:
        """From this number on the customer is this member's, or nobody's."""
        self._changes[customer].append((number, member))

    def of(self, customers: Collection[Key]) -> list[tuple[int, Key, Member | None]]:
        """Every change of these customers, in the order of numbers."""
        found = [(number, key, member) for key in customers for number, member in self._changes.get(key, ())]
        return sorted(found, key=lambda each: each[0])


@dataclass(slots=True)
class Books:
    """Up to which day the books were closed, from which number on."""

    _closed: list[tuple[int, date]] = field(default_factory=list)

    def close(self, number: int, ends_on: date) -> None:
        """From this number on nothing counts in a day up to this one."""
        self._closed.append((number, ends_on))

    def accounted_on(self, number: int, effective_on: date) -> date | None:
        """The day on which a journal of this input counts, None where it is the journal's own."""
        through = max((ends_on for at, ends_on in self._closed if at < number), default=None)
        return through + timedelta(days=1) if through is not None and effective_on <= through else None


class _Keys(Ids):
    """Names payments and invoices by their keys where ids would stand."""

    def __init__(self) -> None:
        super().__init__({}, {})

    def payment(self, key: Key) -> str:
        return key.text

    def invoice(self, key: Key) -> str:
        return key.text


_KEYS = _Keys()


def derive(inputs: Sequence[Numbered], members: Timeline, books: Books) -> Rows:
    """Apply whole groups of inputs in the order of their numbers, and return the rows that they make."""
    batch, rows = Batch(), _empty()
    made_by: dict[str, Numbered] = {}
    working_set = WorkingSet(policy=inputs[0].policy)
    waiting = members.of({key for each in inputs for key in each.named() if key.kind == CUSTOMER})[::-1]
    for each in inputs:
        changed: dict[Key, Member | None] = {}
        while waiting and waiting[-1][0] < each.number:
            _, customer, member = waiting.pop()
            changed[customer] = member
        if changed or each.policy is not working_set.policy:
            working_set.know(changed, each.policy)
        given = each.given
        applied = apply_one(working_set, given)
        _facts(rows, given)
        if isinstance(given, EventInput) and not isinstance(given, AlternativeInput | ConflictInput):
            telling = telling_of(given, applied)
            rows["provider_events"][given.provider_event_id,] = {
                "outcome": telling.outcome,
                "outcome_words": telling.outcome_words,
                "payment": telling.payment.key.text if telling.payment else None,
            }
        if applied is not None:
            batch.add(given, applied)
            made_by.update({journal.source_key: each for journal in applied.journals})
    _collected(rows, batch)
    _settled(rows, batch)
    _posted(rows, batch, made_by, books)
    return rows


def _empty() -> Rows:
    return defaultdict(dict)


def _facts(rows: Rows, given: Input) -> None:
    for fact in facts_of(given):
        row = {"input_id": source_of(given), "body": codec.to_json(fact), "names": _texts(codec.names(fact))}
        rows["provider_facts"].setdefault((collection.digest_of(fact).hex(),), row)


def _texts(keys: Collection[Key]) -> list[str]:
    return sorted(key.text for key in keys)


def _collected(rows: Rows, batch: Batch) -> None:
    views = list(batch.payments.values())
    made = collection.payment_columns([(view, snapshot(view)) for view in views], batch.retired, _KEYS)
    names = {
        "providers": "provider", "accounts": "account", "references": "reference", "states": "state",
        "amounts": "amount_minor", "currencies": "currency", "customers": "customer", "members": "member_id",
        "invoices": "invoice", "created_at": "created_at", "superseded": "superseded",
    }  # fmt: skip
    for view, row in zip(views, _rows(made, names), strict=True):
        known = {key.id for key in (view.key, *view.objects)}
        more = {"awaiting": list(view.awaiting), "snapshot": snapshot(view), "references": sorted(known)}
        rows["payments"][view.key.text,] = {**row, **more}
    names = {
        "payments": "payment", "attempts": "attempt", "numbers": "number", "states": "state", "at": "at",
        "failure_codes": "failure_code", "decline_codes": "decline_code", "failure_messages": "failure_message",
    }  # fmt: skip
    for row in _rows(collection.attempt_columns(views, _KEYS), names):
        rows["payment_attempts"][row.pop("payment"), row.pop("attempt")] = row
    names = {
        "keys": "key", "references": "reference", "states": "state", "implied": "implied", "totals": "total_minor",
        "gsts": "gst_minor", "gst_rules": "gst_rule", "currencies": "currency", "issued_at": "issued_at",
        "paid_at": "paid_at", "due_on": "due_on", "customers": "customer", "members": "member_id",
    }  # fmt: skip
    for row in _rows(collection.invoice_columns(list(batch.invoices.values()), _KEYS), names):
        rows["invoices"][row.pop("key"),] = row


def _rows(columns: Mapping[str, Sequence[Any]], names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for values in zip(*(columns[name] for name in names), strict=True):
        yield dict(zip(names.values(), values, strict=True))


def _settled(rows: Rows, batch: Batch) -> None:
    settled = batch.settled
    for refund in settled.refunds.values():
        _add(rows, "refunds", settlement.refund_row(refund, _KEYS.payment))
    for dispute in settled.disputes.values():
        _add(rows, "disputes", settlement.dispute_row(dispute, _KEYS.payment))
    for payout in settled.payouts.values():
        _add(rows, "payouts", settlement.payout_row(payout))
        if payout.listed_tenths is None:
            continue
        for line, item in enumerate(payout.items, 1):
            rows["payout_items"][payout.key.text, line] = {
                "type": item.type,
                "amount_minor": settlement.minor(item.tenths),
                "gst_minor": settlement.minor(item.gst_tenths),
                "source": item.source,
            }


def _add(rows: Rows, table: str, row: dict[str, Any]) -> None:
    row.pop("id")
    if "payment_id" in row:
        row["payment"] = row.pop("payment_id")
    rows[table][row.pop("key"),] = row


def _posted(rows: Rows, batch: Batch, made_by: Mapping[str, Numbered], books: Books) -> None:
    for new in posted(batch, _KEYS):
        journal = new.journal
        by = made_by[journal.source_key]
        effective_on = journal.effective_at.astimezone(by.policy.zone).date()
        rows["journals"][journal.source_key,] = {
            "source": journal.source,
            "economic_key": journal.economic_key,
            "subject": journal.subject.text,
            "kind": journal.kind,
            "words": journal.words,
            "effective_at": journal.effective_at,
            "effective_on": effective_on,
            "accounted_on": books.accounted_on(by.number, effective_on),
            "reverses": journal.reverses,
            "caused_by": new.caused_by,
            "payment": new.payment_id,
            "invoice": new.invoice_id,
            "member_id": journal.member_id,
        }
        for line, entry in enumerate(journal.entries, 1):
            rows["ledger_entries"][journal.source_key, line] = {
                "account": entry.account,
                "currency": entry.currency,
                "amount_minor": entry.amount_minor,
                "phase": entry.phase,
                "tax_code": entry.tax_code,
            }
        _moved_for_members(rows, journal)


def _moved_for_members(rows: Rows, journal: Journal) -> None:
    moved: Counter[tuple[str, str]] = Counter()
    for entry in journal.entries:
        member_id = member_of(entry.account)
        if member_id is not None and entry.phase == "posted":
            moved[member_id, entry.currency] += entry.amount_minor
    for (member_id, currency), amount in moved.items():
        if amount:
            rows["member_entries"][journal.source_key, member_id] = {
                "effective_at": journal.effective_at,
                "place": rank_of(journal.economic_key),
                "economic_key": journal.economic_key,
                "currency": currency,
                "amount_minor": amount,
            }
