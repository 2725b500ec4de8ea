"""PostgreSQL and Apache Kafka in containers, through testcontainers, where an engine answers and has the images.

Images are never pulled: a start that depends on a registry's mood is no start. What is missing locally is said.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

POSTGRES_IMAGE: Final = "postgres:18"
KAFKA_IMAGE: Final = "apache/kafka:4.3.1"
ENGINE_TIMEOUT_SECONDS: Final = 3
SOCKET: Final = Path("/var/run/docker.sock")


def why_not() -> str | None:
    """Why containers cannot be used here, as half a sentence; None where they can."""
    if "DOCKER_HOST" not in os.environ and not SOCKET.exists():
        return "no container engine answers"
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException, ImageNotFound  # type: ignore[import-untyped]

    try:
        client = docker.from_env(timeout=ENGINE_TIMEOUT_SECONDS)
        try:
            client.ping()
            for image in (POSTGRES_IMAGE, KAFKA_IMAGE):
                client.images.get(image)
        finally:
            client.close()
    except ImageNotFound:
        return f"the container engine does not have {POSTGRES_IMAGE} and {KAFKA_IMAGE}"
    except (DockerException, OSError):
        return "no container engine answers"
    return None


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL in a container while the context is open: its superuser's URL."""
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer(POSTGRES_IMAGE, driver=None) as container:
        yield container.get_connection_url()


@contextmanager
def kafka() -> Iterator[str]:
    """An Apache Kafka in a container while the context is open: its bootstrap servers."""
    container: Any = _kafka_container()
    with container:
        yield container.get_bootstrap_server()


def _kafka_container() -> Any:
    from testcontainers.kafka import KafkaContainer

    return KafkaContainer(KAFKA_IMAGE)
