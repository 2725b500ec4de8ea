"""If-Match and ETag: a writer says which version it has seen, an answer says which version it shows.

Answers of models with a `version` carry `ETag: "<version>"`. A write that takes `IfMatch` is refused with 428 when the
header is missing and with 412 when the use case finds another version (`chassis.versions`). `*` is refused too: it
would say that the writer does not care what it overwrites.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import orjson
from fastapi import Depends, Header
from starlette.responses import Response

from chassis.web.problems import BAD_REQUEST, PRECONDITION_REQUIRED, Problem

_TAG: Final = re.compile(r'"(0|[1-9][0-9]{0,17})"')


async def if_match(
    value: Annotated[
        str | None,
        Header(
            alias="If-Match", description='The version that was read, as its answer\'s ETag had it: `"3"`; required'
        ),
    ] = None,
) -> int:
    """The version that the caller expects."""
    if value is None:
        raise Problem(PRECONDITION_REQUIRED, "Send the version that you have read as `If-Match`, in double quotes.")
    tag = _TAG.fullmatch(value.strip())
    if tag is None:
        raise Problem(BAD_REQUEST, 'If-Match must be one version in double quotes, as the ETag has it: `"3"`.')
    return int(tag[1])


IfMatch = Annotated[int, Depends(if_match)]


def tag(response: Response) -> None:
    """Give `response`, whose body is JSON with a version, the ETag of that version."""
    version = orjson.loads(response.body).get("version")
    if isinstance(version, int):
        response.headers["ETag"] = f'"{version}"'
