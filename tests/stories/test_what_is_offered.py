"""What the demo and the README say to try works as it stands; and a story that does not come true ends badly."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.stories.conftest import Reader


def offered(told: str) -> list[str]:
    """The commands that the demo says to try next."""
    lines = [line.strip() for line in told.partition("What to try next:")[2].splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def fetched(reader: Reader, command: str) -> dict[str, Any]:
    """What a command with curl fetches; the shell reads it, and this test stands in for curl, which may be absent."""
    program, *words = reader.types(command.replace("curl ", "printf '%s\\n' curl ", 1)).splitlines()
    assert program == "curl"
    url = words.pop()
    headers = dict([words[1].split(": ", 1)]) if words[0] == "-sH" else {}
    document: dict[str, Any] = httpx.get(url, headers=headers, timeout=60, trust_env=False).raise_for_status().json()
    return document


def test_a_story_that_does_not_come_true_ends_badly(reader: Reader, first: str) -> None:
    told = reader.tries(f"{sys.executable} -m backbone demo", PAYMENTS_STRIPE_WEBHOOK_SECRETS="whsec_of_somebody_else")
    assert told.returncode == 1
    assert "invoice.created should have been accepted; payments answered 400, 400, 400" in told.stderr
    assert "What to try next" not in told.stdout


def test_the_readme_s_commands_hold_the_story_to_account(reader: Reader, first: str) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    _, _, section = text.partition("## Holding it to account\n")
    commands = [line.partition("#")[0].strip() for line in section.split("```")[1].strip().splitlines()]
    assert len(commands) == 4
    sealed = ""
    for command in commands:
        command = command.replace(".venv/bin/backbone", f"{sys.executable} -m backbone").replace("48:HASH", sealed)
        said = reader.types(command)
        assert re.match("fine: |identical: ", said), command
        sealed = said.rpartition("sealed up to ")[2].strip()


def test_every_command_that_is_offered_works(reader: Reader, first: str) -> None:
    *commands, last = offered(first)
    assert len(commands) == 8
    for command in commands[:-1]:
        assert fetched(reader, command).keys() & {"items", "lanes", "ledger", "member"}, command
    assert "fine" in reader.types(commands[-1])
    assert last.endswith("down")
    reader.types(last)
