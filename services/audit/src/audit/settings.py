"""What the audit service can be told."""

from __future__ import annotations

from chassis.settings import Settings
from pydantic import Field


class AuditSettings(Settings):
    """How often the log is verified, beside what every service has."""

    verify_every_seconds: float = Field(600.0, gt=0, description="How often the whole log is verified")
