"""The hash chain over journals: what a seal covers, and what is wrong where a seal does not fit.

A seal's hash is SHA-256 over the hash before it and the journal with its entries, in a form of our own: every column
by its name, empty ones left out, so that a column that is added later changes no seal that was made before. Beside the
hash a seal keeps a checksum of each column: these prove nothing, and name what is wrong where the hash says that
something is.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

GENESIS: Final = bytes(32)
"""What comes before the first seal."""
# Further columns are added at the ends: checksums are kept by place.
JOURNAL_COLUMNS: Final = (
    "id", "number", "source", "source_key", "economic_key", "subject", "kind", "words", "effective_at", "effective_on",
    "recorded_at", "reverses", "caused_by", "payment_id", "invoice_id", "member_id", "accounted_on",
)  # fmt: skip
ENTRY_COLUMNS: Final = ("line", "account", "currency", "amount_minor", "phase", "tax_code")
_NOT_SEALED: Final = frozenset({"written_by", "journal_id"})
"""Which transaction wrote a journal is nothing that a restored database could keep; an entry's journal holds it."""
_CHECKSUM_BYTES: Final = 4
Json = Mapping[str, Any]


def link(before: bytes, journal: Json, entries: Sequence[Json]) -> bytes:
    """Return the hash of the seal over this journal that follows the seal with the hash `before`."""
    told = [_told(journal), [_told(entry) for entry in entries]]
    return hashlib.sha256(before + orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).digest()


def _told(row: Json) -> Json:
    return {name: value for name, value in row.items() if value is not None and name not in _NOT_SEALED}


def fingerprints(journal: Json, entries: Sequence[Json]) -> bytes:
    """Return a checksum of each column, of the journal first and then of each of its entries."""
    sizes = bytes((len(JOURNAL_COLUMNS), len(ENTRY_COLUMNS)))
    sums = [_checksum(journal.get(name)) for name in JOURNAL_COLUMNS]
    sums += [_checksum(entry.get(name)) for entry in entries for name in ENTRY_COLUMNS]
    return sizes + b"".join(sums)


def _checksum(value: Any) -> bytes:
    return zlib.crc32(orjson.dumps(value)).to_bytes(_CHECKSUM_BYTES, "big")


def differences(kept: bytes, journal: Json, entries: Sequence[Json]) -> Iterator[str]:
    """Yield in words which columns, and of which entries, are others than those that `kept` was made of."""
    columns, of_entry = kept[0], kept[1]
    sums = [kept[place : place + _CHECKSUM_BYTES] for place in range(2, len(kept), _CHECKSUM_BYTES)]
    yield from _differing("", JOURNAL_COLUMNS[:columns], sums[:columns], journal)
    sealed = [sums[place : place + of_entry] for place in range(columns, len(sums), of_entry)]
    held = {int(entry["line"]): entry for entry in entries}
    for line, entry_sums in enumerate(sealed, 1):
        entry = held.pop(line, None)
        if entry is None:
            yield f"entry {line}: no such entry"
        else:
            yield from _differing(f"entry {line} ", ENTRY_COLUMNS[:of_entry], entry_sums, entry)
    for line in sorted(held):
        yield f"entry {line}: was added later"


def _differing(where: str, names: Sequence[str], sums: Sequence[bytes], row: Json) -> Iterator[str]:
    for name, checksum in zip(names, sums, strict=True):
        if _checksum(row.get(name)) != checksum:
            yield f"{where}column {name}: is {row.get(name)!r}, was sealed as something else"
