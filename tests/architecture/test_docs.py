"""The documents say nothing that is not so: what they name exists, and what exists and is public they name."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from audit.main import service as audit
from backbone.main import app
from backbone.settings import DESCRIBED
from chassis.evidence import evidence_router
from chassis.letters_http import dead_letters_router
from chassis.outbox_http import outbox_router
from chassis.service import Service
from chassis.settings import Settings
from contracts.registry import all_types
from contracts.topics import TOPICS
from fastapi.routing import APIRoute
from gateway.main import service as gateway
from payments.main import service as payments
from provider_health.main import service as provider_health
from tasks.main import service as tasks
from typer.main import get_command
from typer.testing import CliRunner

from tests.architecture.trees import ROOT, files, relative
from tests.support.results import KEY_VARIABLE

ROOT_DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
DOCUMENTS = [*ROOT_DOCUMENTS, *files(suffix=".md")]
SERVICES: tuple[Service[Settings], ...] = (payments, provider_health, tasks, audit, gateway)  # type: ignore[assignment]
PACKAGES = (
    "contracts",
    "chassis",
    "payments",
    "provider_health",
    "tasks",
    "audit",
    "gateway",
    "backbone",
    "simulator",
)
CODE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
ENDPOINT = re.compile(r"(GET|PUT|POST|PATCH|DELETE) (/[\w/{}.-]*)")
SETTING = re.compile(r"(?:BACKBONE|PAYMENTS|PROVIDER_HEALTH|TASKS|AUDIT|GATEWAY)_[A-Z_]+")
# Each document is one case, so that a failure names it.
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=relative)


def code(document: Path) -> list[str]:
    """What stands in backticks, whether in a line or in a block."""
    text = document.read_text()
    blocks = [line for block in FENCED.findall(text) for line in block.splitlines()]
    return [*blocks, *CODE.findall(FENCED.sub("", text))]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def mentioned(document: Path, pattern: str) -> set[str]:
    return {found for piece in code(document) for found in re.findall(pattern, piece)}


@EACH
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", document.read_text())
    local = [link for link in links if "://" not in link]
    missing = [link for link in local if not (document.parent / link).exists()]
    assert not missing


def test_every_decision_is_linked() -> None:
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    decisions = [relative(document) for document in DOCUMENTS if document.parent.name == "decisions"]
    assert [decision for decision in decisions if f"({decision})" not in architecture] == []


@EACH
def test_paths_exist(document: Path) -> None:
    tops = {path.name for path in ROOT.iterdir()}
    paths = [piece for piece in code(document) if re.fullmatch(r"[\w./-]+", piece) and piece.split("/")[0] in tops]
    made = (".venv", "uv.lock", "build/")
    missing = [path for path in paths if not (path.startswith(made) or (ROOT / path).exists())]
    assert not missing


def test_the_map_shows_every_member() -> None:
    readme = (ROOT / "README.md").read_text()
    members = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    assert [member for member in members if f"({member}/)" not in readme] == []


@EACH
def test_make_targets_exist_and_can_be_made(document: Path) -> None:
    wanted = mentioned(document, r"^make ([a-z-]+)")
    assert wanted <= targets()
    for target in sorted(wanted):
        planned = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
        assert planned.returncode == 0, planned.stderr


def test_make_help_lists_every_target() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    assert set(re.findall(r"^  make ([a-z-]+)", said, re.MULTILINE)) == targets() == set(phony)


@EACH
def test_commands_of_backbone_answer_help(document: Path) -> None:
    known = get_command(app).commands.keys()  # type: ignore[attr-defined]
    for line in sorted(mentioned(document, r"^(?:\.venv/bin/)?backbone ([a-z].*)")):
        command = line.split()[0]
        assert command in known, line
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_every_command_of_backbone_is_on_the_map() -> None:
    section = (ROOT / "ARCHITECTURE.md").read_text().partition("`deploy/local/` is the")[2].partition("\n- ")[0]
    assert set(CODE.findall(section)) - {"backbone"} == set(get_command(app).commands)  # type: ignore[attr-defined]


@EACH
def test_modules_that_are_run_have_their_commands(document: Path) -> None:
    for module, command in sorted(mentioned_modules(document)):
        assert command.startswith("-") or command in help_of(module) or module == "pytest", f"{module} {command}"


@cache
def help_of(module: str) -> str:
    said = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return said.stdout


def mentioned_modules(document: Path) -> Iterator[tuple[str, str]]:
    for piece in code(document):
        found = re.match(r"(?:\.venv/bin/)?python -m ([\w.]+)(?: (\S+))?", piece)
        if found:
            yield found[1], (found[2] or "").partition("|")[0]


@EACH
def test_event_types_exist(document: Path) -> None:
    known = {declared.name for declared in all_types()}
    # Stripe's events have invoices as their subject too: only those of its names that are ours are looked at.
    entities = "|".join({name.rpartition(".")[0] for name in known} - {"invoice"})
    assert mentioned(document, rf"^(?:{entities})\.[a-z_]+$") <= known


def test_every_topic_and_event_type_is_listed() -> None:
    section = (ROOT / "ARCHITECTURE.md").read_text().partition("## Events and topics")[2].partition("\n## ")[0]
    listed = CODE.findall(section)
    types = {name for name in listed if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name)}
    assert {declared.name for declared in all_types()} == types
    assert {topic.name for topic in TOPICS} == {name for name in listed if re.fullmatch(r"[a-z]+(-[a-z]+)+", name)}


def routes() -> set[tuple[str, str]]:
    """Every public operation of the services, as documents write it."""
    found = {("GET", path) for path in ("/health/live", "/health/ready", "/metrics")}
    found |= {("POST", f"/webhooks/{provider}") for provider in ("stripe", "gocardless")}
    chassis = (dead_letters_router("x", {}), outbox_router("x"), evidence_router())
    routers = [*(router for service in SERVICES for router in service.routers), *chassis]
    for router in routers:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            found |= {(method, route.path) for method in route.methods or ()}
    return found


@EACH
def test_endpoints_exist(document: Path) -> None:
    simulated = relative(document).startswith("deploy/simulator/")
    assert simulated or {pair for piece in code(document) for pair in ENDPOINT.findall(piece)} <= routes()


def test_every_endpoint_is_listed() -> None:
    document = ROOT / "ARCHITECTURE.md"
    listed = {pair for piece in code(document) for pair in ENDPOINT.findall(piece)}
    assert routes() - listed == set()


@EACH
def test_settings_exist(document: Path) -> None:
    known = {*DESCRIBED, KEY_VARIABLE}
    for service in SERVICES:
        known |= {name for name, _, _ in service.settings.described(service.name)}
    assert {name for piece in code(document) for name in SETTING.findall(piece)} <= known


@EACH
def test_names_of_code_can_be_imported(document: Path) -> None:
    dotted_names = mentioned(document, rf"^((?:{'|'.join(PACKAGES)})(?:\.\w+)+)$")
    for dotted in dotted_names - {declared.name for declared in all_types()}:
        *modules, last = dotted.split(".")
        holder = importlib.import_module(".".join(modules))
        if not hasattr(holder, last):
            importlib.import_module(dotted)
