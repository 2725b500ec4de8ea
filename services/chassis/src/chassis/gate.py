"""A gate: many may be inside at once, or nobody while somebody holds it exclusively.

It promises that once `exclusive` has been entered nobody is inside, and nobody enters before it is left; that those
who wait for it go before those who come later to share it, so that no stream of short visits keeps it waiting for
ever; and that whoever is cancelled, waiting or inside, leaves nothing locked. Tested in tests/chassis/test_gate.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """One process' gate around what must be stopped as a whole."""

    def __init__(self) -> None:
        self._moved = asyncio.Condition()
        self._inside = 0
        self._closing = 0
        self._closed = False

    @property
    def inside(self) -> int:
        """How many share it at this moment."""
        return self._inside

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Be inside with others; waits while somebody holds the gate exclusively, or waits to."""
        async with self._moved:
            await self._moved.wait_for(lambda: not self._closed and not self._closing)
            self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            await self._tell()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Hold the gate with nobody inside; waits until everybody has left, and keeps others out meanwhile."""
        self._closing += 1
        try:
            async with self._moved:
                await self._moved.wait_for(lambda: not self._closed and self._inside == 0)
                self._closed = True
        finally:
            self._closing -= 1
            if not self._closed:
                await self._tell()
        try:
            yield
        finally:
            self._closed = False
            await self._tell()

    async def _tell(self) -> None:
        # The counters are moved already: whoever is cancelled in here is only late to say so, so it is said elsewhere.
        await asyncio.shield(asyncio.ensure_future(self._notify()))

    async def _notify(self) -> None:
        async with self._moved:
            self._moved.notify_all()
