"""The running local stack at rest: memory as PSS, CPU as a share of one core, beside their limits."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.processes import REPOSITORY, cpu_seconds, pss_bytes

SECONDS = 20.0
PSS_LIMIT_GIB = 1.9
CPU_LIMIT_PERCENT = 8.0
MIB = 2**20
GIB = 2**30


def report(console: Console) -> int:
    """Print the table; exit code 1 where a limit is passed, 2 where no stack runs."""
    status = _status()
    if status is None:
        console.print("no stack runs here: start it with `backbone up`")
        return 2
    roots = dict(_roots(status))
    with console.status(f"watching {len(roots)} parts of the stack for {SECONDS:.0f} s"):
        seen = watch(roots, SECONDS)
    total_pss, total_percent = sum(pss for _, pss, _ in seen), sum(percent for *_, percent in seen)
    table = Table(title="At rest", title_justify="left")
    table.add_column("part")
    for heading in ("pid", "PSS MiB", "% of a core"):
        table.add_column(heading, justify="right")
    for name, pss, percent in seen:
        table.add_row(name, str(roots[name]), f"{pss / MIB:,.0f}", f"{percent:.2f}")
    table.add_section()
    table.add_row("together", "", f"{total_pss / MIB:,.0f}", f"{total_percent:.2f}")
    table.add_row("limit", "", f"{PSS_LIMIT_GIB * 1024:,.0f}", f"{CPU_LIMIT_PERCENT:.2f}")
    console.print(table)
    return int(total_pss > PSS_LIMIT_GIB * GIB or total_percent > CPU_LIMIT_PERCENT)


def watch(roots: Mapping[str, int], seconds: float) -> list[tuple[str, int, float]]:
    """For each part, by the process at its root: its name, its PSS in bytes, and its share of a core in percent."""
    before = {name: cpu_seconds(pid) for name, pid in roots.items()}
    time.sleep(seconds)
    percent = {name: (cpu_seconds(pid) - before[name]) / seconds * 100 for name, pid in roots.items()}
    return [(name, sum(pss_bytes(_tree(pid)).values()), percent[name]) for name, pid in roots.items()]


def _status() -> dict[str, Any] | None:
    asked = subprocess.run(
        [sys.executable, "-m", "backbone", "status", "--json"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        status: dict[str, Any] = json.loads(asked.stdout)
    except ValueError:
        return None
    return status if status.get("services") else None


def _roots(status: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Each part's name and the process at its root."""
    yield "postgres", _listener(urlsplit(status["postgres"]["admin_url"]).port)
    yield "kafka", _listener(int(status["kafka"]["bootstrap_servers"].rpartition(":")[2]))
    for service in status["services"].values():
        for process in service["processes"]:
            yield process["instance"], process["pid"]
    yield "simulator", _listener(urlsplit(status["simulator"]["url"]).port)


def _listener(port: int | None) -> int:
    """The process that listens on `port`; of several that share it the oldest, a forking server's first."""
    pids = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.pid
        and connection.laddr
        and connection.laddr[1] == port
    }
    if not pids:
        raise LookupError(f"nothing of ours listens on port {port}")
    return min(pids, key=lambda pid: psutil.Process(pid).create_time())


def _tree(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
