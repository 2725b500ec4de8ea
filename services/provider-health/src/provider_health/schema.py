"""The schema of the provider-health service: its name, and the MetaData that its tables bind to."""

from __future__ import annotations

from typing import Final

from sqlalchemy import MetaData

SCHEMA: Final = "provider_health"
metadata = MetaData(schema=SCHEMA)
