"""Results of test runs, as they are left with a build: which suite passed for which version, signed.

A run signs what it found with a key of whoever ran it: CI's own, or one that the machine made for itself
(tests/support/results.py). The gateway believes the keys that it is told of and nothing else: a file that is missing,
altered or of a stranger says nothing, and what nobody says is missing evidence.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AwareDatetime, BaseModel, ValidationError

FILE_MAX_BYTES: Final = 65_536


class Passed(BaseModel):
    """One suite that passed: of which service, for which version of its source, and when."""

    service: str
    version: str
    passed_at: AwareDatetime


class _File(BaseModel):
    suites: dict[str, Passed]
    signature: str


class ResultsRefusedError(ValueError):
    """The file is no list of results that a known key has signed."""


@dataclass(frozen=True, slots=True)
class Results:
    """Where results lie and whose signature counts; no file or no key: nobody says anything."""

    file: Path | None
    keys: tuple[Ed25519PublicKey, ...]

    def read(self) -> Mapping[str, Passed]:
        """The suites that passed, by name; none where there is no file. Raises ResultsRefusedError."""
        if self.file is None or not self.keys or not self.file.is_file():
            return {}
        if self.file.stat().st_size > FILE_MAX_BYTES:
            raise ResultsRefusedError(f"the results have more than {FILE_MAX_BYTES} bytes")
        return verified(self.file.read_bytes(), self.keys)


def signed(suites: Mapping[str, Passed], key: Ed25519PrivateKey) -> bytes:
    """The file that says so."""
    signature = base64.b64encode(key.sign(_message(suites))).decode()
    held = {name: each.model_dump(mode="json") for name, each in suites.items()}
    return orjson.dumps({"suites": held, "signature": signature}, option=orjson.OPT_INDENT_2)


def verified(content: bytes, keys: tuple[Ed25519PublicKey, ...]) -> Mapping[str, Passed]:
    """The suites of a file that one of `keys` has signed. Raises ResultsRefusedError."""
    try:
        file = _File.model_validate_json(content)
        signature = base64.b64decode(file.signature, validate=True)
    except (ValidationError, ValueError):
        raise ResultsRefusedError("the results cannot be read") from None
    for key in keys:
        try:
            key.verify(signature, _message(file.suites))
        except InvalidSignature:
            continue
        return file.suites
    raise ResultsRefusedError("the results are signed by no key that is known here")


def _message(suites: Mapping[str, Passed]) -> bytes:
    held = {name: _line(each) for name, each in suites.items()}
    return b"backbone test results\0" + orjson.dumps(held, option=orjson.OPT_SORT_KEYS)


def _line(passed: Passed) -> list[str]:
    return [passed.service, passed.version, _instant(passed.passed_at)]


def _instant(at: datetime) -> str:
    return f"{at.timestamp():.3f}"
