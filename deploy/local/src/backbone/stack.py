"""The whole stack: up, down and reset, each of which may be asked for at any time and as often as one likes.

`up` looks at what runs and starts the rest. Whatever it starts is written down at once, and is stopped again when it
is interrupted or fails, so that there is never a process that no command knows of.
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from chassis import provisioning
from contracts.topics import TOPICS

from backbone import migrating, processes, topics
from backbone.catalogue import (
    ROLES,
    SERVICES,
    SIMULATOR,
    SIMULATOR_PORTS,
    Service,
    Surroundings,
    fingerprint,
    simulating,
)
from backbone.credentials import Credentials
from backbone.faults import LocalError
from backbone.health import is_ready
from backbone.places import Places
from backbone.ports import Ports, is_free
from backbone.processes import Process
from backbone.servers import Servers, is_running, log_of
from backbone.settings import LocalSettings
from backbone.state import ServiceProcess, Simulator, State
from backbone.waiting import SILENT, Progress, Shared, wait_for

MIGRATION_LIMIT_SECONDS: Final = 300
READY_LIMIT_SECONDS: Final = 90
STOP_LIMIT_SECONDS: Final = 30
LOCK_LIMIT_SECONDS: Final = 120
# Stands in the environment of every process of a stack, so that none can be lost.
MARK: Final = "LOCAL_STACK"


@dataclass(slots=True)
class Stack:
    """One stack, for as long as one command works on it."""

    places: Places
    settings: LocalSettings
    credentials: Credentials
    state: State
    progress: Shared
    ports: Ports
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def up(self, counts: Mapping[str, int]) -> State:
        """Start what does not run. `counts` says how many processes of a service; as many as there were otherwise."""
        before = self.state.model_copy(deep=True)
        self._stop_strays()
        try:
            for service in SERVICES:
                service.insisted_port()  # says what is wrong with it before anything starts
            self._start_servers()
            # As late as can be: a port that is free now is listened on in a moment.
            plan = self._planned(counts)
            around = replace(self.around, services={name: list(urls.values()) for name, urls in plan.items()})
            self._retire(plan, around)
            for service in SERVICES:
                self._start_service(service, around, plan[service.name])
            self._start_simulator(around)
            self._wait_until_ready()
        except BaseException:
            self._return_to(before)
            raise
        return self.state

    def down(self) -> None:
        """Stop everything that is ours. Data stay."""
        self._stop_strays()
        self._stop_all(self.state)
        self.state = State(sources=self.state.sources)
        self.state.save(self.places.state)

    def reset(self) -> None:
        """Stop everything and delete all data, secrets and logs."""
        self.down()
        self.servers.delete_data()
        for path in self.places.home.iterdir():
            if path != self.places.lock:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def migrate(self, *, only_new: bool = False) -> None:
        """Make every service's roles and schema, and run its migrations; `only_new` spares those that have been run."""
        around = self.around
        due = []
        for service in SERVICES:
            self.progress.check()
            self.progress.waiting(f"making the roles and the schema of {service.name}")
            owner, role = (around.credentials.roles[name] for name in service.roles)
            asyncio.run(provisioning.provision(around.admin_url, provisioning.Roles(service.package, owner, role)))
            had = asyncio.run(migrating.had(around.admin_url, service.package))
            if not only_new or had != migrating.wanted(service.package):
                due.append(service)
        self.progress.together([partial(self._migrate, service, around) for service in due])

    @property
    def servers(self) -> Servers:
        return Servers(
            self.places, self.settings, self.credentials, self.state.sources, self.ports.choose, self.progress
        )

    @property
    def around(self) -> Surroundings:
        """What processes are told. Raises LocalError before PostgreSQL is up."""
        if self.state.postgres is None:
            raise LocalError("the stack is not up: run `backbone up`")
        return Surroundings(
            self.state.postgres.url,
            self._bootstrap_servers,
            self.places.clock,
            self.credentials,
            self._simulator_ports,
            {name: [one.url for one in several] for name, several in self.state.services.items()},
        )

    @property
    def _simulator_ports(self) -> dict[str, int]:
        """Where the simulator's origins are, or will be in a moment: payments starts first and reads from them."""
        running = self.state.simulator
        if running is not None and running.process.running:
            return running.ports
        return {origin: self.ports.choose(name) for origin, name in SIMULATOR_PORTS.items()}

    @property
    def _bootstrap_servers(self) -> str:
        """Where Apache Kafka is, or will be in a moment: migrations run while it starts."""
        running = self.state.kafka if self.state.kafka and is_running(self.state.kafka) else None
        return self.settings.kafka or (running.url if running else f"127.0.0.1:{self.ports.choose('kafka')}")

    def _start_servers(self) -> None:
        self.progress.together([self._start_postgres, self._start_kafka])

    def _start_postgres(self) -> None:
        server = self.servers.postgres(self.state.postgres)
        with self._noted():
            self.state.postgres = server
            if server.source != "given":
                self.state.sources["postgres"] = server.source
        self.migrate(only_new=True)

    def _start_kafka(self) -> None:
        server = self.servers.kafka(self.state.kafka)
        with self._noted():
            self.state.kafka = server
            if server.source != "given":
                self.state.sources["kafka"] = server.source
        self.progress.waiting("making the topics and joining a group for the first time")
        for change in topics.apply(server.url, TOPICS):
            self.progress.said(f"topic {change}")
        topics.warm_up(server.url, TOPICS[0])

    def _migrate(self, service: Service, around: Surroundings) -> None:
        wanted = migrating.wanted(service.package)
        processes.run(
            service.command("migrate"),
            f"the migrations of {service.name}",
            log=log_of(self.places, f"{service.name}-migrate"),
            environment=service.migrating(around),
            directory=self.places.home,
            limit_seconds=MIGRATION_LIMIT_SECONDS,
            progress=self.progress,
        )
        asyncio.run(migrating.note(around.admin_url, service.package, wanted))

    def _start_simulator(self, around: Surroundings) -> None:
        environment = simulating(around, self.places.simulator)
        running = self.state.simulator
        if running is not None and running.process.running:
            if running.settings == fingerprint(environment):
                return
            self.progress.waiting("waiting for the simulator to stop: its settings have changed")
            running.process.stop(limit_seconds=STOP_LIMIT_SECONDS)
        process = self._start("simulator", [sys.executable, "-m", SIMULATOR], environment)
        control, stripe, gocardless = (around.origin(name) for name in SIMULATOR_PORTS)
        with self._noted():
            self.state.simulator = Simulator(
                url=control, stripe=stripe, gocardless=gocardless, process=process, settings=fingerprint(environment)
            )

    def _planned(self, counts: Mapping[str, int]) -> dict[str, dict[str, str]]:
        """Where each process of each service is, or will be: all are told of each other before the first starts."""
        plan: dict[str, dict[str, str]] = {}
        for service in SERVICES:
            recorded = {one.instance: one for one in self.state.services.get(service.name, [])}
            wanted = counts.get(service.name, max(1, len(recorded)))
            instances = [f"{service.name}-{number}" for number in range(1, wanted + 1)]
            ports = {instance: self._port(service, instance, recorded.get(instance)) for instance in instances}
            plan[service.name] = {instance: f"http://127.0.0.1:{port}" for instance, port in ports.items()}
        return plan

    def _port(self, service: Service, instance: str, recorded: ServiceProcess | None) -> int:
        """The port of a process: one that ran keeps its own while nobody else has taken it."""
        insisted = service.insisted_port()
        name = service.name if instance.endswith("-1") else instance
        if insisted is not None:
            return insisted
        if recorded is not None:
            port = urlsplit(recorded.url).port or 0
            if recorded.process.running or (name not in self.ports.fixed and is_free(port)):
                return port
        return self.ports.choose(name)

    def _retire(self, plan: Mapping[str, Mapping[str, str]], around: Surroundings) -> None:
        """Stop the processes that are too many, and those that would be told something else by now."""
        surplus: list[ServiceProcess] = []
        outdated: list[tuple[Service, ServiceProcess]] = []
        for service in SERVICES:
            for one in self.state.services.get(service.name, []):
                url = plan[service.name].get(one.instance)
                if url is None:
                    surplus.append(one)
                elif one.process.running and one.settings != _told(service, around, one.instance, url):
                    outdated.append((service, one))
        # Migrations read the same settings: a mistake in them is found while the old processes still serve.
        changed = dict.fromkeys(service for service, _ in outdated)
        self.progress.together([partial(self._migrate, service, around) for service in changed])
        retired = [*surplus, *(one for _, one in outdated)]
        if retired:
            why = "their settings have changed" if outdated else "they are too many"
            self.progress.waiting(f"waiting for {', '.join(one.instance for one in retired)} to stop: {why}")
        self.progress.together([partial(one.process.stop, limit_seconds=STOP_LIMIT_SECONDS) for one in retired])

    def _start_service(self, service: Service, around: Surroundings, plan: Mapping[str, str]) -> None:
        """Bring a service to the processes of `plan`, by instance where each listens."""
        recorded = {one.instance: one for one in self.state.services.get(service.name, [])}
        kept = {instance: one for instance, one in recorded.items() if instance in plan}
        for instance, url in plan.items():
            one = recorded.get(instance)
            if one is None or not one.process.running:
                process = self._start(instance, service.command("serve"), _serving(service, around, instance, url))
                settings = _told(service, around, instance, url)
                one = ServiceProcess(instance=instance, url=url, process=process, settings=settings)
            with self._noted():
                kept[instance] = one
                self.state.services[service.name] = list(kept.values())

    def _start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Process:
        self.progress.check()
        log = log_of(self.places, name)
        marked = {**environment, MARK: str(self.places.home)}
        return processes.start(command, log=log, environment=marked, directory=self.places.home)

    def _wait_until_ready(self) -> None:
        for several in self.state.services.values():
            for one in several:
                self._wait_for(one.instance, one.process, one.url, "/health/ready")
        if self.state.simulator is not None:
            self._wait_for(SIMULATOR, self.state.simulator.process, self.state.simulator.url, "/health")

    def _wait_for(self, name: str, process: Process, url: str, path: str) -> None:
        wait_for(
            f"{name} at {url}",
            partial(is_ready, url, path),
            limit_seconds=READY_LIMIT_SECONDS,
            progress=self.progress,
            alive=partial(_runs, process),
            log=log_of(self.places, name),
        )

    def _return_to(self, before: State) -> None:
        """Stop what is not in `before`: an interrupted or failed `up` leaves nothing behind that it started."""
        known = {process for _, process in before.processes()}
        started = self.state.model_copy(deep=True)
        started.services = {
            name: [one for one in several if one.process not in known] for name, several in started.services.items()
        }
        if started.simulator is not None and started.simulator.process in known:
            started.simulator = None
        started.postgres = started.postgres if started.postgres != before.postgres else None
        started.kafka = started.kafka if started.kafka != before.kafka else None
        self._stop_all(started)
        before.sources = self.state.sources
        self.state = before
        self.state.save(self.places.state)

    def _stop_strays(self) -> None:
        """Stop processes of this stack that the state does not know: those of a command that was killed."""
        known = {process for _, process in self.state.processes()}
        strays = [stray for stray in processes.marked(MARK, str(self.places.home)) if stray not in known]
        self.progress.together([partial(stray.stop, limit_seconds=STOP_LIMIT_SECONDS) for stray in strays])

    def _stop_all(self, state: State) -> None:
        """Stop all that `state` names: first what works, then what it works on."""
        several = [one.process for some in state.services.values() for one in some]
        if state.simulator is not None:
            several.append(state.simulator.process)
        self.progress.waiting("waiting for the services to finish what they do")
        self.progress.together([partial(process.stop, limit_seconds=STOP_LIMIT_SECONDS) for process in several])
        servers = [server for server in (state.postgres, state.kafka) if server is not None]
        self.progress.waiting("waiting for PostgreSQL and Apache Kafka to stop")
        self.progress.together([partial(self.servers.stop, server) for server in servers])

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Change the state and write it down."""
        with self._guard:
            yield
            self.state.save(self.places.state)


@contextmanager
def opened(places: Places, settings: LocalSettings, progress: Progress) -> Iterator[Stack]:
    """The stack of `places`, for one command at a time."""
    places.prepare()
    with _locked(places.lock, progress):
        credentials = Credentials.load(places.credentials, ROLES)
        ports = Ports(settings.ports, progress)
        yield Stack(places, settings, credentials, State.load(places.state), Shared(progress), ports)


def looked_at(places: Places, settings: LocalSettings) -> Stack:
    """The stack of `places`, to look at only: nothing is locked and nothing is made. Raises LocalError."""
    if not places.credentials.exists():
        raise LocalError("the stack is not up: run `backbone up`")
    credentials = Credentials.load(places.credentials, [])
    return Stack(places, settings, credentials, State.load(places.state), Shared(SILENT), Ports(settings.ports, SILENT))


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as file:

        def ours() -> bool:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        wait_for("another backbone command to finish", ours, limit_seconds=LOCK_LIMIT_SECONDS, progress=progress)
        yield


def _serving(service: Service, around: Surroundings, instance: str, url: str) -> dict[str, str]:
    return service.serving(around, instance, urlsplit(url).port or 0)


def _told(service: Service, around: Surroundings, instance: str, url: str) -> str:
    """A hash of all that this process is told, or would be."""
    return fingerprint(_serving(service, around, instance, url))


def _runs(process: Process) -> bool:
    return process.running
