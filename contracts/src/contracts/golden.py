"""The golden files: what is committed about every event type, and what may become of it.

    golden/<type>/<version>/schema.json    the published schema of the whole event, as its readers accept it
    golden/<type>/<version>/example.json   one event
    golden/<type>/<version>/sentence.txt   what the audit log says about that event
    golden/<type>/<version>/earlier/<n>.json  schemas that were published before it, oldest first, never touched again

A schema is compatible when it fits every schema that was ever published of its version, both ways, and not only the
last: the audit log keeps what was written under the first. `generate` refuses to write an incompatible schema and
moves the one that it replaces to `earlier`. `check` compares with git besides, where there is a history, so that
deleting a file by hand does not help.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from contracts.compatibility import UnknownSchemaError, incompatibilities, misfits, structure
from contracts.examples import example_of
from contracts.registry import EventType, UnreadableEventError, decode, typed
from contracts.schemas import Schema, reader, writer

WAY_OUT: Final = "declare the next version beside it; where it was never published, delete its folder first"


def folder_of(declared: EventType) -> str:
    """The folder of one type and version, relative to the contracts directory."""
    return f"golden/{declared.name}/{declared.version}"


def as_text(document: Any) -> str:
    """The committed form of a document: indented, keys in their order, one newline at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def expected_files(declared: EventType) -> dict[str, str]:
    """The golden files of one type and version, by path relative to the contracts directory."""
    folder = folder_of(declared)
    example = json.loads(example_of(declared).encode())
    return {
        f"{folder}/schema.json": as_text(reader(declared)),
        f"{folder}/example.json": as_text(example),
        f"{folder}/sentence.txt": declared.sentence.render(example["data"]) + "\n",
    }


def earlier_schemas(directory: Path, declared: EventType) -> list[tuple[str, Schema]]:
    """Every schema that the golden files hold of one type and version, oldest first, with its relative path."""
    folder = directory / folder_of(declared)
    paths = sorted(folder.glob("earlier/*.json"), key=lambda path: int(path.stem))
    paths += [path for path in (folder / "schema.json",) if path.exists()]
    return [(path.relative_to(directory).as_posix(), json.loads(path.read_text())) for path in paths]


def breaks(declared: EventType, published: list[tuple[str, Schema]]) -> list[str]:
    """Why the schema in code does not fit what was published of the same type and version; one sentence each."""
    current = reader(declared)
    label = f"{declared.name}/{declared.version}"
    try:
        faults = [f"{label} does not read what it writes: {fault}" for fault in misfits(writer(current), current)]
        for origin, schema in published:
            faults += [f"{label} breaks {origin}: {fault}; {WAY_OUT}" for fault in incompatibilities(schema, current)]
    except UnknownSchemaError as error:
        return [f"{label} uses what contracts.compatibility does not know: {error}"]
    return faults


def write(directory: Path, declared: EventType) -> list[str]:
    """Write the golden files of one type and version, unless that breaks what was published.

    Returns the faults; nothing was written when there are any.
    """
    published = earlier_schemas(directory, declared)
    if faults := breaks(declared, published):
        return faults
    schema = directory / folder_of(declared) / "schema.json"
    if schema.exists() and structure(json.loads(schema.read_text())) != structure(reader(declared)):
        kept = schema.parent / "earlier" / f"{len(published)}.json"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(schema.read_text())
    for path, text in expected_files(declared).items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return []


def drift(directory: Path, expected: dict[str, str]) -> list[str]:
    """Which of the expected files are missing or differ; one sentence each."""
    faults = []
    for path, text in expected.items():
        target = directory / path
        if not target.exists():
            faults.append(f"{path} is missing: run `make generate`")
        elif target.read_text() != text:
            faults.append(f"{path} differs from the code: run `make generate`")
    return faults


def unreadable_examples(directory: Path, declared: EventType) -> list[str]:
    """Whether the committed example can still be read by the code: one sentence when it cannot."""
    path = directory / folder_of(declared) / "example.json"
    if not path.exists():
        return []
    try:
        typed(decode(path.read_bytes()))
    except UnreadableEventError as error:
        return [f"{path.relative_to(directory).as_posix()} can no longer be read: {error}; {WAY_OUT}"]
    return []


def strays(directory: Path, types: tuple[EventType, ...]) -> list[str]:
    """Golden folders that belong to no event type; one sentence each."""
    declared = {folder_of(each) for each in types}
    folders = sorted(path.relative_to(directory).as_posix() for path in directory.glob("golden/*/*"))
    return [
        f"{folder} belongs to no event type: restore the type, or delete the folder when nobody keeps its events"
        for folder in folders
        if folder not in declared
    ]
