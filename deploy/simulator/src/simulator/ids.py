"""Identifiers in the providers' own forms, the same again for the same seed."""

from __future__ import annotations

import hashlib
import string
from collections import Counter
from typing import Final

_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BASE36: Final = string.digits + string.ascii_uppercase
_SHORT_STRIPE_PREFIXES: Final = frozenset({"cus", "req", "prod", "sub"})


class Ids:
    """Counts each prefix apart, so that one kind of object does not shift the ids of another."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()

    def stripe(self, prefix: str) -> str:
        """Return the next id such as `pi_3QcT...`."""
        length = 14 if prefix in _SHORT_STRIPE_PREFIXES else 24
        return f"{prefix}_{self._next(prefix, _BASE62, length)}"

    def gocardless(self, prefix: str) -> str:
        """Return the next id such as `PM00F3A9KZ21QX`."""
        return f"{prefix}{self._next(prefix, _BASE36, 12)}"

    def secret(self, prefix: str) -> str:
        """Return the next random-looking part of a client secret."""
        return self._next(f"secret:{prefix}", _BASE62, 25)

    def _next(self, prefix: str, alphabet: str, length: int) -> str:
        self._counts[prefix] += 1
        digest = hashlib.sha256(f"{self._seed}:{prefix}:{self._counts[prefix]}".encode()).digest()
        number = int.from_bytes(digest)
        letters = []
        for _ in range(length):
            number, index = divmod(number, len(alphabet))
            letters.append(alphabet[index])
        return "".join(letters)
