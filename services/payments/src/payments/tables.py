"""Every table of the payments schema: importing this module completes its MetaData."""

from __future__ import annotations

from chassis.dead_letters import dead_letters_table
from chassis.idempotency import idempotency_table
from chassis.inbox import inbox_table
from chassis.outbox import outbox_table
from chassis.positions import positions_table
from chassis.verifications import verifications_table

from payments.books import tables as books
from payments.collection import tables as collection
from payments.deliveries import tables as deliveries
from payments.explaining import tables as explaining
from payments.holds import tables as holds
from payments.ledger import tables as ledger
from payments.matching import tables as matching
from payments.members import tables as members
from payments.numbering import tables as numbering
from payments.parking import tables as parking
from payments.recovery import tables as recovery
from payments.refunding import tables as refunding
from payments.replays import tables as replays
from payments.schema import metadata
from payments.settlement import tables as settlement

outbox = outbox_table(metadata)
inbox = inbox_table(metadata)
positions = positions_table(metadata)
dead_letters = dead_letters_table(metadata)
idempotency_keys = idempotency_table(metadata)
verifications = verifications_table(metadata)

__all__ = [
    "books",
    "collection",
    "dead_letters",
    "deliveries",
    "explaining",
    "holds",
    "idempotency_keys",
    "inbox",
    "ledger",
    "matching",
    "members",
    "metadata",
    "numbering",
    "outbox",
    "parking",
    "positions",
    "recovery",
    "refunding",
    "replays",
    "settlement",
    "verifications",
]
