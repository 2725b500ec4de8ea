"""The soak of `make soak` on a small scale: chaotic events, a third of them copies, processes killed in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from backbone import topics
from contracts.topics import TOPICS

from tests.soak.running import Plan, soak
from tests.support.infrastructure import TemporaryDatabase

EVENTS = 50_000
KILLS = 6


async def test_fifty_thousand_chaotic_events_under_kills_lose_and_double_nothing(
    database_for: Callable[..., Awaitable[TemporaryDatabase]], kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    named = [replace(topic, name=topic_prefix + topic.name, partitions=2) for topic in TOPICS]
    await asyncio.to_thread(topics.apply, kafka, named)
    plan = Plan(EVENTS, 0.3, seed=1, limit_seconds=3_000, kill_every_events=EVENTS // (KILLS + 1))
    told: list[str] = []

    report = await soak(plan, await database_for("payments"), kafka, topic_prefix, tmp_path, told.append)

    assert report.faults == [], (report, told[-3:])
    assert report.whole
    assert report.kills >= KILLS
    assert (report.found.lost, report.found.stored_twice, report.found.posted_twice) == (0, 0, 0)
    assert report.verified.startswith("fine: ")
    assert report.rebuilt.startswith("identical: ")
