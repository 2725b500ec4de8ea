"""What staff do on an item's page: claim, block, unblock and complete its task, with JavaScript and without."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.console.browsing import a_window
from tests.console.staging import ARRIVAL, CALL, Stage, the_tasks

pytestmark = pytest.mark.browser
ISLA, MARK = list(the_tasks())[:2]


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
async def test_a_task_is_claimed_blocked_unblocked_and_completed(stage: Stage, browser: Browser, scripts: bool) -> None:
    async with a_window(browser, stage.origin, width=390, scripts=scripts) as window:
        await window.signs_in()
        page, main = window.page, window.page.get_by_role("main")
        await page.get_by_role("link", name="Confirm Isla Morgan trial arrival").click()
        await expect(page.locator(".solid")).to_have_text("Claim")
        await page.get_by_role("button", name="Claim").click()
        await expect(main).to_contain_text("Claimed: the task is yours.")

        await page.locator("#form-block > summary").click()
        await page.get_by_label("Reason").select_option("waiting_for_member")
        await page.get_by_label("In words").fill("Emma calls back at noon")
        await page.get_by_role("button", name="Block for this reason").click()
        await expect(main).to_contain_text("Blocked: Waiting for the member (Emma calls back at noon)")
        await expect(page.locator(".title .chip")).to_have_text("Blocked")

        await page.get_by_role("button", name="Unblock").click()
        await expect(main).to_contain_text("Unblocked: the task can go on.")
        await expect(page.locator(".solid")).to_have_text("Complete with this outcome")
        await page.get_by_label("Outcome").select_option("arrived")
        await page.get_by_label("Note").fill("Waiver signed, Emma stays")
        await page.get_by_role("button", name="Complete with this outcome").click()
        await expect(page.locator(".title .chip")).to_have_text("Ready")
        await expect(main).to_contain_text("Waiver signed, Emma stays")

    assert [path.rpartition("/")[2] for path, _, _ in stage.behind["tasks"].seen] == [
        "claim",
        "block",
        "unblock",
        "complete",
    ]
    assert len({key for _, key, _ in stage.behind["tasks"].seen}) == 4, "each form has a key of its own"
    assert stage.tasks[ISLA]["version"] == 5


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
async def test_who_loses_a_race_sees_who_won_and_how_it_stands(stage: Stage, browser: Browser, scripts: bool) -> None:
    async with a_window(browser, stage.origin, scripts=scripts) as window:
        await window.signs_in("front_desk")
        await window.opens(ARRIVAL)
        stage.tasks[ISLA].update(owner={"id": "coach-sarah", "name": "Coach Sarah"}, state="claimed", version=2)
        await window.page.get_by_role("button", name="Claim").click()
        alert = window.page.get_by_role("alert")
        await expect(alert).to_contain_text("Coach Sarah has this task.")
        await expect(window.page.get_by_role("main")).to_contain_text("Open with Coach Sarah")
        await expect(window.page.get_by_role("button", name="Claim")).to_have_count(0)


async def test_what_was_not_on_the_screen_is_not_overwritten(stage: Stage, browser: Browser) -> None:
    async with a_window(browser, stage.origin) as window:
        await window.signs_in("billing")
        await window.opens(CALL)
        stage.tasks[MARK].update(version=7)
        await window.page.get_by_role("button", name="Unblock").click()
        await expect(window.page.get_by_role("alert")).to_contain_text("It is at version 7 by now")
    assert stage.tasks[MARK]["blocked"] is not None


async def test_an_outcome_that_the_block_forbids_is_not_offered(stage: Stage, browser: Browser) -> None:
    async with a_window(browser, stage.origin) as window:
        await window.signs_in("billing")
        await window.opens(CALL)
        await window.page.locator("#form-complete > summary").click()
        offered = await window.page.locator("#outcome option").all_inner_texts()
    assert "Paid otherwise" in offered
    assert "Try again now" not in offered


async def test_who_may_not_write_is_offered_nothing(stage: Stage, browser: Browser) -> None:
    async with a_window(browser, stage.origin) as window:
        await window.signs_in("security")
        await window.opens("/board/items/payment-rails")
        await expect(window.page.locator("form[action*='/board/']")).to_have_count(0)


async def test_a_task_service_that_is_away_leaves_the_form_s_work_undone_and_says_so(
    stage: Stage, browser: Browser
) -> None:
    async with a_window(browser, stage.origin) as window:
        await window.signs_in()
        await window.opens(ARRIVAL)
        stage.behind["tasks"].away = True
        await window.page.get_by_role("button", name="Claim").click()
        await expect(window.page.get_by_role("alert")).to_contain_text("The task service cannot answer now")
    assert stage.tasks[ISLA]["version"] == 1
