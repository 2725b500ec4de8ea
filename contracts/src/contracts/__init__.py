"""The law between processes: events, topics and roles. Depends on pydantic alone.

Importing any module of this package registers every event type and asserts that the registry is complete.
"""

from contracts import events, roles

__all__ = ["events", "roles"]
