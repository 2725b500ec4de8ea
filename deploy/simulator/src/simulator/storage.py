"""The snapshot of a simulator, so that one that was stopped goes on where it was."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from simulator.delivery import Delivery
from simulator.gocardless.objects import Book as GoCardlessBook
from simulator.stripe.book import Book as StripeBook


@dataclass(slots=True)
class Snapshot:
    """`generation` counts the starts on this file."""

    generation: int = 0
    stripe: StripeBook = field(default_factory=StripeBook)
    gocardless: GoCardlessBook = field(default_factory=GoCardlessBook)
    deliveries: list[Delivery] = field(default_factory=list)


_SNAPSHOTS: Final = TypeAdapter(Snapshot)


def load(file: Path | None) -> Snapshot:
    """Return what `file` holds, or an empty snapshot where there is none. Raises ValueError for anything else."""
    if file is None or not file.exists():
        return Snapshot()
    try:
        return _SNAPSHOTS.validate_json(file.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{file} is no snapshot of this simulator: {error.error_count()} errors") from None


def save(file: Path, snapshot: Snapshot) -> None:
    """Replace `file` at once, so that a kill leaves the old snapshot or the new one. Readable by its owner only."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(_SNAPSHOTS.dump_json(snapshot))
    draft.replace(file)
