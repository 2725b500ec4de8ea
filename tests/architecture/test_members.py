"""A service needs its own member, contracts and the chassis alone; and the lock is what the members ask for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.trees import MEMBERS, ROOT

SERVICES = ("payments", "provider-health", "tasks", "audit", "gateway")
LOCK = ROOT / "requirements.lock"
EXPORT = ("export", "--quiet", "--all-packages", "--all-groups", "--no-emit-workspace", "--no-header")


def uv() -> list[str]:
    """The uv command that this machine has: on the PATH, as make installs it, or as a module."""
    found = shutil.which("uv")
    if found:
        return [found]
    installed = ROOT / ".tools/uv/bin/uv"
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "uv"]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, away from this environment's packages."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
    }
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def succeeds(*command: str | Path, cwd: Path) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_installs_and_starts_from_its_own_member(service: str, tmp_path: Path) -> None:
    """Copies are built, so that nothing is written into the tree."""
    members = ("contracts", "services/chassis", f"services/{service}")
    for member in members:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
        shutil.copytree(ROOT / member, tmp_path / member, ignore=ignored)
    environment = tmp_path / "environment"
    python = environment / "bin/python"
    succeeds(*uv(), "venv", "--quiet", "--no-project", "--python", sys.executable, environment, cwd=tmp_path)
    install = ("pip", "install", "--quiet", "--python", python, "-c", LOCK)
    succeeds(*uv(), *install, *(f"./{member}" for member in members), cwd=tmp_path)

    help_text = succeeds(python, "-m", service.replace("-", "_"), "--help", cwd=environment)

    assert "serve" in help_text
    others = {*(name.replace("-", "_") for name in SERVICES), "backbone", "simulator"} - {service.replace("-", "_")}
    for other in others:
        assert run(python, "-c", f"import {other}", cwd=environment).returncode == 1, f"{other} came along"


def drift(directory: Path) -> str:
    """How the lock differs from what the members in a directory ask for; empty when it does not.

    Resolved under the lock's own versions: a release that somebody made today is no drift.
    """
    pins = sorted(f'"{line}"' for line in locked(LOCK.read_text()) if not line.startswith("--hash"))
    root = directory / "pyproject.toml"
    constrained = f"[tool.uv]\nconstraint-dependencies = [{', '.join(pins)}]\n"
    root.write_text(root.read_text().replace("[tool.uv]\n", constrained))

    resolved = run(*uv(), "lock", "--quiet", cwd=directory)
    if resolved.returncode:
        return f"requirements.lock no longer fits the members, run `make lock`: {resolved.stderr}"
    wanted, committed = locked(succeeds(*uv(), *EXPORT, cwd=directory)), locked(LOCK.read_text())
    if wanted == committed:
        return ""
    lacking, needless = sorted(wanted - committed), sorted(committed - wanted)
    return f"requirements.lock has drifted, run `make lock`: it lacks {lacking}, nobody asks for {needless}"


@pytest.fixture
def members(tmp_path: Path) -> Path:
    """What the members ask for, in a place where a lock may be written."""
    for folder in (".", *MEMBERS):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / folder / "pyproject.toml", tmp_path / folder)
    return tmp_path


def test_the_lock_is_what_the_members_ask_for(members: Path) -> None:
    assert drift(members) == ""


@pytest.mark.parametrize(
    ("asked", "instead", "said"),
    [
        ('"stripe==16.1.0",', "", "nobody asks for"),
        ('"stripe==16.1.0",', '"stripe==16.0.0",', "no longer fits the members"),
    ],
)
def test_drift_of_the_lock_is_seen(members: Path, asked: str, instead: str, said: str) -> None:
    root = members / "pyproject.toml"
    assert asked in root.read_text()
    root.write_text(root.read_text().replace(asked, instead))

    found = drift(members)

    assert said in found
    assert "run `make lock`" in found


def locked(text: str) -> set[str]:
    """The versions and hashes that a lock names, without the comments that say who asked."""
    lines = (line.strip().removesuffix("\\").strip() for line in text.splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def test_the_lock_names_no_address() -> None:
    assert "://" not in LOCK.read_text(), "requirements.lock holds names, versions and hashes: run `make lock`"


@pytest.mark.parametrize("member", MEMBERS)
def test_what_a_member_asks_for_is_locked(member: str) -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]
    known = LOCK.read_text().lower()
    for requirement in project["dependencies"]:
        name = requirement.split("[")[0].split("==")[0].split(">=")[0].lower()
        assert name.startswith("backbone-") or f"\n{name}==" in known, f"{name} is not locked: run `make lock`"
