"""A service with a part that ends by itself; `python -m tests.chassis.mortal_service returns|raises` serves it."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from chassis import cli
from chassis.service import Service
from chassis.settings import Settings
from chassis.web import Check
from sqlalchemy import MetaData

STOPPED: Final = "the steady part was stopped"


class Steady:
    """Works for as long as it may."""

    name = "steady"

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        await self._stopping.wait()

    async def stop(self) -> None:
        sys.stderr.write(f"{STOPPED}\n")
        self._stopping.set()

    def check(self) -> Check:
        return Check(self.name, ok=True)


class Mortal(Steady):
    """Ends at once: by an error, or as if there were nothing more to do."""

    name = "mortal"

    def __init__(self, how: str) -> None:
        self._how = how

    async def run(self) -> None:
        if self._how == "raises":
            raise RuntimeError("this cannot happen")

    async def stop(self) -> None:
        return


def main(how: str) -> int:
    parts = [lambda _: Steady(), lambda _: Mortal(how)]
    return cli.main(Service("specimen", Settings, metadata=MetaData(), workers=parts), ["serve"])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
