"""`python -m contracts generate|check`: the files that derive from the event types."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from contracts import asyncapi, golden, history
from contracts.registry import all_types
from contracts.topics import TOPICS

DIRECTORY: Final = Path(__file__).resolve().parents[2]


def _asyncapi() -> dict[str, str]:
    return {"asyncapi.json": golden.as_text(asyncapi.document(TOPICS, all_types()))}


def generate(directory: Path) -> list[str]:
    """Write every golden file and the AsyncAPI document. Returns the faults: what was not written and why."""
    faults = [fault for declared in all_types() for fault in golden.write(directory, declared)]
    for path, text in _asyncapi().items():
        (directory / path).write_text(text)
    return faults + golden.strays(directory, all_types())


def check(directory: Path) -> list[str]:
    """Compare what is committed with the code, and the code with what was published. Returns the faults."""
    faults = golden.drift(directory, _asyncapi())
    commits = history.published_commits(directory)
    for declared in all_types():
        faults += golden.drift(directory, golden.expected_files(declared))
        faults += golden.unreadable_examples(directory, declared)
        kept = golden.earlier_schemas(directory, declared)
        faults += golden.breaks(declared, kept)
        for commit in commits:
            published = history.committed_schemas(directory, commit, declared)
            forgotten = [each for each in published if each[1] not in [schema for _, schema in kept]]
            faults += golden.breaks(declared, forgotten)
    return faults + golden.strays(directory, all_types())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all is well, 1 with one line for each fault otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m contracts", description="Golden schemas, examples, sentences and the AsyncAPI document."
    )
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="the contracts directory of a work tree")
    commands = parser.add_subparsers(dest="command", required=True, metavar="generate|check")
    commands.add_parser("generate", help="write the files; refuses a schema that breaks a published one")
    commands.add_parser("check", help="say which files differ from the code, and what breaks a published schema")
    options = parser.parse_args(arguments)
    if not (options.directory / "pyproject.toml").is_file():
        sys.stderr.write(f"{options.directory} is no contracts directory of a work tree: name one with --directory\n")
        return 1
    command = generate if options.command == "generate" else check
    faults = command(options.directory)
    for fault in faults:
        sys.stderr.write(f"contracts: {fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
