"""Logs are JSON without secrets, whoever writes them; metrics have one registry; a trace goes on in the envelope."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import structlog
from chassis.telemetry import bound, logs, metrics, traces
from pydantic import BaseModel, SecretStr

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged so far; the logging of the test run is put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level)
    logs.configure("payments", "payments-0", "info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def test_a_line_is_one_json_object_that_says_who_and_when(lines: Lines) -> None:
    structlog.get_logger().info("relay.started", topic="payments-events", rows=3)

    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "service": "payments",
        "instance": "payments-0",
        "event": "relay.started",
        "level": "info",
        "logger": __name__,
        "topic": "payments-events",
        "rows": 3,
    }


@pytest.mark.parametrize("name", ["uvicorn.error", "aiokafka", "alembic.runtime.migration", "anything.else"])
def test_every_library_writes_through_the_same_pipeline(lines: Lines, name: str) -> None:
    logging.getLogger(name).warning("%s of %d", "three", 4)

    (line,) = lines()
    assert (line["event"], line["level"], line["logger"], line["service"]) == (
        "three of 4",
        "warning",
        name,
        "payments",
    )


def test_below_the_level_nothing_is_written(lines: Lines) -> None:
    structlog.get_logger().debug("detail")
    logging.getLogger("somebody").debug("detail")
    logging.getLogger("aiokafka").info("chatter")

    assert lines() == []


def test_ids_stand_on_every_line_inside_their_block(lines: Lines) -> None:
    log = structlog.get_logger()
    with bound(correlation_id="c-1", trace_id=TRACE, request_id=None), bound(event_id="e-1"):
        log.info("inside")
        logging.getLogger("aiokafka").warning("inside too")
    log.info("outside")

    inside, too, outside = lines()
    assert (inside["correlation_id"], inside["trace_id"], inside["event_id"]) == ("c-1", TRACE, "e-1")
    assert too["correlation_id"] == "c-1"
    assert "request_id" not in inside
    assert "correlation_id" not in outside


@pytest.mark.parametrize(
    "field", ["password", "token", "webhook_secret", "authorization", "Authorization", "body", "api_key", "signature"]
)
def test_fields_named_like_secrets_are_masked(lines: Lines, field: str) -> None:
    structlog.get_logger().warning("refused", **{field: "hunter2"})

    assert lines()[0][field] == logs.MASK


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://payments:hunter2@127.0.0.1/backbone",
        "header was Bearer hunter2hunter2.abc",
        "header was basic aHVudGVyMjpodW50ZXIy",
    ],
)
def test_secrets_inside_text_are_cut_out(lines: Lines, text: str) -> None:
    structlog.get_logger().warning("refused", why=text)
    logging.getLogger("library").warning(text)
    structlog.get_logger().warning(text)

    written = json.dumps(lines())
    assert "hunter2" not in written
    assert "aHVudGVy" not in written
    assert written.count(logs.MASK) == 3


def test_bytes_and_objects_are_named_and_not_shown(lines: Lines) -> None:
    structlog.get_logger().info("seen", raw=b"hunter2", thing=SecretStr("hunter2"), error=ValueError("short\nhunter2"))

    (line,) = lines()
    assert (line["raw"], line["thing"], line["error"]) == ("[7 bytes]", "<SecretStr>", "ValueError: short")


def test_an_error_says_what_and_where_and_never_quotes_its_input(lines: Lines) -> None:
    class Card(BaseModel):
        number: int

    try:
        try:
            Card.model_validate({"number": "hunter2"})
        except ValueError as error:
            raise RuntimeError("cannot charge\nDETAIL: Failing row contains (hunter2)") from error
    except RuntimeError:
        structlog.get_logger().exception("charge.failed")
        logging.getLogger("library").exception("failed")

    for line in lines():
        outer, inner = line["error"]
        assert (outer["class"], outer["message"]) == ("builtins.RuntimeError", "cannot charge")
        assert inner["message"] == "number: int_parsing"
        assert any("test_telemetry.py" in place for place in inner["at"] + outer["at"])
        assert "hunter2" not in json.dumps(line)


@pytest.mark.parametrize("value", ["\ud800", 2**80, {"a": {1, 2}}, object(), float("nan")])
def test_no_value_keeps_a_line_from_being_written(lines: Lines, value: object) -> None:
    structlog.get_logger().info("odd", value=value)

    assert lines()[0]["event"] == "odd"


def test_configuring_twice_writes_each_line_once(lines: Lines) -> None:
    logs.configure("payments", None, "info", stream := io.StringIO())
    structlog.get_logger().info("once")

    assert len(stream.getvalue().splitlines()) == 1
    assert lines() == []


def test_metrics_follow_the_conventions() -> None:
    exposed = metrics.exposition().decode()

    families = [line.split()[2] for line in exposed.splitlines() if line.startswith("# TYPE")]
    ours = [name for name in families if name.startswith("backbone_")]
    assert len(ours) == len(set(ours)) > 15
    for name in ("outbox_rows", "outbox_oldest_age_seconds", "consumer_lag_records", "dead_letters_total"):
        assert f"backbone_{name}" in ours


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE}-0000000000000000-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{TRACE}-b7ad6b7169203331-01-more",
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{TRACE}-b7ad6b7169203331-01\n",
        PARENT + "-" + "x" * 300,
    ],
)
def test_a_trace_that_makes_no_sense_is_begun_anew(header: str | None) -> None:
    made = traces.continued(header)

    assert TRACE not in made
    assert traces.continued(made)[:35] == made[:35], "what we make, we accept"


@pytest.mark.parametrize("header", [PARENT, f"01-{TRACE}-b7ad6b7169203331-03-of-a-later-version"])
def test_a_trace_is_continued_with_a_span_of_our_own(header: str) -> None:
    made = traces.continued(header)

    assert traces.trace_id_of(made) == TRACE
    assert made.startswith(f"00-{TRACE}-")
    assert made.endswith("-01")
    assert "b7ad6b7169203331" not in made


def test_without_a_collector_a_span_hands_its_parent_on() -> None:
    with traces.span("relay", parent=PARENT) as handed_on:
        assert handed_on == PARENT
    with traces.span("relay") as handed_on:
        assert handed_on is None


def test_without_a_collector_the_sdk_is_not_even_imported() -> None:
    """It would cost every process its start and its memory."""
    program = "import chassis.telemetry, sys; print(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert said.stdout.strip() == "False"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """An OpenTelemetry collector, as far as one export needs it: its address, and what it was sent."""
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_with_a_collector_spans_of_one_trace_arrive_there(collector: tuple[str, list[bytes]]) -> None:
    """The request, then hours later in another process the consumer: joined by the traceparent in the envelope."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    endpoint, received = collector
    traces.export_to(endpoint, service="payments", instance="payments-0")
    try:
        with traces.span("POST /webhooks/stripe", kind="server", parent=PARENT) as envelope:
            assert envelope is not None
        with traces.span(
            "consume", kind="consumer", links=[envelope, None, "nonsense"], attributes={"records": 2}
        ) as own:
            assert traces.tracing()
    finally:
        traces.stop()

    assert not traces.tracing()
    spans = {}
    for each in received:
        request = ExportTraceServiceRequest.FromString(each)
        for resource in request.resource_spans:
            names = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            assert (names["service.name"], names["service.instance.id"]) == ("payments", "payments-0")
            spans.update({span.name: span for scope in resource.scope_spans for span in scope.spans})
    served, consumed = spans["POST /webhooks/stripe"], spans["consume"]
    assert served.trace_id.hex() == TRACE
    assert served.parent_span_id.hex() == "b7ad6b7169203331"
    assert envelope == f"00-{TRACE}-{served.span_id.hex()}-01"
    assert [link.span_id for link in consumed.links] == [served.span_id]
    assert own == f"00-{consumed.trace_id.hex()}-{consumed.span_id.hex()}-01"
