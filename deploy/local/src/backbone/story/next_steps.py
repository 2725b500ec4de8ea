"""What to try next: where to look in the browser, and commands that work as they stand on the stack that is left up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console

from backbone.state import State
from backbone.story.chapters.people import MEMBER_ID


def show(console: Console, state: State) -> None:
    """Print where to look, and the commands, each on one line so that it can be copied whole."""
    backbone = _command()
    gateway = console_url(state)
    simulator = state.simulator.url if state.simulator else ""
    billing = f'curl -sH "Authorization: Bearer $({backbone} token --role billing)"'
    operations = f'curl -sH "Authorization: Bearer $({backbone} token --role operations)"'
    steps = [
        ("the readiness board", f"{billing} {gateway}/v1/board"),
        ("Mark's ledger, holds, tasks and timeline", f"{billing} {gateway}/v1/members/{MEMBER_ID}"),
        ("the tasks of Billing", f"{billing} '{gateway}/v1/tasks?queue=Billing'"),
        ("the incidents", f"{operations} {gateway}/v1/incidents"),
        ("what was delivered and not believed", f"{billing} '{gateway}/v1/deliveries?state=rejected'"),
        ("the newest audit records", f"{billing} '{gateway}/v1/audit/records?limit=5'"),
        ("what the providers sent, and each answer", f"curl -s '{simulator}/deliveries?limit=5'"),
        ("check the audit log again", f"{backbone} run audit verify"),
        ("stop everything; the data stay", f"{backbone} down"),
    ]
    console.print(f"\nThe stack is left up. Look at it in the browser: {gateway}/", style="bold", soft_wrap=True)
    console.print("Sign in by choosing a role: the owner sees everything.", soft_wrap=True)
    console.print("\nWhat to try next:", style="bold")
    for what, command in steps:
        console.print(f"\n  # {what}", style="dim", soft_wrap=True, markup=False)
        console.print(f"  {command}", soft_wrap=True, markup=False)


def console_url(state: State) -> str:
    """Where the staff console is."""
    return state.services["gateway"][0].url


def _command() -> str:
    """The backbone command as it can be called from here."""
    beside = Path(sys.executable).parent / "backbone"
    here = Path.cwd()
    shown = beside.relative_to(here) if beside.is_relative_to(here) else beside
    home = os.environ.get("BACKBONE_HOME")
    return f"BACKBONE_HOME={home} {shown}" if home else str(shown)
