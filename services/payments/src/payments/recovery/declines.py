"""The decline table as it was installed: data with a version, so that a plan can say by which table it was made."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final, get_args

from payments.recovery.domain import Decline, DeclineTable


def load(text: str) -> DeclineTable:
    """Read a table. Raises ValueError for a code that stands twice, or a class that nobody knows."""
    given = json.loads(text)
    version = str(given.pop("version"))
    classes: dict[tuple[str, str], Decline] = {}
    for provider, listed in given.items():
        if set(listed) != set(get_args(Decline)):
            raise ValueError(f"{provider} must have the classes {get_args(Decline)}")
        for decline, codes in listed.items():
            for code in codes:
                if (provider, code) in classes:
                    raise ValueError(f"{provider}'s {code} stands twice")
                classes[provider, code] = decline
    return DeclineTable(version, classes)


TABLE: Final = load((files("payments.recovery") / "declines.json").read_text())
