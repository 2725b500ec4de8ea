"""What a request carries besides its own content: its id, its trace and, from those, the cause of what it changes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Scope

from chassis.ids import new_id
from chassis.telemetry import traces
from chassis.transaction import Cause

SCOPE_KEY: Final = "chassis"
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{7,99}\Z")


@dataclass(slots=True)
class RequestContext:
    """One request's ids; `traceparent` names our own span, never the caller's.

    `headers` go out with the answer, whatever it will be.
    """

    request_id: str
    traceparent: str
    receiving: bool = False
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def cause(self) -> Cause:
        """What a transaction of this request is caused by: the request's id starts or continues the correlation."""
        return Cause(self.request_id, None, self.traceparent)

    @classmethod
    def begin(cls, scope: Scope) -> RequestContext:
        """Read the ids that the caller sent, make those that it did not or that make no sense."""
        request_id = trace = None
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                request_id = value
            elif name == b"traceparent":
                trace = value
        sane = request_id is not None and _SANE_ID.match(request_id)
        context = cls(
            request_id.decode("ascii") if request_id is not None and sane else new_id(),
            traces.continued(None if trace is None else trace.decode("latin-1")),
        )
        scope[SCOPE_KEY] = context
        return context

    @classmethod
    def of(cls, scope: Scope) -> RequestContext:
        """The context of a request that the edge has begun."""
        context: RequestContext = scope[SCOPE_KEY]
        return context
