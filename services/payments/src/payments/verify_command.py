"""`python -m payments verify`: the whole ledger, checked from the command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

from chassis.batch import describe
from chassis.clock import BusinessClock
from chassis.database import Database, create_engine
from chassis.progress import ProgressLine
from chassis.settings import SettingsError

from payments.ledger import verification
from payments.ledger.verification import CANNOT_VERIFY, FINE, Report
from payments.schema import SCHEMA
from payments.settings import PaymentsSettings


class _Parser(argparse.ArgumentParser):
    """Every other exit code than 3 says something about the ledger."""

    def error(self, message: str) -> NoReturn:
        self.exit(CANNOT_VERIFY, f"{self.prog}: {message}\n")


def verify(load: Callable[[], PaymentsSettings], arguments: Sequence[str]) -> int:
    """Check that the ledger holds together: exit 0 fine, 1 tampered, 3 cannot verify."""
    noted = dict(_parser().parse_args(arguments).anchor)
    try:
        return asyncio.run(_verify(load(), noted))
    except SettingsError as error:
        print(f"cannot verify: {error}", file=sys.stderr)  # noqa: T201
        return CANNOT_VERIFY


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m payments verify",
        description=(
            "Check every journal against its seal and itself, every balance against the entries, and every guard,\n"
            "as the role that PAYMENTS_DATABASE_URL names. Nothing is changed; progress is shown on a terminal."
        ),
        epilog=(
            "Exit codes: 0 fine; 1 tampered (journal, chain, balance, missing_guard); 3 cannot verify, or called "
            "wrongly."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--anchor",
        metavar="NUMBER:HASH",
        type=_anchor,
        action="append",
        default=[],
        help="a seal as an earlier run has shown it: whoever sealed everything anew cannot have kept it",
    )
    return parser


def _anchor(given: str) -> tuple[int, bytes]:
    number, _, digest = given.partition(":")
    return int(number), bytes.fromhex(digest)


async def _verify(settings: PaymentsSettings, noted: Mapping[int, bytes]) -> int:
    url = settings.database_url.get_secret_value()
    engine = create_engine(
        url,
        application="payments verify",
        command_timeout_seconds=3_600,
        server_settings={"idle_in_transaction_session_timeout": "0"},
    )
    database = Database(engine, service="payments", schema=SCHEMA, clock=BusinessClock())
    try:
        async with database.reading() as tx:
            progress = partial(ProgressLine("seals"), "verified")
            report = await verification.verify(tx.connection, anchors=noted, progress=progress)
    except Exception as error:
        print(f"cannot verify: {describe(error)}", file=sys.stderr)  # noqa: T201
        return CANNOT_VERIFY
    finally:
        await database.close()
    _show(report)
    return report.verdict


def _show(report: Report) -> None:
    for finding in report.findings:
        print(finding)  # noqa: T201
    if report.faults > len(report.findings):
        print(f"... and {report.faults - len(report.findings)} more findings")  # noqa: T201
    word = "fine" if report.verdict == FINE else "tampered"
    print(f"{word}: {report.journals} journals, {report.entries} entries")  # noqa: T201
    if report.sealed:
        print(f"sealed up to {report.sealed}:{report.last_hash.hex()}")  # noqa: T201
