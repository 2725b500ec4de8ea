"""What to try next: commands that work as they stand, on the stack that the story has left up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console

from backbone.state import State
from backbone.story.plot import MEMBER_ID


def show(console: Console, state: State) -> None:
    """Print the commands, each on one line so that it can be copied whole."""
    backbone = _command()
    payments, audit = state.services["payments"][0].url, state.services["audit"][0].url
    simulator = state.simulator.url if state.simulator else ""
    billing = f'curl -sH "Authorization: Bearer $({backbone} token --role billing --for payments)"'
    auditing = f'curl -sH "Authorization: Bearer $({backbone} token --role billing --for audit)"'
    steps = [
        ("Mark's ledger", f"{billing} {payments}/members/{MEMBER_ID}/ledger"),
        ("what was delivered and not believed", f"{billing} '{payments}/deliveries?state=rejected'"),
        ("the newest audit records", f"{auditing} '{audit}/records?limit=5'"),
        ("how every Kafka offset is accounted for", f"{auditing} {audit}/coverage"),
        ("what the providers sent, and each answer", f"curl -s '{simulator}/deliveries?limit=5'"),
        ("check the audit log again", f"{backbone} run audit verify"),
        ("stop everything; the data stay", f"{backbone} down"),
    ]
    console.print("\nThe stack is left up. What to try next:", style="bold")
    for what, command in steps:
        console.print(f"\n  # {what}", style="dim", soft_wrap=True, markup=False)
        console.print(f"  {command}", soft_wrap=True, markup=False)


def _command() -> str:
    """The backbone command as it can be called from here."""
    beside = Path(sys.executable).parent / "backbone"
    here = Path.cwd()
    shown = beside.relative_to(here) if beside.is_relative_to(here) else beside
    home = os.environ.get("BACKBONE_HOME")
    return f"BACKBONE_HOME={home} {shown}" if home else str(shown)
