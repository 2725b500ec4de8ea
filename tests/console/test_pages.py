"""The console in a real browser: every page at every width, light and dark, with axe looking on."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway.console.navigation import ENTRIES_MAX, GROUPS
from playwright.async_api import Browser, expect

from tests.console.browsing import HEIGHTS, WIDTHS, Scheme, a_window
from tests.console.staging import ARRIVAL, CALL, Stage
from tests.support.eventually import eventually

pytestmark = pytest.mark.browser
WEBHOOKS = "/board/items/payment-webhooks"
HOSTILE = (
    "<script>alert(1)</script><img src=/nothing onerror=alert(1)>\"'><iframe src=/v1/board></iframe>{{7*7}}"
    "\u202esnevetS\u202c\x00\x1b[2J " + "x" * 500
)
SHOWN = {
    "sign-in": "/sign-in",
    "home": "/",
    "blocked": "/?lane=platform&state=blocked",
    "webhooks": WEBHOOKS,
    "arrival": ARRIVAL,
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_fits_every_width_and_axe_finds_nothing(
    stage: Stage, browser: Browser, shots: Path, scheme: Scheme
) -> None:
    async with a_window(browser, stage.origin, scheme=scheme) as window:
        for name, path in SHOWN.items():
            if name == "home":
                await window.signs_in()
            await window.opens(path)
            for width in WIDTHS:
                await window.page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
                assert await window.overflow() <= 0, (name, width)
                assert await window.clipped() == [], (name, width)
                if width in {390, 1440}:
                    assert await window.violations() == [], (name, width)
                    await window.shot(shots, f"{name}-{width}-{scheme}")


async def test_the_home_page_counts_the_items_and_shows_lanes_and_queue(stage: Stage, browser: Browser) -> None:
    async with a_window(browser, stage.origin) as window:
        await window.signs_in()
        page = window.page
        await expect(page.get_by_role("heading", level=1)).to_have_text("Workflow Backbone")
        figures = [int(text) for text in await page.locator(".count .figure").all_inner_texts()]
        assert sum(figures) == 10
        assert await page.locator(".count .label").all_inner_texts() == ["Ready", "Watch", "Blocked"]
        assert [text.strip() for text in await page.locator(".lane-name").all_inner_texts()] == [
            "Money",
            "Platform",
            "Tasks",
            "Audit",
        ]
        states = [text.strip() for text in await page.locator(".row .chip").all_inner_texts()]
        assert states == sorted(states, key=["Blocked", "Watch", "Ready"].index), "the worst first, in words"
        assert len(states) == 10

        await page.locator("#lane-tasks").click()
        await expect(page.locator(".row")).to_have_count(4)
        await page.locator("#count-blocked").click()
        await expect(page.locator(".row")).to_have_count(2)
        assert page.url.endswith("/?lane=tasks&state=blocked"), "a filter is an address"


async def test_an_item_says_why_and_shows_what_stands_behind_it(stage: Stage, browser: Browser) -> None:
    async with a_window(browser, stage.origin) as window:
        await window.signs_in()
        await window.page.get_by_role("link", name="Payment webhooks").click()
        main = window.page.get_by_role("main")
        await expect(main).to_contain_text("Deliveries refused in the last hour")
        for words in ("24 deliveries", "At most 19 deliveries", "GET /payments", "no signature matches", "payments-2"):
            await expect(main).to_contain_text(words, ignore_case=True)


async def test_navigation_has_five_groups_and_only_what_exists(stage: Stage, browser: Browser) -> None:
    assert [group.label for group in GROUPS] == ["Backbone", "Money", "Platform", "Tasks", "Audit"]
    assert all(1 <= len(group.entries) <= ENTRIES_MAX for group in GROUPS)
    async with a_window(browser, stage.origin) as window:
        await window.signs_in()
        for group in GROUPS:
            for entry in group.entries:
                await window.opens(entry.href)
                here = window.page.get_by_role("navigation").locator("[aria-current=page]")
                await expect(here).to_have_count(1)
                await expect(here).to_contain_text(entry.label)


async def test_live_updates_show_what_has_changed_keep_the_focus_and_can_be_paused(
    stage: Stage, browser: Browser
) -> None:
    async with a_window(browser, stage.origin) as window:
        await window.page.clock.install()
        await window.signs_in()
        row = window.page.locator("#item-clarify-pickup-authority-for-alessandro")
        await row.focus()
        why = window.page.locator(".row", has=row).locator(".cell-why")

        async def after_an_update() -> str:
            await window.page.clock.fast_forward(15_000)
            return await why.inner_text()

        await eventually(after_an_update, lambda text: text == "Overdue")
        for task in stage.tasks.values():
            task["due_state"] = "upcoming"
        await eventually(after_an_update, lambda text: text == "Open in Front desk, nobody has claimed it")
        await expect(row).to_be_focused()

        pause = window.page.get_by_role("button", name="Pause updates")
        await pause.click()
        await expect(window.page.get_by_role("button", name="Resume updates")).to_have_attribute("aria-pressed", "true")
        asked = len(stage.behind["tasks"].asked)
        await window.page.clock.fast_forward(60_000)
        await expect(window.page.get_by_role("button", name="Resume updates")).to_be_visible()
        assert len(stage.behind["tasks"].asked) == asked


async def test_the_queue_can_be_walked_by_keys_once_the_focus_is_in_it(stage: Stage, browser: Browser) -> None:
    async with a_window(browser, stage.origin) as window:
        await window.signs_in()
        rows = window.page.locator("a.open")
        await window.page.keyboard.press("j")
        await expect(rows.nth(0)).not_to_be_focused()
        first = await rows.nth(0).get_attribute("href")
        await rows.nth(0).focus()
        await window.page.keyboard.press("j")
        await expect(rows.nth(1)).to_be_focused()
        await window.page.keyboard.press("k")
        await expect(rows.nth(0)).to_be_focused()
        await window.page.keyboard.press("Enter")
        await expect(window.page).to_have_url(f"{stage.origin}{first}")


async def test_who_may_not_read_evidence_sees_the_tasks_alone(stage: Stage, browser: Browser) -> None:
    async with a_window(browser, stage.origin) as window:
        await window.signs_in("coach")
        await expect(window.page.locator(".row")).to_have_count(4)
        await window.opens("/board/items/payment-rails", status=404)
        await expect(window.page.get_by_role("heading", level=1)).to_have_text("There is no such thing")
        assert await window.violations() == []


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
async def test_hostile_text_in_every_field_of_a_task_is_text_on_the_page(
    stage: Stage, browser: Browser, scripts: bool
) -> None:
    for task in stage.tasks.values():
        task.update(
            note=HOSTILE,
            owner={"id": "x", "name": HOSTILE},
            blocked={"code": "other", "words": HOSTILE, "text": HOSTILE, "forbids": []},
            outcome={"code": HOSTILE, "words": HOSTILE, "note": HOSTILE},
        )
    for delivery in stage.behind["payments"].deliveries:
        delivery.update(provider=HOSTILE, state=HOSTILE, refusal=HOSTILE, received_at=HOSTILE)
    async with a_window(browser, stage.origin, width=320, scripts=scripts) as window:
        await window.signs_in()
        for path in ("/", ARRIVAL, CALL, WEBHOOKS):
            await window.opens(path)
            await expect(window.page.get_by_role("main")).to_contain_text("<img src=/nothing onerror=alert(1)>")
            assert await window.page.locator("img, script:not([src]), iframe").count() == 0
            if scripts:
                assert await window.overflow() <= 0, path


async def test_a_service_that_is_away_is_named_on_the_page(stage: Stage, browser: Browser) -> None:
    stage.behind["payments"].away = True
    async with a_window(browser, stage.origin, width=390) as window:
        await window.signs_in()
        told = "Evidence of payments: payments cannot answer now"
        await expect(window.page.get_by_role("note")).to_contain_text(told)
        await window.opens(CALL)
        await expect(window.page.get_by_role("heading", level=1)).to_contain_text("Call Mark Stevens")
