"""Where things lie: the clone, its `.backbone` directory, and a place that PostgreSQL's user can enter.

PostgreSQL refuses to run as root, so for root it runs as `nobody`. Where `nobody` cannot enter the clone (a home of
mode 0700), its data and a copy of its binaries live under /var/lib/backbone instead.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backbone.faults import LocalError
from backbone.processes import as_user

SYSTEM_PLACE: Final = Path("/var/lib/backbone")


@dataclass(frozen=True, slots=True)
class Places:
    """The clone and the directory that holds everything local mode keeps."""

    clone: Path
    home: Path

    @classmethod
    def of_clone(cls) -> Places:
        """The clone that this installation is part of. BACKBONE_HOME moves what local mode keeps elsewhere."""
        clone = Path(__file__).resolve().parents[4]
        return cls(clone, Path(os.environ.get("BACKBONE_HOME") or clone / ".backbone").absolute())

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def state(self) -> Path:
        return self.home / "state.json"

    @property
    def credentials(self) -> Path:
        return self.home / "credentials.json"

    @property
    def clock(self) -> Path:
        return self.home / "clock.json"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def kafka(self) -> Path:
        return self.home / "kafka"

    @property
    def system(self) -> Path:
        """The directory outside the clone that belongs to this stack alone. Need not exist."""
        owner = self.clone if self.home == self.clone / ".backbone" else self.home
        return SYSTEM_PLACE / hashlib.sha256(os.fsencode(owner)).hexdigest()[:16]

    @property
    def simulator(self) -> Path:
        return self.home / "simulator.json"

    def prepare(self) -> None:
        """Make the directories. Raises LocalError where the place cannot be written."""
        try:
            # Others may pass through (PostgreSQL's user has to) but not look around.
            self.home.mkdir(mode=0o711, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            probe = self.home / f".writable.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise LocalError(f"{self.home} is not writable: {error.strerror}") from error


def postgres_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as: `nobody` for root, else whoever asks (None)."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise LocalError("PostgreSQL cannot run as root, and there is no user `nobody` to run it as") from None


def can_enter(directory: Path, user: pwd.struct_passwd | None) -> bool:
    """Whether `user` may pass through `directory`, asked of the system rather than worked out from modes."""
    if user is None:
        return os.access(directory, os.X_OK)
    asked = subprocess.run(
        ["/bin/sh", "-c", 'cd "$0"', directory], cwd="/", capture_output=True, check=False, **as_user(user)
    )
    return asked.returncode == 0


def postgres_place(places: Places, user: pwd.struct_passwd | None) -> Path:
    """Where the cluster lies. Data that exist decide, so that a changed mode never makes them seem lost."""
    if user is None or ((places.home / "postgres" / "data").exists() and can_enter(places.home, user)):
        return places.home
    if (places.system / "postgres" / "data").exists():
        return places.system
    return places.home if can_enter(places.home, user) else places.system
