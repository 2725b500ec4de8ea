"""`python -m payments export`: every entry of a span of days as comma-separated values, however many there are."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import date

from chassis.batch import describe
from chassis.clock import BusinessClock
from chassis.database import Database, create_engine
from chassis.settings import SettingsError

from payments.books import queries, sheets
from payments.books.queries import Span
from payments.schema import SCHEMA
from payments.settings import PaymentsSettings

_FAILED = 1


def export(load: Callable[[], PaymentsSettings], arguments: Sequence[str]) -> int:
    """Write every entry that counts in a span of days to the standard output, as comma-separated values."""
    given = _parser().parse_args(arguments)
    try:
        asyncio.run(_export(load(), Span(given.first, given.last)))
    except SettingsError as error:
        print(f"cannot export: {error}", file=sys.stderr)  # noqa: T201
        return _FAILED
    except Exception as error:
        print(f"cannot export: {describe(error)}", file=sys.stderr)  # noqa: T201
        return _FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m payments export",
        description="Every entry that counts in these days, in the order of posting, in one snapshot.",
    )
    parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True, help="first day: 2026-07-01")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, required=True, help="last day: 2026-09-30")
    return parser


async def _export(settings: PaymentsSettings, span: Span) -> None:
    url = settings.database_url.get_secret_value()
    engine = create_engine(url, application="payments export", command_timeout_seconds=600)
    database = Database(engine, service="payments", schema=SCHEMA, clock=BusinessClock())
    try:
        async with database.reading() as tx:
            sys.stdout.write(sheets.lines([sheets.COLUMNS]))
            async for row in queries.all_entries(tx.connection, span):
                sys.stdout.write(sheets.lines([sheets.entry(row)]))
    finally:
        await database.close()
