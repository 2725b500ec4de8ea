"""What is measured, and how each is started: the same process contract for ours, the floor and the first draft."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from contracts.topics import PAYMENTS_EVENTS

from tests.bench.figures import Name, Round, Verdict
from tests.bench.lab import Lab, new_run
from tests.bench.processes import Measured
from tests.support.infrastructure import TemporaryDatabase

SECRET = "whsec_of_the_bench_and_of_nothing_else"


class Subject(Protocol):
    """One subject on one path, for one round."""

    async def prepare(self) -> None:
        """Make its database and topics, and all that is to be sent."""

    async def run(self) -> Round:
        """Start it, measure it, stop it."""

    async def verify(self) -> Verdict:
        """Compare what is stored with what was promised."""

    async def clean_up(self) -> None:
        """Remove its database."""


@dataclass(slots=True)
class Place:
    """Where one round of one subject works: a database, a topic and a group that nobody else uses."""

    lab: Lab
    name: Name
    run: str
    database: TemporaryDatabase
    schema: str

    @property
    def topic(self) -> str:
        return f"{self.prefix}{PAYMENTS_EVENTS.name}"

    @property
    def prefix(self) -> str:
        return f"{self.run}-"

    @classmethod
    async def of(cls, lab: Lab, name: Name, *services: str) -> Place:
        """A new place; `services` are those of ours that play this part, the first one's schema holds the rows."""
        if name == "ours":
            return cls(lab, name, new_run(), await lab.service_database(*services), services[0])
        return cls(lab, name, new_run(), await lab.baseline_database(), "public")

    def baseline(self, part: str, listen_fd: int | None = None) -> Measured:
        """The process of the floor or the first draft that plays `part`."""
        environment = {
            "DATABASE_URL": self.database.admin_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.lab.kafka,
            "TOPIC": self.topic,
            "GROUP": self.run,
            "WEBHOOK_SECRET": SECRET,
        }
        fds = [] if listen_fd is None else [listen_fd]
        if listen_fd is not None:
            environment["LISTEN_FD"] = str(listen_fd)
        log = self.lab.log(f"{self.name}-{part}-{self.run}")
        return Measured(f"{self.name} {part}", [f"tests.bench.{self.name}.{part}"], environment, log, fds)

    def service(self, service: str, port: int, *parts: str, **settings: str) -> Measured:
        """A process of one of our services with just these `parts` (http, work, relay, consume) switched on."""
        told = {
            "database_url": self.database.url_for(service),
            "kafka_bootstrap_servers": self.lab.kafka,
            "topic_prefix": self.prefix,
            "http_port": str(port),
            "log_level": "warning",
            **{part: str(part in parts).lower() for part in ("http", "work", "relay", "consume")},
            **settings,
        }
        environment = {f"{service.upper()}_{name.upper()}": value for name, value in told.items()}
        log = self.lab.log(f"ours-{service}-{self.run}")
        return Measured(f"our {service}", [service, "serve"], environment, log)


Factory = Callable[[Lab, Name], Subject]
