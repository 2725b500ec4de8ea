"""What the demo says to try next works as it stands; and a story that does not come true ends badly."""

from __future__ import annotations

import sys
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


def test_every_command_that_is_offered_works(reader: Reader, first: str) -> None:
    *commands, last = offered(first)
    assert len(commands) == 8
    for command in commands[:-1]:
        assert fetched(reader, command).keys() & {"items", "lanes", "ledger", "member"}, command
    assert "fine" in reader.types(commands[-1])
    assert last.endswith("down")
    reader.types(last)
