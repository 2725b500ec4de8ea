"""`python -m audit verify`: the whole log, checked from the command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NoReturn

from chassis.batch import describe
from chassis.clock import BusinessClock
from chassis.database import Database, create_engine
from chassis.progress import ProgressLine
from chassis.settings import SettingsError

from audit import verification
from audit.settings import AuditSettings
from audit.tables import SCHEMA
from audit.verification import Report, Verdict

_KEEP_FINDINGS: Final = 1_000
_WORDS: Final = {
    Verdict.FINE: "fine",
    Verdict.TAMPERED: "tampered",
    Verdict.INCOMPLETE: "incomplete",
    Verdict.CANNOT_VERIFY: "cannot verify",
}


class _Parser(argparse.ArgumentParser):
    """Every other exit code than 3 says something about the log."""

    def error(self, message: str) -> NoReturn:
        self.exit(Verdict.CANNOT_VERIFY, f"{self.prog}: {message}\n")


def verify(load: Callable[[], AuditSettings], arguments: Sequence[str]) -> int:
    """Check that the log holds together: exit 0 fine, 1 tampered, 2 incomplete, 3 cannot verify."""
    _parser().parse_args(arguments)
    try:
        return asyncio.run(_verify(load()))
    except SettingsError as error:
        print(f"cannot verify: {error}", file=sys.stderr)  # noqa: T201
        return Verdict.CANNOT_VERIFY


def _parser() -> argparse.ArgumentParser:
    return _Parser(
        prog="python -m audit verify",
        description=(
            "Check every row against its exact bytes, every offset against the accounts, and every guard,\n"
            "as the role that AUDIT_DATABASE_URL names. Nothing is changed; progress is shown on a terminal."
        ),
        epilog=(
            "Exit codes: 0 fine; 1 tampered (row, missing, truncated, missing_guard); 2 incomplete (coverage_gap); "
            f"3 cannot verify, or called wrongly. At most {_KEEP_FINDINGS} findings are printed."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


async def _verify(settings: AuditSettings) -> int:
    url = settings.database_url.get_secret_value()
    engine = create_engine(url, application="audit verify", command_timeout_seconds=3_600)
    database = Database(engine, service="audit", schema=SCHEMA, clock=BusinessClock())
    try:
        async with database.reading() as tx:
            progress = partial(ProgressLine("records"), "verified")
            report = await verification.verify(tx.connection, keep_findings=_KEEP_FINDINGS, progress=progress)
    except Exception as error:
        print(f"cannot verify: {describe(error)}", file=sys.stderr)  # noqa: T201
        return Verdict.CANNOT_VERIFY
    finally:
        await database.close()
    _show(report)
    return report.verdict


def _show(report: Report) -> None:
    for finding in report.kept:
        print(f"{finding.kind}: {finding.where}: {finding.detail}")  # noqa: T201
    untold = report.found.total() - len(report.kept)
    if untold:
        print(f"... and {untold} more findings")  # noqa: T201
    counted = f"{report.records} records, {report.offsets} offsets accounted for"
    print(f"{_WORDS[report.verdict]}: {counted}")  # noqa: T201
