"""A generator of calls, a process of its own: requests that were written to a file, sent on a fixed timetable.

The file holds whole HTTP requests, each after its length; they are sent in turn, over and over if need be. Latency
counts from the timetable. It prints what `tests.bench.load` prints.
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from tests.bench.load import Load, tell, write

LENGTH = struct.Struct("<I")


def request(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """One request as it goes over the wire."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    told = {"host": parts.netloc, "accept": "*/*", **headers}
    if body:
        told |= {"content-type": "application/json", "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def store(file: Path, requests: Iterable[bytes]) -> None:
    file.write_bytes(b"".join(LENGTH.pack(len(each)) + each for each in requests))


def _stored(file: Path) -> list[bytes]:
    content, at, found = file.read_bytes(), 0, []
    while at < len(content):
        (length,) = LENGTH.unpack_from(content, at)
        at += LENGTH.size
        found.append(content[at : at + length])
        at += length
    return found


async def main(arguments: argparse.Namespace) -> None:
    wanted = int((arguments.seconds + arguments.warm_up) * arguments.rate * 1.1) + 1
    requests = deque(enumerate(islice(cycle(_stored(Path(arguments.requests))), wanted)))
    load = Load(requests, arguments.rate)
    await load.connect(arguments.url, arguments.connections)
    tell("ready")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await load.run(arguments.url, arguments.connections, arguments.warm_up)
    tell("measuring")
    await load.run(arguments.url, arguments.connections, arguments.seconds)
    tell("measured")
    await load.drain()
    write(load.answers, Path(arguments.out))
    tell("done")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--requests", required=True, help="file of requests")
    parser.add_argument("--out", required=True, help="file for the answers")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=4.0)
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(parsed()))
