"""`python -m payments rebuild --check`: everything derived again from the inputs, and compared with what stands."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from chassis.batch import describe
from chassis.clock import BusinessClock
from chassis.database import Database, create_engine
from chassis.progress import ProgressLine
from chassis.settings import SettingsError

from payments.booking import policy_of
from payments.rebuilding import use_cases
from payments.rebuilding.use_cases import Rebuilt
from payments.schema import SCHEMA
from payments.settings import PaymentsSettings

IDENTICAL: Final = 0
DIFFERENT: Final = 1
CANNOT_RUN: Final = 2
_KEEP_DIFFERENCES: Final = 100


class _Parser(argparse.ArgumentParser):
    """Every other exit code than 2 says something about what stands."""

    def error(self, message: str) -> NoReturn:
        self.exit(CANNOT_RUN, f"{self.prog}: {message}\n")


def rebuild(load: Callable[[], PaymentsSettings], arguments: Sequence[str]) -> int:
    """Derive everything again and compare it: exit 0 identical, 1 different, 2 cannot run."""
    _parser().parse_args(arguments)
    try:
        return asyncio.run(_rebuild(load()))
    except SettingsError as error:
        print(f"cannot rebuild: {error}", file=sys.stderr)  # noqa: T201
        return CANNOT_RUN


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m payments rebuild",
        description=(
            "Derive facts, payments, invoices, refunds, disputes, payouts, journals with the period in which they\n"
            "count, balances, members and closed periods again from the numbered inputs, in memory, and compare row\n"
            "by row with what stands; ids, versions and the times of recording apart. Nothing is written, and the\n"
            "service may go on; progress is shown on a terminal."
        ),
        epilog=(
            "Exit codes: 0 identical; 1 different; 2 cannot run, or called wrongly. "
            f"At most {_KEEP_DIFFERENCES} differences are printed."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", required=True, help="compare, and change nothing")
    return parser


async def _rebuild(settings: PaymentsSettings) -> int:
    engine = create_engine(
        settings.database_url.get_secret_value(),
        application="payments rebuild",
        command_timeout_seconds=3_600,
        # Between two reads a part of the inputs is derived, for as long as that takes.
        server_settings={"idle_in_transaction_session_timeout": "0"},
    )
    database = Database(engine, service="payments", schema=SCHEMA, clock=BusinessClock())
    began = time.monotonic()
    try:
        async with database.reading() as tx:
            report = await use_cases.check(
                tx.connection,
                policy_of(settings),
                livemode=settings.livemode,
                keep_differences=_KEEP_DIFFERENCES,
                progress=ProgressLine("inputs"),
            )
    except Exception as error:
        print(f"cannot rebuild: {describe(error)}", file=sys.stderr)  # noqa: T201
        return CANNOT_RUN
    finally:
        await database.close()
    return _show(report, time.monotonic() - began)


def _show(report: Rebuilt, seconds: float) -> int:
    for difference in report.first:
        print(difference)  # noqa: T201
    if report.differences > len(report.first):
        print(f"... and {report.differences - len(report.first)} more differences")  # noqa: T201
    word = "identical" if report.identical else f"different in {report.differences} values"
    rows = report.rows
    print(  # noqa: T201
        f"{word}: {report.inputs} inputs, {rows['journals']} journals, {rows['ledger_entries']} entries,"
        f" {rows['payments']} payments in {seconds:.1f} s, {report.inputs / max(seconds, 1e-3):,.0f} inputs/s"
    )
    return IDENTICAL if report.identical else DIFFERENT
