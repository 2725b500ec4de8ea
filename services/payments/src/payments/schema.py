"""The one MetaData of the payments schema; each capability's tables.py adds its tables to it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import MetaData

SCHEMA: Final = "payments"

metadata = MetaData(schema=SCHEMA)
