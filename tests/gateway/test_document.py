"""The document at `/v1/openapi.json`: whole, consistent, and the same as what the code says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chassis.web.problems import MEDIA_TYPE
from contracts.registry import all_types
from contracts.roles import SCOPES
from gateway.main import service
from gateway.operations import METHODS, all_operations
from jsonschema import Draft202012Validator

from tests.gateway.behind import a_gateway
from tests.support.infrastructure import TemporaryDatabase

DOCUMENT = service.openapi()
LIMITS, REPEATS, PAGES = {"read", "write"}, {"key", "natural", "none"}, {"keyset", "none"}


def operations() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, declared in item.items():
            if method in METHODS:
                yield f"{method.upper()} {path}", declared


def lacks(operation: str, declared: Mapping[str, Any]) -> Iterator[str]:
    """What an operation does not say, as sentences."""
    events = {each.name for each in all_types()} | {"none"}
    for name, known in (
        ("x-scope", set(SCOPES)),
        ("x-audit-event", events),
        ("x-limit", LIMITS),
        ("x-idempotency", REPEATS),
        ("x-pagination", PAGES),
    ):
        if declared.get(name) not in known:
            yield f"{operation}: {name} is {declared.get(name)!r}: say it with documents(...)"
    succeeds = [response for status, response in declared["responses"].items() if status.startswith("2")]
    if not any("example" in response.get("content", {}).get("application/json", {}) for response in succeeds):
        yield f"{operation}: shows no success: give documents(..., example=...)"
    if len(problems_of(declared)) < 2:
        yield f"{operation}: shows fewer than two problems: give documents(..., problems=[...])"
    if not declared.get("description"):
        yield f"{operation}: says nothing of itself: give its function a docstring"
    if declared.get("requestBody") and "example" not in declared["requestBody"]["content"]["application/json"]:
        yield f"{operation}: shows no body: give documents(..., request=...)"


def problems_of(declared: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        example["value"]
        for response in declared["responses"].values()
        for example in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).values()
    ]


def validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def test_every_operation_says_scope_audit_event_limit_repeats_pages_and_shows_examples() -> None:
    missing = [sentence for operation, declared in operations() for sentence in lacks(operation, declared)]
    assert not missing, "\n".join(missing)


def test_what_is_missing_is_named() -> None:
    operation, declared = next((name, each) for name, each in operations() if each.get("requestBody"))
    bare: dict[str, Any] = {"responses": {"200": {}}, "requestBody": {"content": {"application/json": {}}}}

    assert [*lacks(operation, declared)] == []
    assert len([*lacks(operation, bare)]) == 9


def test_every_example_is_what_its_schema_says() -> None:
    wrong = []
    for operation, declared in operations():
        bodies = [declared["requestBody"]] if declared.get("requestBody") else []
        for content in [*bodies, *declared["responses"].values()]:
            media = content.get("content", {}).get("application/json", {})
            if "example" in media and "schema" in media:
                wrong += [
                    f"{operation}: {error.json_path}: {error.message}"
                    for error in validator(media["schema"]).iter_errors(media["example"])
                ]
    assert not wrong, "\n".join(wrong)


def test_every_operation_has_a_name_and_a_place_of_its_own() -> None:
    names = [declared["operationId"] for _, declared in operations()]
    assert len(names) == len(set(names))
    places = [(each.method, each.path) for each in all_operations()]
    assert len(places) == len(set(places)), "two services offer the same: one of them has to move"


def test_every_lane_is_reached_through_the_door() -> None:
    named = {
        "GET /v1/board",
        "GET /v1/members/{member_id}",
        "GET /v1/payments",
        "GET /v1/deliveries",
        "GET /v1/tasks",
        "GET /v1/providers",
        "GET /v1/incidents",
        "GET /v1/pauses",
        "GET /v1/replays",
        "GET /v1/audit/records",
    }
    assert named - {operation for operation, _ in operations()} == set()


async def test_the_door_shows_the_document_to_everybody(no_database: TemporaryDatabase) -> None:
    async with a_gateway(no_database) as gateway:
        answer = await gateway.call("GET", "/v1/openapi.json", role=None)

    assert answer.json() == DOCUMENT


def test_every_reference_leads_somewhere() -> None:
    def references(given: Any) -> Iterator[str]:
        if isinstance(given, dict):
            if isinstance(given.get("$ref"), str):
                yield given["$ref"].rpartition("/")[2]
            for value in given.values():
                yield from references(value)
        elif isinstance(given, list):
            for value in given:
                yield from references(value)

    assert set(references(DOCUMENT)) == set(DOCUMENT["components"]["schemas"])
