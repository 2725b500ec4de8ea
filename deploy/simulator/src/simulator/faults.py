"""The fault dial: what goes wrong on the way, by rates or once, the same again for the same seed."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1, description="Share of deliveries")]
Tampering = Literal["altered_byte", "other_secret"]
Order = Literal["reverse", "random"]
_ONCE_WAITS_SECONDS: Final = 60.0


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Duplicate(_Part):
    rate: Rate = 0
    times: int = Field(1, ge=1, le=100, description="Copies beside the original")


class Delay(_Part):
    rate: Rate = 0
    seconds: float = Field(1, ge=0, le=3600)


class Reorder(_Part):
    mode: Literal["none", "reverse", "random"] = "none"
    window: int = Field(2, ge=2, le=1000, description="Deliveries that are gathered and then sent in another order")
    seconds: float = Field(0.5, gt=0, le=60, description="How long an incomplete window waits")


class Outage(_Part):
    api: bool = Field(False, description="The provider's API is out")
    how: Literal["refuse", "hang", "lose"] = Field(
        "refuse",
        description="refuse: answers 503; hang: does nothing and does not answer; lose: does it and does not answer",
    )
    webhooks: bool = Field(False, description="The provider sends nothing until this ends")


class Dial(_Part):
    """What goes wrong at one provider until it is set otherwise."""

    duplicate: Duplicate = Duplicate()
    delay: Delay = Delay()
    drop: Rate = 0
    altered_byte: Rate = 0
    other_secret: Rate = 0
    reorder: Reorder = Reorder()
    outage: Outage = Outage()


class Once(_Part):
    """What goes wrong with the next delivery (with the next `window` deliveries for `reorder`)."""

    fault: Literal["duplicate", "delay", "drop", "altered_byte", "other_secret", "reorder"]
    times: int = Field(1, ge=1, le=100, description="For duplicate: copies beside the original")
    seconds: float = Field(1, ge=0, le=3600, description="For delay")
    window: int = Field(2, ge=2, le=1000, description="For reorder")
    mode: Order = "reverse"


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong with one delivery."""

    copies: int = 0
    delay_seconds: float = 0
    dropped: bool = False
    tampering: Tampering | None = None


class Faults:
    """The dial of one provider, with what is set for once."""

    def __init__(self, seed: str) -> None:
        self.dial = Dial()
        self.once: deque[Once] = deque()
        self._turned = asyncio.Event()
        self.restart(seed)

    def restart(self, seed: str) -> None:
        """Make nothing go wrong, and draw anew from `seed`.

        Plans, orders and bytes are drawn apart: when a delivery is sent must not change what befalls the next.
        """
        self._plans, self._orders, self._bytes = (
            random.Random(f"{seed}:{purpose}")  # noqa: S311 (repeatable on purpose)
            for purpose in ("plans", "orders", "bytes")
        )
        self.turn(Dial())

    def turn(self, dial: Dial) -> None:
        """Set the dial; what was set for once is over."""
        self.dial = dial
        self.once.clear()
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    async def api_back(self) -> None:
        """Return when the API is not out, or is out in another way."""
        how = self.dial.outage.how
        while self.dial.outage.api and self.dial.outage.how == how:
            await self._turned.wait()

    def plan(self) -> Plan:
        """Return what happens to the next delivery. Takes the same number of draws each time."""
        draws = [self._plans.random() for _ in range(5)]
        if self.once and self.once[0].fault != "reorder":
            return _planned(self.once.popleft())
        dial = self.dial
        tampering: Tampering | None = None
        if draws[3] < dial.altered_byte:
            tampering = "altered_byte"
        elif draws[4] < dial.other_secret:
            tampering = "other_secret"
        return Plan(
            copies=dial.duplicate.times if draws[0] < dial.duplicate.rate else 0,
            delay_seconds=dial.delay.seconds if draws[1] < dial.delay.rate else 0,
            dropped=draws[2] < dial.drop,
            tampering=tampering,
        )

    def reordering(self) -> tuple[Order, int, float] | None:
        """Return the order, the size and the longest wait of the window that applies now."""
        if self.once and self.once[0].fault == "reorder":
            return self.once[0].mode, self.once[0].window, _ONCE_WAITS_SECONDS
        reorder = self.dial.reorder
        return None if reorder.mode == "none" else (reorder.mode, reorder.window, reorder.seconds)

    def window_closed(self) -> None:
        """Note that a window has been sent, so that one that was meant once is over."""
        if self.once and self.once[0].fault == "reorder":
            self.once.popleft()

    def shuffle(self, things: list[int]) -> None:
        """Put `things` into another order, in place."""
        self._orders.shuffle(things)

    def altered(self, body: bytes) -> bytes:
        """Return `body` with one digit changed, as somebody would who wants another amount."""
        places = [place for place, byte in enumerate(body) if 0x30 <= byte <= 0x39] or list(range(len(body)))
        place = self._bytes.choice(places)
        return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


def _planned(once: Once) -> Plan:
    match once.fault:
        case "duplicate":
            return Plan(copies=once.times)
        case "delay":
            return Plan(delay_seconds=once.seconds)
        case "drop":
            return Plan(dropped=True)
        case "altered_byte":
            return Plan(tampering="altered_byte")
        case "other_secret":
            return Plan(tampering="other_secret")
        case "reorder":
            raise ValueError("a window is planned by reordering()")
