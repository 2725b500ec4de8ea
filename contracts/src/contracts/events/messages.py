"""What every service tells about its own messages."""

from __future__ import annotations

from typing import Literal

from contracts.envelope import Integer, Payload
from contracts.registry import event_type
from contracts.topics import OWN_TOPICS


@event_type(
    "message.dead_lettered",
    version=1,
    topic=OWN_TOPICS,
    entity="dead_letter",
    sentence="{body.owner} set a message aside that it could not process{reason: because {}}",
)
class MessageDeadLettered(Payload):
    """A message was set aside with its full bytes. `pointer` says where it came from; the entity's id retries it."""

    owner: str
    consumer: str
    pointer: str
    reason_class: str
    message_type: str | None = None


@event_type(
    "message.retried",
    version=1,
    topic=OWN_TOPICS,
    entity="dead_letter",
    sentence="{actor} tried a message again that {body.owner} had set aside: it is {body.state}{reason: because {}}",
)
class MessageRetried(Payload):
    """Somebody ran a dead letter again: it had its effect (`retried`), or failed again (`open`, with the reason)."""

    owner: str
    consumer: str
    pointer: str
    state: Literal["open", "retried"]
    attempts: Integer


@event_type(
    "outbox_key.released",
    version=1,
    topic=OWN_TOPICS,
    entity="outbox_key",
    sentence="{actor} let the events of {body.key} go on that {body.owner} could not send to {body.topic}",
)
class OutboxKeyReleased(Payload):
    """Somebody released a key that stood aside in the outbox since its event `event_id` could not be sent."""

    owner: str
    topic: str
    key: str
    event_id: str
