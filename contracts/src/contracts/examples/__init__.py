"""One example of every event type, as its owner would send it: the golden files keep their bytes and sentences."""

from __future__ import annotations

from typing import Final

from contracts.envelope import Event, Payload
from contracts.examples import audit, gateway, messages, payments, provider_health, tasks
from contracts.registry import EventType

EXAMPLES: Final[tuple[Event[Payload], ...]] = (
    *payments.EXAMPLES,
    *tasks.EXAMPLES,
    *provider_health.EXAMPLES,
    *gateway.EXAMPLES,
    *audit.EXAMPLES,
    *messages.EXAMPLES,
)


def example_of(declared: EventType) -> Event[Payload]:
    """The example of one event type. Raises LookupError when it has none."""
    for example in EXAMPLES:
        if example.dataschema == declared.dataschema:
            return example
    raise LookupError(f"{declared.name}/{declared.version} has no example in contracts/src/contracts/examples/")
