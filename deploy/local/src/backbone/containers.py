"""PostgreSQL and Apache Kafka in containers, through testcontainers, where an engine answers and has the images.

Images are never pulled: a start that depends on a registry's mood is no start. What is missing locally is said. A
container may go at any time; the data lie in a volume of the same name, and the next container takes it over.
"""

from __future__ import annotations

import os
import socket
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from backbone import kafka, postgres
from backbone.faults import LocalError
from backbone.waiting import Progress, wait_for

POSTGRES_IMAGE: Final = "postgres:18"
KAFKA_IMAGE: Final = "apache/kafka:4.3.1"
ENGINE_TIMEOUT_SECONDS: Final = 3
START_LIMIT_SECONDS: Final = 90
STOP_LIMIT_SECONDS: Final = 30
SOCKET: Final = Path("/var/run/docker.sock")
KAFKA_DATA: Final = "/var/lib/kafka/data"
# Any will do, as long as a volume meets the same one again.
KAFKA_CLUSTER_ID: Final = "YmFja2JvbmUtbG9jYWwtMQ"


def why_not() -> str | None:
    """Why containers cannot be used here, as half a sentence; None where they can."""
    if "DOCKER_HOST" not in os.environ and not SOCKET.exists():
        return "no container engine answers"
    from docker.errors import DockerException, ImageNotFound  # type: ignore[import-untyped]

    try:
        with closing(_engine(ENGINE_TIMEOUT_SECONDS)) as engine:
            engine.ping()
            missing = [image for image in (POSTGRES_IMAGE, KAFKA_IMAGE) if not _has(engine, image, ImageNotFound)]
    except (DockerException, OSError):
        return "no container engine answers"
    return f"the container engine does not have {' and '.join(missing)}" if missing else None


def start_postgres(name: str, port: int, password: str, progress: Progress) -> str:
    """Start PostgreSQL in a container that listens on 127.0.0.1 at `port`: the superuser's URL."""
    # The container has an inside of its own: there it listens everywhere, outside on 127.0.0.1 alone.
    settings = {**postgres.SETTINGS, "listen_addresses": "*", "unix_socket_directories": "/var/run/postgresql"}
    container = _container(name, POSTGRES_IMAGE, "/var/lib/postgresql", 5432, port)
    container.with_env("POSTGRES_PASSWORD", password)
    container.with_command(["postgres", *(f"-c{key}={value}" for key, value in settings.items())])
    container.start()
    url = f"postgresql://{postgres.ADMIN}:{password}@127.0.0.1:{port}/postgres"
    _wait(name, f"PostgreSQL in a container on port {port}", partial(postgres.accepts, url), progress)
    return url


def start_kafka(name: str, port: int, progress: Progress) -> str:
    """Start Apache Kafka in a container that listens on 127.0.0.1 at `port`: bootstrap servers."""
    settings = {
        **kafka.SETTINGS,
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"{kafka.NODE_ID}@127.0.0.1:9093",
        "log.dirs": KAFKA_DATA,
    }
    container = _container(name, KAFKA_IMAGE, KAFKA_DATA, port, port)
    container.with_env("CLUSTER_ID", KAFKA_CLUSTER_ID)
    container.with_env("KAFKA_HEAP_OPTS", "-Xms64m -Xmx384m")
    for key, value in settings.items():
        container.with_env(f"KAFKA_{key.upper().replace('.', '_')}", value)
    container.start()
    _wait(name, f"Apache Kafka in a container on port {port}", partial(kafka.serves, port), progress)
    return f"127.0.0.1:{port}"


def is_running(container: str) -> bool:
    """Whether the container with this name or id runs."""
    from docker.errors import DockerException

    try:
        with closing(_engine()) as engine:
            return bool(engine.containers.get(container).status == "running")
    except (DockerException, OSError):
        return False


def stop(container: str, *, with_data: bool = False) -> None:
    """Stop and remove a container, if it is there; its volume stays unless `with_data`."""
    from docker.errors import DockerException, NotFound

    try:
        with closing(_engine()) as engine:
            try:
                found = engine.containers.get(container)
            except NotFound:
                name = container
            else:
                name = found.name
                found.stop(timeout=STOP_LIMIT_SECONDS)
                found.remove(v=False)
            if with_data and name in {volume.name for volume in engine.volumes.list()}:
                engine.volumes.get(name).remove()
    except (DockerException, OSError) as error:
        raise LocalError(f"the container {container} cannot be stopped: {error}") from error


def _engine(timeout_seconds: int = 2 * STOP_LIMIT_SECONDS) -> Any:
    """A client of the engine. Raises OSError or DockerException where none answers."""
    import docker  # type: ignore[import-untyped]

    # The client leaves its sockets open when it finds nobody, so it is asked first whether there is somebody.
    host = urlsplit(os.environ.get("DOCKER_HOST") or f"unix://{SOCKET}")
    if host.scheme == "unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(host.path)
    elif host.hostname is not None:
        socket.create_connection((host.hostname, host.port or 2375), timeout=ENGINE_TIMEOUT_SECONDS).close()
    return docker.from_env(timeout=timeout_seconds)


def _has(engine: Any, image: str, missing: type[Exception]) -> bool:
    try:
        engine.images.get(image)
    except missing:
        return False
    return True


def _container(name: str, image: str, data: str, inside_port: int, port: int) -> Any:
    """A container that is not yet started, in place of whatever had its name."""
    # The reaper would end, with this command, what is meant to stay.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    from testcontainers.core.container import DockerContainer

    stop(name)
    container = DockerContainer(image, name=name)
    container.with_volume_mapping(name, data, "rw")
    container.ports[f"{inside_port}/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]
    return container


def _wait(name: str, what: str, ready: Any, progress: Progress) -> None:
    wait_for(what, ready, limit_seconds=START_LIMIT_SECONDS, progress=progress, alive=partial(is_running, name))
