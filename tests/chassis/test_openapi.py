"""The OpenAPI document of a service: made from its code alone, always the same, kept in a file that must not drift."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from chassis import cli
from chassis.dead_letters import dead_letters_table
from chassis.outbox import outbox_table
from chassis.service import Service
from chassis.settings import Settings
from sqlalchemy import MetaData

from tests.chassis.notes_service import notes


def a_service(*, sets_aside: bool = False, **given: Any) -> Service[Settings]:
    metadata = MetaData(schema="specimen")
    outbox_table(metadata)
    if sets_aside:
        dead_letters_table(metadata)
    return Service("specimen", Settings, metadata=metadata, routers=[notes()], **given)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "specimen.json"


def test_a_document_needs_no_settings_and_no_server(kept: Path) -> None:
    assert cli.main(a_service(), ["openapi", str(kept)]) == 0

    document = json.loads(kept.read_text())
    assert document["paths"]["/notes"]["put"]["x-scope"] == "notes:write"


def test_the_same_code_makes_the_same_document(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(a_service(), ["openapi", str(kept)])

    assert cli.main(a_service(), ["openapi", str(kept), "--check"]) == 0
    assert cli.main(a_service(), ["openapi"]) == 0
    assert capsys.readouterr().out == kept.read_text()


@pytest.mark.parametrize("there", [None, "{}\n"])
def test_a_document_that_is_not_what_the_code_says_is_seen(
    there: str | None, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if there is not None:
        kept.write_text(there)

    assert cli.main(a_service(), ["openapi", str(kept), "--check"]) == 1
    assert "run `make generate`" in capsys.readouterr().err


def test_a_service_that_sets_nothing_aside_offers_no_dead_letters() -> None:
    paths = a_service().openapi()["paths"]

    assert "/dead-letters" not in paths
    assert "/outbox/parked" in paths
    assert "/dead-letters" in a_service(sets_aside=True).openapi()["paths"]


def test_a_service_may_describe_more_than_its_routers_do() -> None:
    def titled(document: Mapping[str, Any]) -> dict[str, Any]:
        return {**document, "info": {"title": "Notes"}}

    assert a_service(describe=titled).openapi()["info"] == {"title": "Notes"}
