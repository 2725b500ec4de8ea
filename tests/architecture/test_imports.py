"""The import rules of .importlinter hold, and each of them bites."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.trees import ROOT, copy_sources

LINTER = Path(sys.executable).parent / "lint-imports"


def lint(directory: Path, sources: list[Path], *rules: str) -> subprocess.CompletedProcess[str]:
    """Run the linter over a tree; the sources named come before those that are installed."""
    path = os.pathsep.join(str(each) for each in (directory, *sources))
    options = ["--no-cache", "--no-logo", *(option for rule in rules for option in ("--contract", rule))]
    return subprocess.run(
        [LINTER, *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_rules_hold() -> None:
    done = lint(ROOT, [])
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Violation:
    """One line too many: what `file` holds besides what it should, under the member's sources."""

    rule: str
    file: str
    line: str
    seen: str


VIOLATIONS = [
    Violation("services-apart", "services/audit/src/audit/peek.py", "import payments", "audit.peek -> payments"),
    Violation(
        "chassis-below-services", "services/chassis/src/chassis/peek.py", "import audit", "chassis.peek -> audit"
    ),
    Violation(
        "contracts-at-the-bottom", "contracts/src/contracts/peek.py", "import chassis", "contracts.peek -> chassis"
    ),
    Violation(
        "simulator-knows-nobody",
        "deploy/simulator/src/simulator/peek.py",
        "from contracts import topics",
        "simulator.peek -> contracts.topics",
    ),
    Violation(
        "command-starts-processes",
        "deploy/local/src/backbone/peek.py",
        "import payments.settings",
        "backbone.peek -> payments.settings",
    ),
    Violation(
        "roles",
        "services/payments/src/payments/refunds/store.py",
        "from payments.refunds import use_cases",
        "payments.refunds.store -> payments.refunds.use_cases",
    ),
    Violation(
        "roles",
        "services/payments/src/payments/refunds/http.py",
        "from payments.refunds import handlers",
        "payments.refunds.http -> payments.refunds.handlers",
    ),
    Violation(
        "roles",
        "services/payments/src/payments/refunds/domain.py",
        "from payments.refunds import detour",
        "payments.refunds.domain -> payments.refunds.detour -> payments.refunds.store",
    ),
    Violation(
        "pure-domain",
        "services/payments/src/payments/refunds/domain.py",
        "import pydantic",
        "payments.refunds.domain -> pydantic",
    ),
    Violation(
        "pure-domain", "services/audit/src/audit/sealing/domain.py", "import uuid", "audit.sealing.domain -> uuid"
    ),
    Violation(
        "pure-domain",
        "services/payments/src/payments/refunds/domain.py",
        "from payments.refunds import sending",
        "payments.refunds.domain -> payments.refunds.sending -> sqlalchemy",
    ),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A copy of the sources with a capability that breaks no rule by itself."""
    directory = tmp_path_factory.mktemp("tree")
    sources = copy_sources(directory)
    refunds = directory / "services/payments/src/payments/refunds"
    refunds.mkdir()
    for name in ("__init__", "use_cases", "handlers", "store"):
        (refunds / f"{name}.py").touch()
    (refunds / "detour.py").write_text("from payments.refunds import store\n")
    (refunds / "sending.py").write_text("import sqlalchemy\n")
    (directory / "services/audit/src/audit/sealing").mkdir()
    (directory / "services/audit/src/audit/sealing/__init__.py").touch()
    return directory, sources


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda each: f"{each.rule}: {each.line}")
def test_a_violation_is_found(tree: tuple[Path, list[Path]], violation: Violation) -> None:
    directory, sources = tree
    file = directory / violation.file
    before = file.read_text() if file.exists() else None
    file.write_text(f"{violation.line}\n")
    try:
        done = lint(directory, sources, violation.rule)
    finally:
        file.unlink() if before is None else file.write_text(before)

    assert done.returncode == 1, done.stdout + done.stderr
    assert violation.seen in " ".join(done.stdout.split()), done.stdout


def test_every_rule_has_a_violation() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    rules = {name.removeprefix("importlinter:contract:") for name in parser.sections() if ":" in name}
    assert rules == {violation.rule for violation in VIOLATIONS}
