"""Rate limits: how many are let through, what is said about it, and that nobody is kept out when counting fails."""

from __future__ import annotations

from typing import Any

import pytest
from chassis.settings import SettingsError
from limits.aio.storage import MemoryStorage

from tests.gateway.behind import Gateway, a_gateway, listening, replying
from tests.support.infrastructure import TemporaryDatabase


class AwayStorage(MemoryStorage):
    """A storage that can be away."""

    STORAGE_SCHEME = ["async+away"]  # noqa: RUF012 - the library's own way
    away = True

    async def acquire_sliding_window_entry(self, *given: Any, **named: Any) -> bool:
        if AwayStorage.away:
            raise ConnectionError("away")
        return await super().acquire_sliding_window_entry(*given, **named)


async def reads(gateway: Gateway, times: int, **given: Any) -> list[int]:
    return [(await gateway.call("GET", "/v1/payments", **given)).status_code for _ in range(times)]


async def test_a_caller_is_let_through_so_often_and_told_when_to_come_back(
    no_database: TemporaryDatabase,
) -> None:
    standing = replying()
    async with (
        listening(standing) as url,
        a_gateway(no_database, payments_url=url, rate_limit_read="3/minute") as gateway,
    ):
        first = await gateway.call("GET", "/v1/payments")
        assert first.headers["ratelimit-policy"] == '"read";q=3;w=60'
        assert first.headers["ratelimit"].startswith('"read";r=2;t=')
        assert await reads(gateway, 4) == [200, 200, 429, 429]

        refused = await gateway.call("GET", "/v1/payments")
        assert refused.json()["type"] == "/problems/rate-limited"
        assert refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit"].startswith('"read";r=0;t=')

        assert await reads(gateway, 1, role="billing") == [200], "others have limits of their own"
        write = await gateway.call("PUT", "/v1/members/mark-stevens", json={})
        assert write.status_code == 200, "writes are counted apart"
        assert write.headers["ratelimit-policy"] == '"write";q=1200;w=60'
    assert len(standing.seen) == 5


async def test_callers_without_a_name_are_counted_by_address(no_database: TemporaryDatabase) -> None:
    async with a_gateway(no_database, rate_limit_anonymous="2/minute", trusted_proxies=1) as gateway:
        here, there = {"X-Forwarded-For": "198.51.100.1"}, {"X-Forwarded-For": "198.51.100.2"}
        assert await reads(gateway, 3, role=None, headers=here) == [401, 401, 429]
        assert await reads(gateway, 1, role=None, headers=there) == [401]
        forged = {"Authorization": "Bearer hunter2", **here}
        assert await reads(gateway, 1, role=None, headers=forged) == [429], "guessing counts too"


async def test_the_door_stays_open_while_the_storage_is_away_and_says_so(
    no_database: TemporaryDatabase,
) -> None:
    AwayStorage.away = True
    async with (
        listening(replying()) as url,
        a_gateway(no_database, payments_url=url, rate_limit_storage="away://", rate_limit_read="1/minute") as gateway,
    ):
        assert await reads(gateway, 3) == [200, 200, 200]
        ready = await gateway.http.get("/health/ready")
        (check,) = [each for each in ready.json()["checks"] if each["name"] == "rate limits"]
        assert not check["ok"]
        assert "nothing is limited" in check["detail"]

        AwayStorage.away = False
        limiter = gateway.door.limiter
        limiter._asked_at -= 6
        assert await reads(gateway, 2) == [200, 429]
        assert limiter.check().ok


@pytest.mark.parametrize("storage", ["nowhere://x", "valkey://127.0.0.1:6379"])
async def test_a_storage_that_cannot_be_used_is_one_sentence(storage: str, no_database: TemporaryDatabase) -> None:
    with pytest.raises(SettingsError, match=r"^GATEWAY_RATE_LIMIT_STORAGE cannot be used"):
        async with a_gateway(no_database, rate_limit_storage=storage):
            pass
