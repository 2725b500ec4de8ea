"""Tasks over HTTP.

Every change asks for the version that the caller has read (If-Match: 428 without, 412 when it is another). One answer
comes before that: who lost a race, to a claim or to an end, is told so with 409, the winner, the time and the outcome,
although the version that the caller has read is then stale too. It is what the caller needs to know; that the version
has moved follows from it. What is so already is answered as done.
"""

from __future__ import annotations

from tasks.http import opening, reading, transitions, wording

routers = [opening.router, reading.router, transitions.router, wording.router]

__all__ = ["routers"]
