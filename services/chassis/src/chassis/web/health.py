"""Health: alive is a process that answers; ready is one whose every check holds.

`/health/ready` asks PostgreSQL itself, within a limit of time, and every part of the process for what it last knew.
It never waits for Kafka: a part that has lost it says so, and the ingress keeps accepting without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import orjson
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.database import Database
from chassis.telemetry import metrics

CHECK_TIMEOUT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """Whether one thing that the process needs is there; `detail` says more in a few words, never a secret."""

    name: str
    ok: bool
    detail: str | None = None


def routes(
    service: str,
    database: Database,
    checks: Callable[[], Sequence[Check]],
    spared: Collection[str] = (),
) -> list[Route]:
    """The endpoints that no token guards: health and metrics. Checks named in `spared` tell, and close no door."""

    async def live(_: Request) -> Response:
        return _json({"service": service, "alive": True}, 200)

    async def ready(_: Request) -> Response:
        found = [await _postgres(database), *checks()]
        ok = all(check.ok or check.name in spared for check in found)
        return _json(
            {"service": service, "ready": ok, "checks": [asdict(check) for check in found]}, 200 if ok else 503
        )

    async def scrape(_: Request) -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", scrape)]


async def _postgres(database: Database) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), database.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except TimeoutError:
        return Check("postgres", ok=False, detail=f"no answer within {CHECK_TIMEOUT_SECONDS:g} s")
    except Exception as error:  # whatever it is, the answer is: not ready
        return Check("postgres", ok=False, detail=f"cannot be reached ({type(error).__name__})")
    return Check("postgres", ok=True, detail="answers")


def _json(content: object, status: int) -> Response:
    headers = {"Cache-Control": "no-store", **({"Retry-After": "1"} if status == 503 else {})}
    return Response(orjson.dumps(content), status, headers, "application/json")
