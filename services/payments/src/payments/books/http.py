"""Closing periods, the activity statement, and every entry for the accountant, as JSON or comma-separated values."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from chassis.sql import Row
from chassis.web import CONFLICT, INVALID, LIST_PROBLEMS, NOT_FOUND, Listed, Page, Problem, ReadTx, Tx, documents
from contracts.envelope import Money
from contracts.events import PeriodClosed
from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel
from starlette.responses import Response

from payments.booking import BookingPolicy
from payments.books import queries, sheets, store, use_cases
from payments.books.domain import NoPeriodError, Period, PeriodNotOverError, Statement, WorkLeftError, statement
from payments.books.queries import Span
from payments.books.store import ClosedPeriod

router = APIRouter(tags=["books"])
Words = Annotated[str, Path(pattern=r"^\d{4}-\d{2}$", description="A month, as 2026-10")]
First = Annotated[date, Query(alias="from", description="The first day, in the business' time zone")]
Last = Annotated[date, Query(alias="to", description="The last day")]
_CSV: Final = "text/csv"
_CSV_MAX_ENTRIES: Final = 20_000
_AT: Final = "2026-11-02T01:10:00Z"


class PeriodView(BaseModel):
    """A month that is closed, with everything before it. What is learnt of it later counts in the first open day."""

    period: str
    begins_on: date
    ends_on: date
    closed_at: datetime
    closed_by: str
    closed_by_name: str


class StatementView(BaseModel):
    """What a span of days owes the tax office, to the cent (a return is lodged in whole dollars, cents left out).

    `label_1a` is GST on sales with increasing adjustments, `label_1b` credits with decreasing ones; what is left is
    `payable`, below zero a refund. `final`: every day of it is closed, so it stays what it is.
    """

    first: date
    last: date
    basis: Literal["accrual", "cash"]
    registered: bool
    final: bool
    gst_on_sales: Money
    increasing_adjustments: Money
    label_1a: Money
    gst_credits: Money
    decreasing_adjustments: Money
    label_1b: Money
    payable: Money


class EntryView(BaseModel):
    """One line of a journal: debit positive. `accounted_on` is the day on which it counts, `effective_on` its own."""

    place: int
    number: int
    line: int
    journal_id: UUID
    accounted_on: date
    effective_on: date
    effective_at: datetime
    recorded_at: datetime
    kind: Literal["original", "reversal", "correction"]
    words: str
    reverses: UUID | None
    account: str
    amount: Money
    phase: Literal["pending", "posted"]
    tax_code: str
    member_id: str | None
    payment_id: UUID | None
    invoice_id: UUID | None
    caused_by: UUID | None


_PERIOD: Final = {
    "period": "2026-10",
    "begins_on": "2026-10-01",
    "ends_on": "2026-10-31",
    "closed_at": _AT,
    "closed_by": "maria-rossi",
    "closed_by_name": "Maria Rossi",
}


def _money(minor: int) -> dict[str, Any]:
    return {"amount_minor": minor, "currency": "AUD"}


_STATEMENT: Final = {
    "first": "2026-10-01",
    "last": "2026-10-31",
    "basis": "accrual",
    "registered": True,
    "final": True,
    "gst_on_sales": _money(1_000),
    "increasing_adjustments": _money(0),
    "label_1a": _money(1_000),
    "gst_credits": _money(20),
    "decreasing_adjustments": _money(303),
    "label_1b": _money(323),
    "payable": _money(677),
}
_ENTRY: Final = {
    "place": 32_769,
    "number": 1,
    "line": 1,
    "journal_id": "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e92",
    "accounted_on": "2026-10-01",
    "effective_on": "2026-10-01",
    "effective_at": "2026-10-01T01:00:00Z",
    "recorded_at": "2026-10-01T01:00:02Z",
    "kind": "original",
    "words": "Invoice MARK-0001",
    "reverses": None,
    "account": "1100 member_receivable:mark-stevens",
    "amount": _money(11_000),
    "phase": "posted",
    "tax_code": "N-T",
    "member_id": "mark-stevens",
    "payment_id": None,
    "invoice_id": "0198c2f4-7c10-7b02-8f4e-3a5d6c7b8e91",
    "caused_by": None,
}
_NO_PERIOD: Final = (INVALID, "2026-13 is no period: a period is a month such as 2026-10.")
_BAD_SPAN: Final = (INVALID, "The first day lies after the last.")


@router.post(
    "/periods/{period}/close",
    **documents(
        scope="periods:write",
        audit=PeriodClosed,
        limit="write",
        idempotency="natural",
        example=_PERIOD,
        problems=[(CONFLICT, "November 2026 is not over: it can be closed from 2026-12-01 on."), _NO_PERIOD],
    ),
)
async def close_period(period: Words, tx: Tx, policy: BookingPolicy) -> PeriodView:
    """Close a month with everything before it, for good: there is no way to open it again."""
    asked = _period(period)
    try:
        closed = await use_cases.close_period(tx, asked, policy.zone)
    except (PeriodNotOverError, WorkLeftError) as error:
        raise Problem(CONFLICT, f"{error}.") from None
    if closed is None:
        raise Problem(CONFLICT, f"{asked.words} was closed with a later month.")
    return _view(closed)


@router.get(
    "/periods", **documents(scope="reports:read", example=Listed(items=[_PERIOD], next=None), problems=LIST_PROBLEMS)
)
async def list_periods(tx: ReadTx, page: Page) -> Listed[PeriodView]:
    """The months that were closed, newest first."""
    before = page.after_int()
    found = await store.page(tx.connection, before=_text(before), limit=page.limit + 1)
    return page.listed([_view(each) for each in found], key=lambda each: int(each.period.replace("-", "")))


@router.get(
    "/periods/{period}",
    **documents(
        scope="reports:read", example=_PERIOD, problems=[(NOT_FOUND, "There is no closed period 2026-11."), _NO_PERIOD]
    ),
)
async def get_period(period: Words, tx: ReadTx) -> PeriodView:
    """One month that was closed."""
    found = await store.find(tx.connection, _period(period))
    if found is None:
        raise Problem.not_found("closed period", period)
    return _view(found)


@router.get(
    "/reports/activity-statement",
    response_model=StatementView,
    **documents(scope="reports:read", example=_STATEMENT, problems=[_BAD_SPAN]),
)
async def get_activity_statement(
    tx: ReadTx, policy: BookingPolicy, first: First, last: Last, accept: Annotated[str, Header()] = "application/json"
) -> StatementView | Response:
    """What a span of days owes the tax office; with `Accept: text/csv` as comma-separated values."""
    span = _span(first, last)
    found = statement(await queries.gst_sums(tx.connection, span, policy.home_currency))
    if _CSV in accept:
        return _sheet(sheets.statement(found, policy.home_currency), f"activity-statement-{first}-{last}")
    through = await store.closed_through(tx.connection)
    figures = _figures(found, policy.home_currency)
    return StatementView(
        first=first,
        last=last,
        basis=policy.basis,
        registered=policy.gst_registered,
        final=through is not None and last <= through,
        **figures,
    )


@router.get(
    "/reports/entries",
    response_model=Listed[EntryView],
    **documents(scope="reports:read", example=Listed(items=[_ENTRY], next=None), problems=[*LIST_PROBLEMS, _BAD_SPAN]),
)
async def list_entries(
    tx: ReadTx, page: Page, first: First, last: Last, accept: Annotated[str, Header()] = "application/json"
) -> Listed[EntryView] | Response:
    """Every line that counts in a span of days, in the order of posting.

    With `Accept: text/csv` as comma-separated values, up to 20,000 of them whatever the limit; more go on after `Link`.
    """
    span, after = _span(first, last), page.after_int()
    if _CSV in accept:
        return await _entries_sheet(tx, span, page, after)
    rows = await queries.entries(tx.connection, span, after=after, limit=page.limit + 1)
    return page.listed([_entry(row) for row in rows], key=lambda each: each.place)


async def _entries_sheet(tx: ReadTx, span: Span, page: Page, after: int | None) -> Response:
    rows = await queries.entries(tx.connection, span, after=after, limit=_CSV_MAX_ENTRIES + 1)
    shown = [sheets.entry(row) for row in rows[:_CSV_MAX_ENTRIES]]
    answer = _sheet(sheets.lines([sheets.COLUMNS, *shown]), f"entries-{span.first}-{span.last}")
    if len(rows) > _CSV_MAX_ENTRIES:
        place = queries.place_of(rows[_CSV_MAX_ENTRIES - 1])
        path = f"/reports/entries?from={span.first}&to={span.last}&cursor={page.cursor_of(place)}"
        answer.headers["Link"] = f'<{path}>; rel="next"'
    return answer


def _sheet(text: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, media_type=_CSV, headers=headers)


def _period(text: str) -> Period:
    try:
        return Period.parse(text)
    except NoPeriodError as error:
        raise Problem(INVALID, f"{error}.") from None


def _text(number: int | None) -> str | None:
    return None if number is None else f"{number // 100:04}-{number % 100:02}"


def _span(first: date, last: date) -> Span:
    if first > last:
        raise Problem(INVALID, "The first day lies after the last.")
    return Span(first, last)


def _view(closed: ClosedPeriod) -> PeriodView:
    return PeriodView(
        period=closed.period.text,
        begins_on=closed.period.begins_on,
        ends_on=closed.period.ends_on,
        closed_at=closed.closed_at,
        closed_by=closed.closed_by,
        closed_by_name=closed.closed_by_name,
    )


def _figures(found: Statement, currency: str) -> dict[str, Money]:
    named = {
        "gst_on_sales": found.gst_on_sales_minor,
        "increasing_adjustments": found.increasing_adjustments_minor,
        "label_1a": found.label_1a_minor,
        "gst_credits": found.gst_credits_minor,
        "decreasing_adjustments": found.decreasing_adjustments_minor,
        "label_1b": found.label_1b_minor,
        "payable": found.payable_minor,
    }
    return {name: Money(amount_minor=minor, currency=currency) for name, minor in named.items()}


def _entry(row: Row) -> EntryView:
    shown = {name: row[name] for name in EntryView.model_fields if name not in ("place", "amount")}
    money = Money(amount_minor=row.amount_minor, currency=row.currency)
    return EntryView(**shown, place=queries.place_of(row), amount=money)
