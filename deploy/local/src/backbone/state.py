"""What runs: one file that every command reads, written in one step, readable by its owner only."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from backbone.faults import LocalError
from backbone.files import write_private
from backbone.processes import Process

Source = Literal["given", "container", "embedded"]


class Server(BaseModel):
    """PostgreSQL or Apache Kafka: where it comes from and, where it is ours, what runs it."""

    source: Source
    url: str
    process: Process | None = None
    container: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class ServiceProcess(BaseModel):
    """One process of a service. `settings` is a hash of all that it was told."""

    instance: str
    url: str
    process: Process
    settings: str


class Simulator(BaseModel):
    """The simulator's process and its three origins."""

    url: str
    stripe: str
    gocardless: str
    process: Process
    settings: str

    @property
    def ports(self) -> dict[str, int]:
        """The port of each origin."""
        origins = {"control": self.url, "stripe": self.stripe, "gocardless": self.gocardless}
        return {name: urlsplit(url).port or 0 for name, url in origins.items()}


class State(BaseModel):
    """The whole stack."""

    postgres: Server | None = None
    kafka: Server | None = None
    simulator: Simulator | None = None
    sources: dict[str, Source] = Field(default_factory=dict, description="Where data lie, also while nothing runs")
    services: dict[str, list[ServiceProcess]] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read the file; an empty state where there is none. Raises LocalError when it is damaged."""
        try:
            return cls.model_validate_json(path.read_text()) if path.exists() else cls()
        except ValidationError:
            raise LocalError(f"{path} is damaged: stop what still runs by hand, then remove it") from None
        except OSError as error:
            raise LocalError(f"{path} cannot be read: {error.strerror}") from error

    def save(self, path: Path) -> None:
        write_private(path, self.model_dump_json(indent=2))

    @property
    def is_up(self) -> bool:
        return self.postgres is not None and self.kafka is not None

    def processes(self) -> list[tuple[str, Process]]:
        """Everything that was started, by name, in the order in which it stops."""
        found = [(one.instance, one.process) for several in self.services.values() for one in several]
        if self.simulator is not None:
            found.append(("simulator", self.simulator.process))
        servers = (("kafka", self.kafka), ("postgres", self.postgres))
        return found + [(name, server.process) for name, server in servers if server and server.process]
