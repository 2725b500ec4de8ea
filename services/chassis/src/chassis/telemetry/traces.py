"""Traces: W3C trace context across HTTP, outbox, Kafka and consumer.

A traceparent travels in the request's header and in every event's envelope, so a trace goes on after hours in a topic.
Without a collector nothing but that text is handled. With one the OpenTelemetry SDK makes spans; it is imported then
only, because it costs a process 0.3 s of start and 15 MB.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext

SpanKind = Literal["server", "client", "producer", "consumer", "internal"]
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_LINKS_MAX: Final = 128
_provider: TracerProvider | None = None
# Ids need to differ, not to be secret: the system's generator would cost a call into the kernel for each.
_ids = random.Random()  # noqa: S311


def continued(header: str | None) -> str:
    """The traceparent of a new span in the trace that `header` names; in a new trace where it names none."""
    parsed = _parsed(header)
    trace_id, flags = parsed if parsed else (f"{_ids.getrandbits(128) or 1:032x}", "00")
    return f"00-{trace_id}-{_ids.getrandbits(64) or 1:016x}-{flags}"


def trace_id_of(traceparent: str) -> str:
    """The trace id, 32 hexadecimal digits, of a valid traceparent."""
    return traceparent[3:35]


def _parsed(header: str | None) -> tuple[str, str] | None:
    match = _TRACEPARENT.match(header) if header is not None and len(header) <= 200 else None
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == "ff" or not trace_id.strip("0") or not parent_id.strip("0") or (version == "00" and rest):
        return None
    return trace_id, f"{int(flags, 16) & 1:02x}"


def tracing() -> bool:
    """Whether spans are made and exported."""
    return _provider is not None


def export_to(endpoint: str, *, service: str, instance: str | None) -> None:
    """Make spans from now on and send them to the collector at `endpoint` (OTLP over HTTP)."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if not tracing():
        address = f"{endpoint.rstrip('/')}/v1/traces"
        provider = _start(service, instance)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=5)))


def _start(service: str, instance: str | None) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    global _provider
    attributes = {"service.name": service, **({"service.instance.id": instance} if instance else {})}
    _provider = TracerProvider(resource=Resource.create(attributes))
    return _provider


def stop() -> None:
    """Send what is left and make no more spans."""
    global _provider
    if _provider is not None:
        _provider.shutdown()
        _provider = None


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = "internal",
    parent: str | None = None,
    links: Iterable[str | None] = (),
    attributes: Mapping[str, str | int] | None = None,
) -> Iterator[str | None]:
    """Time a piece of work as a span; yields the traceparent to hand on, which is `parent` where no spans are made."""
    if _provider is None:
        yield parent
        return
    from opentelemetry import trace

    linked = [trace.Link(context) for context in map(_context, list(links)[:_LINKS_MAX]) if context is not None]
    above = _context(parent)
    started = _provider.get_tracer("backbone").start_span(
        name,
        context=trace.set_span_in_context(trace.NonRecordingSpan(above)) if above else None,
        kind=trace.SpanKind[kind.upper()],
        links=linked,
        attributes=attributes,
    )
    with trace.use_span(started, end_on_exit=True, record_exception=False):
        own = started.get_span_context()
        yield f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags & 1:02x}"


def _context(traceparent: str | None) -> SpanContext | None:
    from opentelemetry.trace import SpanContext, TraceFlags

    if traceparent is None or _parsed(traceparent) is None:
        return None
    _, trace_id, span_id, flags = traceparent.split("-")[:4]
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
