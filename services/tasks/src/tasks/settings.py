"""What the tasks service can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from chassis.settings import Settings, TimeZone
from contracts.tasks import QUEUES
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Owner(BaseModel):
    """Somebody on the rota."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=200)
    name: str = Field(min_length=1, max_length=200)


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value or "{}")
    except orjson.JSONDecodeError:
        raise ValueError('must be JSON: {"Billing": {"id": "maria-rossi", "name": "Maria Rossi"}}') from None


def _queues(value: Mapping[str, Owner]) -> Mapping[str, Owner]:
    for name in value:
        if name not in QUEUES:
            raise ValueError(f"names {name!r}, which is no queue; these are: {', '.join(QUEUES)}")
    return value


class TasksSettings(Settings):
    """What the tasks service can be told beyond what every service has."""

    business_timezone: TimeZone = Field(
        "Australia/Sydney", description="Time zone of business days: a task due on a date is due by that day's end"
    )
    queue_owners: Annotated[dict[str, Owner], BeforeValidator(_json), AfterValidator(_queues)] = Field(
        {},
        description="The rota, as JSON: who owns what arrives by message for a queue, as {queue: {id, name}}",
    )
    reopen_window_days: int = Field(30, ge=1, le=3_650, description="How long after its end a task can be reopened")
