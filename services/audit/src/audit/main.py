"""Wiring of the audit service."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from chassis import cli
from chassis.clock import BusinessClock
from chassis.database import Database, create_engine
from chassis.service import Service

from audit import handlers, http, jobs, tables, verification
from audit.settings import AuditSettings
from audit.verification import Verdict


def verify(settings: AuditSettings, _: Sequence[str]) -> int:
    """Check that the log holds together: exit 0 fine, 1 tampered, 2 incomplete, 3 cannot verify."""
    return asyncio.run(_verify(settings))


async def _verify(settings: AuditSettings) -> int:
    engine = create_engine(
        settings.database_url.get_secret_value(), application="audit verify", command_timeout_seconds=3_600
    )
    database = Database(engine, service=service.name, schema=service.schema, clock=BusinessClock())
    try:
        async with database.reading() as tx:
            report = await verification.verify(tx.connection)
    except Exception as error:
        print(f"cannot verify: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return Verdict.CANNOT_VERIFY
    finally:
        await database.close()
    for finding in report.findings:
        print(f"{finding.kind}: {finding.where}: {finding.detail}")  # noqa: T201
    print(f"{report.verdict.name.lower()}: {report.records} records, {report.offsets} offsets accounted for")  # noqa: T201
    return report.verdict


service = Service(
    "audit",
    AuditSettings,
    metadata=tables.metadata,
    routers=[http.router],
    consumers=[handlers.consumer],
    workers=[lambda runtime: jobs.Projection(runtime.database)],
    commands={"verify": verify},
)


def run() -> int:
    """The command line of this service."""
    return cli.main(service)
