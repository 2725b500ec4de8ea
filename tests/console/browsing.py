"""A real browser in front of a real gateway: Chromium as Debian has it, driven by Playwright.

Every page that a test opens is watched: an error in the console, a report of the content security policy or a request
that leaves the gateway fails the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from axe_playwright_python.async_playwright import Axe
from contracts.roles import Role
from gateway.local_issuer import STAFF
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from tests.support.browsers import chromium

Scheme = Literal["light", "dark"]
WIDTHS: Final = (320, 390, 768, 1024, 1440)
HEIGHTS: Final = {320: 640, 390: 844, 768: 1024, 1024: 768, 1440: 900}
# Without these Chromium asks Google's hosts at every start; as root it does not start inside its own sandbox.
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass(slots=True)
class Watched:
    """One browser's window: its page, and what was wrong on it so far."""

    page: Page
    origin: str
    faults: list[str] = field(default_factory=list)

    async def opens(self, path: str, *, status: int = 200) -> None:
        """Load a page of the gateway."""
        answer = await self.page.goto(f"{self.origin}{path}", wait_until="load")
        assert answer is not None
        assert answer.status == status, (path, answer.status)

    async def signs_in(self, role: Role = "owner") -> None:
        """Choose a role at the doorstep, as people do."""
        await self.opens("/sign-in")
        await self.page.get_by_role("button", name=STAFF[role].name, exact=False).first.click()
        await self.page.wait_for_url(f"{self.origin}/")

    async def violations(self) -> list[str]:
        """What axe finds on the page as it stands."""
        found = await Axe().run(self.page, options={"runOnly": AXE_TAGS})
        return [
            f"{each['id']}: {each['help']}: {node['html'][:200]}"
            for each in found.response["violations"]
            for node in each["nodes"]
        ]

    async def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    async def clipped(self) -> list[str]:
        """What is cut off because its box is too narrow; a long name in the header is cut on purpose."""
        found: list[str] = await self.page.evaluate(
            """() => [...document.querySelectorAll(".count, .lane, .chip, .rail a, .tab, button, .button")]
                .filter((each) => each.getClientRects().length && each.scrollWidth > each.clientWidth + 1
                    && getComputedStyle(each).position !== "absolute")
                .map((each) => each.textContent.trim())"""
        )
        return found

    async def shot(self, directory: Path, name: str) -> None:
        """Keep a picture of the whole page, for people to look at."""
        await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
        await self.page.screenshot(path=str(directory / f"{name}.png"), full_page=True)


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """Chromium, from its start to its end. Fails where it is not installed."""
    where = chromium()
    assert where is not None, "Chromium is not installed: apt-get install -y chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=where, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def a_window(
    browser: Browser, origin: str, *, width: int = 1440, scheme: Scheme = "light", scripts: bool = True
) -> AsyncIterator[Watched]:
    """A window of a browser that nobody has used; what is wrong on its pages fails the test at the end."""
    context: BrowserContext = await browser.new_context(
        viewport={"width": width, "height": HEIGHTS[width]},
        color_scheme=scheme,
        java_script_enabled=scripts,
        locale="en-AU",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    watched = Watched(page, origin)

    def heard(message: ConsoleMessage) -> None:
        # A form that is refused is answered with 4xx, which Chromium notes as an error of the network.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            watched.faults.append(f"{message.type}: {message.text}")

    def asked(request: Any) -> None:
        if not request.url.startswith(origin) and not request.url.startswith(("data:", "about:")):
            watched.faults.append(f"a request to {request.url}")

    page.on("console", heard)
    page.on("pageerror", lambda error: watched.faults.append(f"error: {error}"))
    page.on("request", asked)
    try:
        yield watched
    finally:
        await context.close()
    assert watched.faults == []
