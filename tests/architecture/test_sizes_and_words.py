"""What a reviewer would otherwise say twice: sizes, words and places, each with a sentence that says what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts.registry import all_types

from tests.architecture.trees import ROOT, files, relative

FUNCTION_LINES_LIMIT = 70
FILE_LINES_LIMIT = 400
SOURCES = [*files("contracts", "services", "deploy", suffix=".py")]
TESTS = [*files("tests", suffix=".py")]
THIS_FOLDER = Path(__file__).parent
# What people read: sources, documents and settings. Lists of hashes and golden files are no prose.
PROSE = [
    path
    for path in [*files(), *(path for path in ROOT.iterdir() if path.is_file())]
    if path.suffix in {".py", ".md", ".toml", ".json", ".yaml", ".yml", ".sh", ".cfg", ".ini", ".sql", ".lock", ""}
    and path.name not in {"uv.lock", ".git"}
    and not path.is_relative_to(THIS_FOLDER)
]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_functions_stay_short() -> None:
    long = [
        f"{relative(path)}: {name} has {lines} lines: split it, the limit is below {FUNCTION_LINES_LIMIT}"
        for path in SOURCES + TESTS
        for name, lines in functions(path)
        if lines >= FUNCTION_LINES_LIMIT
    ]
    assert not long, "\n".join(long)


def test_files_stay_short() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in SOURCES + TESTS}
    long = [
        f"{relative(path)} has {lines} lines: make it a package, the limit is below {FILE_LINES_LIMIT}"
        for path, lines in sizes.items()
        if lines >= FILE_LINES_LIMIT
    ]
    assert not long, "\n".join(long)


def lines_with(paths: list[Path], pattern: str) -> Iterator[str]:
    """Every line that matches, as `path:number: line`."""
    compiled = re.compile(pattern)
    for path in paths:
        text = path.read_text(errors="replace")
        if compiled.search(text):
            for number, line in enumerate(text.splitlines(), start=1):
                if compiled.search(line):
                    yield f"{relative(path)}:{number}: {line.strip()[:120]}"


FORBIDDEN = [
    pytest.param(
        r"pypi\.org|pythonhosted|repo1?\.maven|maven\.org|npmjs|docker\.io|quay\.io|ghcr\.io|gcr\.io",
        "name no registry: the clients know theirs, and a mirror must be able to stand in",
        id="registry hosts",
    ),
    pytest.param(
        r"(?<![\w./])/(work|root|Users|home/\w+)/",
        "name no path of one machine: derive it from the file or a setting",
        id="machine paths",
    ),
    pytest.param(r"\b(TODO|FIXME|XXX|HACK)\b", "do it now, or leave it out and say so in a decision record", id="TODO"),
]


@pytest.mark.parametrize(("pattern", "advice"), FORBIDDEN)
def test_forbidden_words_do_not_appear(pattern: str, advice: str) -> None:
    found = [*lines_with(PROSE, pattern)]
    assert not found, f"{advice}:\n" + "\n".join(found)


def test_commit_appears_in_the_chassis_only() -> None:
    elsewhere = [path for path in SOURCES if not relative(path).startswith("services/chassis/")]
    found = [*lines_with(elsewhere, r"\.commit\(")]
    assert not found, "one transaction is opened and committed at the edge, by the chassis:\n" + "\n".join(found)


def test_event_types_are_spelt_in_contracts_only() -> None:
    names = "|".join(re.escape(each.name) for each in all_types())
    elsewhere = [path for path in SOURCES if not relative(path).startswith("contracts/")]
    found = [*lines_with(elsewhere, rf"[\"'](?:{names})[\"'/]")]
    assert not found, "use type_of(PayloadClass).name instead of spelling an event type:\n" + "\n".join(found)


def test_tests_do_not_sleep_skip_or_rerun() -> None:
    """Programs beside the tests (load generators, baselines) may pace themselves; a test waits on state."""
    tests = [path for path in TESTS if not path.is_relative_to(THIS_FOLDER)]
    cases = [path for path in tests if path.name.startswith(("test_", "conftest"))]
    found = [*lines_with(cases, r"\bsleep\((?!0\))")]
    found += lines_with(tests, r"pytest\.mark\.(skip|xfail|flaky)|pytest\.(skip|xfail)\(")
    found += lines_with(tests, r"unittest\.mock|monkeypatch\.setattr")
    advice = "wait on state with one bounded helper, run every test, patch nothing of ours"
    assert not found, f"{advice}:\n" + "\n".join(found)


def test_drawers_have_names_that_say_what_is_in_them() -> None:
    drawers = {"utils", "helpers", "common", "base", "manager", "misc", "util", "helper"}
    found = [relative(path) for path in SOURCES + TESTS if drawers & {path.stem, path.parent.name}]
    assert not found, f"name the file after what it does: {found}"


def test_every_source_file_says_what_it_is_for() -> None:
    silent = [
        relative(path)
        for path in SOURCES + TESTS
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, f"begin the file with one sentence: {silent}"
