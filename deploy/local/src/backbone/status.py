"""What runs, in the form that other programs read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from rich.table import Table

from backbone.catalogue import BY_NAME, Surroundings
from backbone.credentials import Credentials
from backbone.health import is_ready
from backbone.processes import Process
from backbone.state import ServiceProcess, State

Document = dict[str, Any]


def status(state: State, around: Surroundings, credentials: Credentials) -> Document:
    """The stack as `backbone status --json` prints it. A pid is null where the process has ended."""
    simulator = state.simulator
    return {
        "postgres": {
            "admin_url": around.admin_url,
            "services": {name: BY_NAME[name].database_url(around) for name in state.services},
        },
        "kafka": {"bootstrap_servers": around.bootstrap_servers},
        "services": {name: _service(several) for name, several in state.services.items()},
        "simulator": {
            "url": simulator.url if simulator else None,
            "stripe": simulator.stripe if simulator else None,
            "gocardless": simulator.gocardless if simulator else None,
        },
        "webhook_secrets": {"stripe": credentials.stripe_webhook, "gocardless": credentials.gocardless_webhook},
    }


def _service(several: list[ServiceProcess]) -> dict[str, Any]:
    with ThreadPoolExecutor(max(1, len(several))) as pool:
        processes = list(pool.map(_process, several))
    first = processes[0]
    ready = all(process["ready"] for process in processes)
    return {"url": first["url"], "pid": first["pid"], "ready": ready, "processes": processes}


def _process(one: ServiceProcess) -> dict[str, Any]:
    pid = _pid(one.process)
    return {"instance": one.instance, "url": one.url, "pid": pid, "ready": pid is not None and is_ready(one.url)}


def _pid(process: Process) -> int | None:
    return process.pid if process.running else None


def as_table(document: Document) -> Table:
    """The same for people; passwords are left out."""
    table = Table("what", "where", "pid", "state", box=None)
    postgres = urlsplit(document["postgres"]["admin_url"])
    table.add_row("PostgreSQL", f"{postgres.hostname}:{postgres.port}{postgres.path}", "", "")
    table.add_row("Apache Kafka", document["kafka"]["bootstrap_servers"], "", "")
    for service in document["services"].values():
        for one in service["processes"]:
            state = "ready" if one["ready"] else "ended" if one["pid"] is None else "not ready"
            table.add_row(one["instance"], one["url"], str(one["pid"] or ""), state)
    for name, origin in (("simulator", "url"), ("  Stripe", "stripe"), ("  GoCardless", "gocardless")):
        table.add_row(name, document["simulator"][origin] or "", "", "")
    return table
