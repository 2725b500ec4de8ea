"""Every table of the gateway schema: what waits to be told, and nothing of the business."""

from __future__ import annotations

from typing import Final

from chassis.outbox import outbox_table
from sqlalchemy import MetaData

SCHEMA: Final = "gateway"

metadata = MetaData(schema=SCHEMA)
outbox = outbox_table(metadata)
