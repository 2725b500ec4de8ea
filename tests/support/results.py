"""What a test run leaves with the build: the suites that passed whole, for the version that they ran against, signed.

The file is `build/test-results.json`. `BACKBONE_TEST_SIGNING_KEY` names the private key (Ed25519, PEM) of whoever runs
the tests, as CI does; without it the machine makes one of its own beside the file, which its local stack believes and
nobody else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from chassis.clock import real_now
from chassis.version import source_version
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from gateway.board.results import Passed, ResultsRefusedError, signed, verified

BUILD: Final = Path(__file__).resolve().parents[2] / "build"
KEY_VARIABLE: Final = "BACKBONE_TEST_SIGNING_KEY"
SUITES: Final = {
    "contract": ("gateway", ("tests/contracts/", "tests/gateway/test_document.py", "tests/gateway/test_examples.py")),
    "replay": ("payments", ("tests/payments/test_replays.py",)),
}
"""By name: whose version a suite speaks for, and where its tests are."""


@dataclass(slots=True)
class Tally:
    """What has become of the tests of each suite in this run."""

    ran: dict[str, set[str]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def note(self, report: pytest.TestReport) -> None:
        """Count one phase of one test."""
        for suite in suites_of(report.nodeid):
            if report.when == "call" and report.passed:
                self.ran.setdefault(suite, set()).add(report.nodeid)
            if not report.passed:
                self.failed.add(suite)

    def passed(self, collected: Sequence[str]) -> list[str]:
        """The suites of which every test of every file was collected, run and passed."""
        whole = []
        for suite, (_, places) in SUITES.items():
            wanted = {nodeid for nodeid in collected if suite in suites_of(nodeid)}
            every_place = all(any(nodeid.startswith(place) for nodeid in wanted) for place in places)
            if every_place and suite not in self.failed and wanted == self.ran.get(suite):
                whole.append(suite)
        return whole


def suites_of(nodeid: str) -> list[str]:
    """The suites that a test belongs to."""
    return [suite for suite, (_, places) in SUITES.items() if nodeid.startswith(places)]


def leave(suites: Sequence[str], build: Path = BUILD) -> None:
    """Write that these suites have passed, beside what earlier runs found for others; sign all of it."""
    if not suites:
        return
    build.mkdir(parents=True, exist_ok=True)
    key, file = _key(build), build / "test-results.json"
    kept = dict[str, Passed]()
    with contextlib.suppress(FileNotFoundError, ResultsRefusedError):  # nothing yet that we would sign again
        kept = dict(verified(file.read_bytes(), (key.public_key(),)))
    for suite in suites:
        service = SUITES[suite][0]
        kept[suite] = Passed(service=service, version=source_version(service), passed_at=real_now())
    draft = file.with_suffix(".draft")
    draft.write_bytes(signed(kept, key))
    draft.replace(file)


def _key(build: Path) -> Ed25519PrivateKey:
    named = os.environ.get(KEY_VARIABLE)
    path = Path(named) if named else build / "test-signing-key.pem"
    if not named and not path.exists():
        made = Ed25519PrivateKey.generate()
        path.touch(mode=0o600)
        path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is no Ed25519 private key")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (build / "test-signing-key.pub.pem").write_bytes(public)
    return key
