"""How journals are written and read: insert only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from chassis.ids import new_id
from chassis.sql import JsonRow, Part, Read, Statement, Write
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.collection.objects import Key
from payments.ledger.domain import Entry, Journal

_STANDING = Statement(
    """
    SELECT j.id, j.source, j.source_key, j.economic_key, j.subject, j.kind, j.words, j.effective_at,
           r.source_key AS reverses, j.member_id, p.key AS payment, i.key AS invoice, e.account, e.currency,
           e.amount_minor, e.phase, e.tax_code
    FROM payments.journals AS j
    JOIN payments.ledger_entries AS e ON e.journal_id = j.id
    LEFT JOIN payments.journals AS r ON r.id = j.reverses
    LEFT JOIN payments.payments AS p ON p.id = j.payment_id
    LEFT JOIN payments.invoices AS i ON i.id = j.invoice_id
    WHERE j.subject = ANY(:subjects) ORDER BY j.number, e.line
    """
)
_IDS = Statement("SELECT source, source_key, id FROM payments.journals WHERE source_key = ANY(:keys)")
# The guards look at journals and entries when both are there.
_POST = Part(
    """
    posted_journals AS (
        INSERT INTO payments.journals
            (id, source, source_key, economic_key, subject, kind, words, effective_at, effective_on, recorded_at,
             reverses, caused_by, payment_id, invoice_id, member_id, accounted_on)
        SELECT told.*, CASE WHEN told.effective_on <= closed.through THEN closed.through + 1 END
        FROM (SELECT max(ends_on) AS through FROM payments.periods) AS closed, unnest(
            CAST(:ids AS uuid[]), CAST(:sources AS text[]), CAST(:source_keys AS text[]),
            CAST(:economic_keys AS text[]), CAST(:subjects AS text[]), CAST(:kinds AS text[]), CAST(:words AS text[]),
            CAST(:effective_at AS timestamptz[]), CAST(:effective_on AS date[]), CAST(:recorded_at AS timestamptz[]),
            CAST(:reverses AS uuid[]), CAST(:caused_by AS uuid[]), CAST(:payments AS uuid[]),
            CAST(:invoices AS uuid[]), CAST(:members AS text[]))
            AS told (id, source, source_key, economic_key, subject, kind, words, effective_at, effective_on,
                     recorded_at, reverses, caused_by, payment_id, invoice_id, member_id)
    ), posted_entries AS (
        INSERT INTO payments.ledger_entries (journal_id, line, account, currency, amount_minor, phase, tax_code)
        SELECT * FROM unnest(
            CAST(:journals AS uuid[]), CAST(:lines AS smallint[]), CAST(:accounts AS text[]),
            CAST(:currencies AS text[]), CAST(:amounts AS bigint[]), CAST(:phases AS text[]),
            CAST(:tax_codes AS text[]))
    )
    """
)


@dataclass(frozen=True, slots=True)
class NewJournal:
    """A journal to post, with the ids that it refers to."""

    journal: Journal
    caused_by: str | None
    payment_id: str | None
    invoice_id: str | None


def standing(subjects: Collection[Key]) -> Read:
    """Every journal that was posted for these objects, in the order of posting: give the rows to `journals_of`."""
    return _STANDING, {"subjects": [key.text for key in subjects]}


def journals_of(rows: Sequence[JsonRow]) -> tuple[Journal, ...]:
    """Read the rows of `standing`."""
    return tuple(_journal(list(lines)) for _, lines in groupby(rows, key=lambda row: row["id"]))


def _journal(lines: Sequence[JsonRow]) -> Journal:
    first = lines[0]
    return Journal(
        source=first["source"],
        source_key=first["source_key"],
        economic_key=first["economic_key"],
        subject=Key.parse(first["subject"]),
        kind=first["kind"],
        words=first["words"],
        effective_at=datetime.fromisoformat(first["effective_at"]),
        entries=tuple(
            Entry(line["account"], line["currency"], line["amount_minor"], line["phase"], line["tax_code"])
            for line in lines
        ),
        reverses=first["reverses"],
        # What a correction takes over where nothing is derived there any more.
        payment=None if first["payment"] is None else Key.parse(first["payment"]),
        invoice=None if first["invoice"] is None else Key.parse(first["invoice"]),
        member_id=first["member_id"],
    )


async def ids_of(connection: AsyncConnection, journals: Iterable[Journal]) -> Mapping[str, str]:
    """The ids by source key of journals: new ones, and those of earlier ones that they reverse."""
    posted = list(journals)
    ids = {journal.source_key: new_id() for journal in posted}
    elsewhere = {journal.reverses for journal in posted if journal.reverses} - ids.keys()
    if elsewhere:
        ids |= {row.source_key: str(row.id) for row in await _IDS.all(connection, {"keys": sorted(elsewhere)})}
    return ids


def post(posted: Sequence[NewJournal], ids: Mapping[str, str], *, at: datetime, zone: ZoneInfo) -> Iterator[Write]:
    """Write journals with their entries; `zone` decides the effective day."""
    if posted:
        yield _POST, {**_journal_columns(posted, ids, at=at, zone=zone), **_entry_columns(posted, ids)}


def _journal_columns(
    posted: Sequence[NewJournal], ids: Mapping[str, str], *, at: datetime, zone: ZoneInfo
) -> dict[str, list[Any]]:
    journals = [new.journal for new in posted]
    return {
        "ids": [ids[journal.source_key] for journal in journals],
        "sources": [journal.source for journal in journals],
        "source_keys": [journal.source_key for journal in journals],
        "economic_keys": [journal.economic_key for journal in journals],
        "subjects": [journal.subject.text for journal in journals],
        "kinds": [journal.kind for journal in journals],
        "words": [journal.words for journal in journals],
        "effective_at": [journal.effective_at for journal in journals],
        "effective_on": [journal.effective_at.astimezone(zone).date() for journal in journals],
        "recorded_at": [at for _ in journals],
        "reverses": [ids[journal.reverses] if journal.reverses else None for journal in journals],
        "caused_by": [new.caused_by for new in posted],
        "payments": [new.payment_id for new in posted],
        "invoices": [new.invoice_id for new in posted],
        "members": [journal.member_id for journal in journals],
    }


def _entry_columns(posted: Sequence[NewJournal], ids: Mapping[str, str]) -> dict[str, list[Any]]:
    lines = [
        (ids[new.journal.source_key], number, entry)
        for new in posted
        for number, entry in enumerate(new.journal.entries, 1)
    ]
    return {
        "journals": [journal for journal, _, _ in lines],
        "lines": [number for _, number, _ in lines],
        "accounts": [entry.account for _, _, entry in lines],
        "currencies": [entry.currency for _, _, entry in lines],
        "amounts": [entry.amount_minor for _, _, entry in lines],
        "phases": [entry.phase for _, _, entry in lines],
        "tax_codes": [entry.tax_code for _, _, entry in lines],
    }
