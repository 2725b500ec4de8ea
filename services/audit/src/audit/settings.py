"""What the audit service can be told."""

from __future__ import annotations

from chassis.settings import Settings


class AuditSettings(Settings):
    """The audit service has no settings of its own yet."""
