"""A service in a process of its own, as an operator runs it: started, killed and started again by a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from backbone import ports

from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import PUBLIC_KEY

_STOP_LIMIT_SECONDS: Final = 30
_LOG_TAIL_CHARACTERS: Final = 3_000


@dataclass(slots=True)
class ServiceProcess:
    """One process of a service on a port of its own, which it keeps when it starts again."""

    name: str
    variables: Mapping[str, str]
    log: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(
        cls, name: str, database: TemporaryDatabase, servers: str, prefix: str, directory: Path, **settings: Any
    ) -> ServiceProcess:
        """A process that is not started yet; `settings` are what differs from the defaults."""
        port = ports.free_port()
        given = {
            "database_url": database.url_for(name),
            "kafka_bootstrap_servers": servers,
            "topic_prefix": prefix,
            "token_public_keys": PUBLIC_KEY,
            "http_port": port,
            **settings,
        }
        variables = {f"{name.upper()}_{key.upper()}": str(value) for key, value in given.items()}
        return cls(name, variables, directory / f"{name}-{port}.log", port)

    @property
    def environment(self) -> dict[str, str]:
        """What the process is told; its other commands are told the same."""
        return {**os.environ, **self.variables}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, f"{self.name} was not started"
        return self.process

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.name, "serve"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        self.running.kill()
        assert self.running.wait(_STOP_LIMIT_SECONDS) == -signal.SIGKILL, self.tail()

    def stop(self) -> int:
        """Ask it to stop; returns its exit code."""
        self.running.terminate()
        try:
            return self.running.wait(_STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
            raise

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        """The end of what it said."""
        return self.log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]

    async def answers(self, path: str = "/health/live", status: int = 200, *, timeout_seconds: float = 60) -> Any:
        """Wait until `path` answers with `status`; returns the JSON. Fails with the log's end if the process ends."""

        async def ask() -> tuple[int, Any]:
            assert self.running.poll() is None, f"{self.name} ended with {self.running.returncode}:\n{self.tail()}"
            try:
                async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
                    answer = await client.get(self.url + path)
            except httpx.TransportError as error:
                return 0, type(error).__name__
            return answer.status_code, answer.json()

        return (await eventually(ask, lambda seen: seen[0] == status, timeout_seconds=timeout_seconds))[1]

    async def ready(self) -> None:
        """Wait until every part can do its work."""
        await self.answers("/health/ready")
