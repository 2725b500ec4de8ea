"""Ledger: journals posted a second through one hot clearing account, with every guard, and checked afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.bench.figures import Name, Round, Verdict
from tests.bench.lab import Lab, connected
from tests.bench.processes import REPOSITORY
from tests.bench.subjects import Place

WARM_UP_SECONDS = 1.0
LIMIT_SECONDS = 120.0
SCHEMA = Path(__file__).parent / "floor" / "ledger.sql"
MODULES: dict[Name, str] = {
    "ours": "tests.bench.posting",
    "floor": "tests.bench.floor.ledger",
    "first_draft": "tests.bench.first_draft.ledger",
}
WRONG = """
SELECT (SELECT count(*) FROM {0}.journals) AS journals,
       (SELECT count(*) FROM (SELECT FROM {0}.ledger_entries GROUP BY journal_id HAVING sum(amount_minor) <> 0) AS j)
     + (SELECT count(*) FROM {0}.balances AS b FULL JOIN
            (SELECT account, sum(amount_minor) AS amount_minor FROM {0}.ledger_entries GROUP BY account) AS e
            USING (account) WHERE b.amount_minor IS DISTINCT FROM e.amount_minor) AS wrong
"""


class Ledger:
    """Posting by one subject for one round."""

    def __init__(self, lab: Lab, name: Name) -> None:
        self._lab = lab
        self._name = name
        self._spans = {"SECONDS": str(lab.seconds), "WARM_UP_SECONDS": str(WARM_UP_SECONDS)}

    async def prepare(self) -> None:
        self._place = await Place.of(self._lab, self._name, "payments")
        if self._name != "ours":
            async with connected(self._place.database.admin_url) as connection:
                await connection.execute(SCHEMA.read_text())

    async def run(self) -> Round:
        await self._lab.settle()
        before = self._lab.postgres_cpu()
        self._told = await self._posted()
        used = self._lab.postgres_cpu() - before
        posted = max(1, self._told["posted"])
        cpu_ms = self._told["cpu_seconds"] / posted * 1e3
        return Round(self._told["rate"], None, None, cpu_ms, used / posted * 1e3)

    async def verify(self) -> Verdict:
        async with connected(self._place.database.admin_url) as connection:
            row = await connection.fetchrow(WRONG.format(self._place.schema))
        return Verdict(lost=self._told["posted"] - row["journals"], doubled=row["wrong"])

    async def clean_up(self) -> None:
        await self._lab.databases.drop(self._place.database)

    async def _posted(self) -> dict[str, Any]:
        """Run the subject's process to its end; returns what it says."""
        log = self._lab.log(f"ledger-{self._name}-{self._place.run}")
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", MODULES[self._name], cwd=REPOSITORY, env=self._environment(),
                stdout=asyncio.subprocess.PIPE, stderr=output,
            )  # fmt: skip
            said, _ = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS + self._lab.seconds)
        if process.returncode != 0:
            raise RuntimeError(f"{MODULES[self._name]} ended with {process.returncode}; see {log}")
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
        return answer

    def _environment(self) -> dict[str, str]:
        spans = dict(self._spans)
        if self._name == "ours":
            told = {
                "database_url": self._place.database.url_for("payments"),
                "kafka_bootstrap_servers": self._lab.kafka,
                "topic_prefix": self._place.prefix,
                "log_level": "warning",
            }
            spans |= {f"PAYMENTS_{name.upper()}": value for name, value in told.items()}
        else:
            spans["DATABASE_URL"] = self._place.database.admin_url
        return {**os.environ, **spans}
