"""Logs: one JSON object a line, from our code and from every library, through one pipeline.

What may not be logged is stopped here and not by good intentions: fields named like secrets or bodies are masked,
passwords are cut out of URLs, and of an error only its class, the first line of its message and the places it passed
are written, because the rest of a database's or a validator's message quotes the row that it refused.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TextIO

import orjson
import structlog
from pydantic import ValidationError

MASK: Final = "[masked]"
_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039 - never mutated
_FORBIDDEN: Final = re.compile(
    r"(^|_)(password|passwd|secret|secrets|token|authorization|cookie|signature|private_key|api_key|body|payload)$",
    re.IGNORECASE,
)
_URL_PASSWORD: Final = re.compile(r"(://[^\s:/@]*:)[^\s@]+@")
_BEARER: Final = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_ARGUMENT: Final = re.compile(r"(invalid input for query argument \$\d+).*", re.DOTALL)
_MESSAGE_MAX_CHARACTERS: Final = 500
_FRAMES_MAX: Final = 40
_CHAIN_MAX: Final = 8
_LEVELS: Final[Mapping[str, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Chatty below this: their information is ours to tell, or is told for every request.
_QUIET: Final[Mapping[str, int]] = {
    "uvicorn.access": logging.WARNING,
    "aiokafka": logging.WARNING,
    "aiokafka.consumer.fetcher": logging.ERROR,
    "alembic": logging.INFO,
    "sqlalchemy.engine": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
}


@contextmanager
def bound(**ids: str | None) -> Iterator[None]:
    """Put `ids` on every line that is logged inside the block; None leaves one out."""
    token = _context.set({**_context.get(), **{name: value for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        _context.reset(token)


def bind(ids: Mapping[str, str]) -> None:
    """Put `ids` on every line of this task from here on; for the edge that owns the task."""
    _context.set(ids)


def bind_more(**ids: str) -> None:
    """Put `ids` on every further line of this task, beside those that are on it."""
    _context.set({**_context.get(), **ids})


def configure(service: str, instance: str | None, level: str, stream: TextIO | None = None) -> None:
    """Send every logger's lines, as JSON, to `stream` (standard error)."""
    identity = {"service": service, **({"instance": instance} if instance else {})}

    def identify(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**identity, **_context.get(), **event}

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        identify,
        _explain,
        _mask,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _rendered],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    logging.raiseExceptions = False  # a line that cannot be written must not end the work that it tells of
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, _LEVELS[level]))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=False,
    )


def _explain(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn `exc_info` into `error`: who complained, why, and where."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = given if isinstance(given, BaseException) else None
    if given and error is None:
        error = given[1] if isinstance(given, tuple) else sys.exc_info()[1]
    if error is not None:
        event["error"] = [_described(link) for link in _chain(error)]
    return event


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_CHAIN_MAX):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _described(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES_MAX)
    return {
        "class": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": message_of(error),
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def message_of(error: BaseException) -> str:
    """What an error says, without the input or the row that it quotes."""
    if isinstance(error, ValidationError):
        found = error.errors(include_input=False, include_url=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['type']}" for each in found[:5])
    return _clean(str(error).strip().split("\n", 1)[0])[:_MESSAGE_MAX_CHARACTERS]


def _mask(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if _FORBIDDEN.search(name):
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = _clean(value)
        elif isinstance(value, bytes | bytearray | memoryview):
            event[name] = f"[{len(value)} bytes]"
        elif isinstance(value, BaseException):
            event[name] = f"{type(value).__name__}: {message_of(value)}"
    return event


def _clean(text: str) -> str:
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1{MASK}@", text)
    text = _ARGUMENT.sub(r"\1", text)
    return _BEARER.sub(rf"\1 {MASK}", text) if "earer" in text or "asic" in text else text


def _rendered(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    try:
        return orjson.dumps(event, default=_named).decode()
    except TypeError:
        return orjson.dumps({name: _writable(value) for name, value in event.items()}, default=_named).decode()


def _writable(value: object) -> object:
    """The value, or in ASCII what JSON cannot hold: text that is not Unicode, an integer beyond 64 bits."""
    try:
        orjson.dumps(value, default=_named)
    except TypeError:
        return ascii(value)
    return value


def _named(value: object) -> str:
    return f"<{type(value).__name__}>"
