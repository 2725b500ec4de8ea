"""What is committed about every event type: drift is named, and what would break a published schema is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from contracts.__main__ import DIRECTORY, check, generate, main
from contracts.events import PaymentUpdated
from contracts.registry import EventType, all_types, decode, type_of, typed
from contracts.schemas import Schema, writer
from jsonschema import Draft7Validator, Draft202012Validator

from contracts import golden

TYPES = pytest.mark.parametrize("declared", all_types(), ids=lambda each: f"{each.name}/{each.version}")
PAYMENT_UPDATED = golden.folder_of(type_of(PaymentUpdated))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A contracts directory as a new clone has it, outside any git history."""
    copied = tmp_path / "contracts"
    shutil.copytree(DIRECTORY / "golden", copied / "golden")
    shutil.copy(DIRECTORY / "asyncapi.json", copied)
    shutil.copy(DIRECTORY / "pyproject.toml", copied)
    return copied


def contents(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Maria Rossi", "-c", "user.email=maria.rossi@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


def commit(directory: Path) -> None:
    git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "contracts: Publish.")


def published_otherwise(directory: Path, **body_fields: Any) -> None:
    """Pretend that the published body had these fields (None: had not), so that the code is the newer one."""
    path = directory / PAYMENT_UPDATED / "schema.json"
    schema = json.loads(path.read_text())
    body = schema["$defs"]["PaymentUpdated"]
    for name, field in body_fields.items():
        body["properties"].pop(name, None)
        body["required"] = [each for each in body["required"] if each != name]
        if field is not None:
            body["properties"][name] = field
            body["required"] += [] if "default" in field else [name]
    path.write_text(golden.as_text(schema))


def test_the_committed_files_are_those_of_the_code() -> None:
    assert check(DIRECTORY) == []


@TYPES
def test_the_committed_example_fits_its_schema_and_its_class(declared: EventType) -> None:
    folder = DIRECTORY / golden.folder_of(declared)
    example = (folder / "example.json").read_bytes()
    schema: Schema = json.loads((folder / "schema.json").read_text())

    for validator in (Draft7Validator, Draft202012Validator):
        validator.check_schema(schema)
        validator(schema).validate(json.loads(example))
        validator(writer(schema)).validate(json.loads(example))
    assert json.loads(typed(decode(example)).encode()) == json.loads(example)


@TYPES
def test_the_committed_sentence_is_that_of_the_example(declared: EventType) -> None:
    folder = DIRECTORY / golden.folder_of(declared)
    example = json.loads((folder / "example.json").read_text())
    assert declared.sentence.render(example["data"]) + "\n" == (folder / "sentence.txt").read_text()


@TYPES
def test_the_writer_s_schema_is_closed_and_the_reader_s_open(declared: EventType) -> None:
    folder = DIRECTORY / golden.folder_of(declared)
    schema: Schema = json.loads((folder / "schema.json").read_text())
    example = json.loads((folder / "example.json").read_text())
    example["data"]["body"]["not_yet_known"] = 1

    assert Draft7Validator(schema).is_valid(example)
    assert not Draft7Validator(writer(schema)).is_valid(example)


def test_generating_again_changes_nothing(directory: Path) -> None:
    before = contents(directory)
    assert generate(directory) == []
    assert contents(directory) == before


@pytest.mark.parametrize("path", [f"{PAYMENT_UPDATED}/schema.json", f"{PAYMENT_UPDATED}/sentence.txt", "asyncapi.json"])
def test_a_missing_file_is_named(directory: Path, path: str) -> None:
    (directory / path).unlink()
    assert check(directory) == [f"{path} is missing: run `make generate`"]


def test_every_file_that_differs_is_named(directory: Path) -> None:
    paths = sorted(f"{golden.folder_of(each)}/sentence.txt" for each in all_types())
    for path in paths:
        (directory / path).write_text("Isla Morgan moved.\n")
    assert sorted(check(directory)) == [f"{path} differs from the code: run `make generate`" for path in paths]


def test_a_folder_without_a_type_is_named(directory: Path) -> None:
    (directory / "golden/member.forgotten/1").mkdir(parents=True)
    (fault,) = check(directory)
    assert fault.startswith("golden/member.forgotten/1 belongs to no event type")
    assert generate(directory) == [fault]


def test_a_compatible_change_is_written_and_the_published_schema_kept(directory: Path) -> None:
    published_otherwise(directory, amount=None)
    published = (directory / PAYMENT_UPDATED / "schema.json").read_text()

    assert check(directory) == [f"{PAYMENT_UPDATED}/schema.json differs from the code: run `make generate`"]
    assert generate(directory) == []
    assert check(directory) == []
    assert (directory / PAYMENT_UPDATED / "earlier/1.json").read_text() == published


def test_a_change_of_words_alone_keeps_no_earlier_schema(directory: Path) -> None:
    path = directory / PAYMENT_UPDATED / "schema.json"
    path.write_text(path.read_text().replace("A payment changed", "A payment was changed"))
    assert generate(directory) == []
    assert not (directory / PAYMENT_UPDATED / "earlier").exists()


def test_an_incompatible_change_is_refused_and_nothing_written(directory: Path) -> None:
    published_otherwise(directory, change={"type": "integer"})
    published = (directory / PAYMENT_UPDATED / "schema.json").read_text()

    faults = generate(directory)

    assert any("body.change may be any integer, which is not read; declare the next version" in each for each in faults)
    assert (directory / PAYMENT_UPDATED / "schema.json").read_text() == published
    assert set(faults) < set(check(directory))


def test_a_change_that_breaks_only_an_earlier_schema_is_refused(directory: Path) -> None:
    published_otherwise(directory, amount={"type": "string", "default": ""})
    schema = directory / PAYMENT_UPDATED / "schema.json"
    (directory / PAYMENT_UPDATED / "earlier").mkdir()
    schema.rename(directory / PAYMENT_UPDATED / "earlier/1.json")
    schema.write_text((DIRECTORY / PAYMENT_UPDATED / "schema.json").read_text())

    assert all("breaks golden/payment.updated/1/earlier/1.json" in fault for fault in check(directory))
    assert len(check(directory)) == 2


def test_deleting_the_published_file_by_hand_does_not_help_where_git_remembers_it(directory: Path) -> None:
    published_otherwise(directory, change={"type": "integer"})
    commit(directory)
    shutil.rmtree(directory / PAYMENT_UPDATED)

    assert generate(directory) == []
    faults = check(directory)

    assert faults
    assert all("breaks golden/payment.updated/1/schema.json of commit" in fault for fault in faults)


def test_what_git_remembers_and_what_is_kept_is_told_once(directory: Path) -> None:
    published_otherwise(directory, amount=None)
    commit(directory)
    assert generate(directory) == []
    assert check(directory) == []


def test_a_committed_example_that_the_code_cannot_read_is_named(directory: Path) -> None:
    path = directory / PAYMENT_UPDATED / "example.json"
    path.write_text(path.read_text().replace('"AUD"', '"aud"', 2))
    faults = check(directory)
    assert any("example.json can no longer be read: " in fault for fault in faults)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "contracts", *arguments], capture_output=True, text=True, check=False)


def test_the_command_says_what_drifted_and_how_to_mend_it(directory: Path) -> None:
    (directory / PAYMENT_UPDATED / "schema.json").unlink()
    done = run("--directory", str(directory), "check")
    assert done.returncode == 1
    assert done.stderr == f"contracts: {PAYMENT_UPDATED}/schema.json is missing: run `make generate`\n"

    assert run("--directory", str(directory), "generate").returncode == 0
    assert run("--directory", str(directory), "check").returncode == 0


def test_the_command_explains_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "generate" in capsys.readouterr().out

    assert main(["--directory", str(tmp_path), "check"]) == 1
    assert "is no contracts directory of a work tree" in capsys.readouterr().err
