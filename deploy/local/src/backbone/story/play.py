"""Plays the story, shows it as it goes, and ends well only when everything that it claims was seen."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from contracts.roles import Role
from rich.console import Console

from backbone import identity
from backbone.catalogue import BY_NAME, SIMULATOR
from backbone.faults import LocalError
from backbone.servers import log_of
from backbone.stack import Stack
from backbone.story import ending, script
from backbone.story.chapters import Step
from backbone.story.doors import Door, Doors
from backbone.story.page import Page
from backbone.story.stage import Stage
from backbone.waiting import Progress, wait_for

_VERIFY_LIMIT_SECONDS: Final = 120.0
_GOCARDLESS_VERSION: Final = "2015-07-06"
Before = Callable[[int, Step], None]


def play(
    stack: Stack,
    console: Console,
    progress: Progress,
    *,
    before: Before | None = None,
    after: Callable[[Stage], None] | None = None,
) -> None:
    """Play the story on a stack that is up. Raises LocalError with the first claim that did not hold.

    `before` is called before each step, with its number; `after` when all is shown, while the doors are still open.
    """
    doors = doors_of(stack, progress)
    try:
        stage = _staged(stack, doors, console, progress)
        stood = ending.Before.of(stage)
        for number, step in enumerate(script.steps(), start=1):
            if before is not None:
                before(number, step)
            stage.page.title(f"{number}. {step.title}")
            step.play(stage)
        ending.show(stage, stood)
        if after is not None:
            after(stage)
    finally:
        doors.close()
    _verify(stack, console, progress)


def doors_of(stack: Stack, progress: Progress) -> Doors:
    """The doors of a stack that is up."""
    simulator, credentials = stack.state.simulator, stack.credentials
    if simulator is None:
        raise LocalError("the simulator does not run: run `backbone up`")
    log = log_of(stack.places, SIMULATOR)
    gateway = stack.state.services["gateway"][0]

    def staff(role: Role) -> Door:
        who = identity.staff(role)

        def headers() -> Mapping[str, str]:
            return {"Authorization": f"Bearer {identity.for_gateway(credentials, who, role)}"}

        logged = log_of(stack.places, gateway.instance)
        return Door(f"the gateway ({who.name})", gateway.url, logged, progress, headers, patient=True)

    def simulated(name: str, url: str, **headers: str) -> Door:
        return Door(name, url, log, progress, lambda: headers)

    return Doors(
        control=simulated("the simulator", simulator.url),
        stripe=simulated("Stripe", simulator.stripe, Authorization=f"Bearer {credentials.stripe_api_key}"),
        gocardless=simulated(
            "GoCardless",
            simulator.gocardless,
            **{
                "Authorization": f"Bearer {credentials.gocardless_access_token}",
                "GoCardless-Version": _GOCARDLESS_VERSION,
            },
        ),
        billing=staff("billing"),
        front_desk=staff("front_desk"),
        coach=staff("coach"),
        operations=staff("operations"),
        owner=staff("owner"),
    )


def _staged(stack: Stack, doors: Doors, console: Console, progress: Progress) -> Stage:
    # The page asks the stage for the day, and the stage shows on the page.
    stage = Stage(doors, Page(console, lambda: stage.business_time()), stack.places.clock, progress)
    stage.begin()
    return stage


def _verify(stack: Stack, console: Console, progress: Progress) -> None:
    """Let payments and audit check what they keep, payments derive all of it again, and show what they say."""
    for service, command in (("payments", "verify"), ("payments", "rebuild --check"), ("audit", "verify")):
        _verified(stack, service, command, console, progress)


def _verified(stack: Stack, name: str, command: str, console: Console, progress: Progress) -> None:
    service = BY_NAME[name]
    verb, *rest = command.split()
    # In a session of its own, so that Ctrl-C reaches this process alone.
    with subprocess.Popen(
        [*service.command(verb), *rest],
        env=service.serving(stack.around, f"{name}-{verb}", 0),
        cwd=stack.places.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as verifying:
        try:
            wait_for(
                f"{name} {command}",
                partial(_ended, verifying),
                limit_seconds=_VERIFY_LIMIT_SECONDS,
                progress=progress,
            )
        finally:
            verifying.kill()
        said, _ = verifying.communicate()
    told = " ".join(said.split("\n")).strip()
    if verifying.returncode != 0:
        raise LocalError(f"{name} {command} ends with exit code {verifying.returncode}: {told}")
    console.print(f"python -m {name} {command}: {told}", soft_wrap=True, markup=False)


def _ended(process: subprocess.Popen[str]) -> bool:
    return process.poll() is not None
