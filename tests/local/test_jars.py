"""Apache Kafka's jars are held to the committed list: by content, whatever a cache or a repository says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from backbone import jars
from backbone.faults import LocalError
from backbone.waiting import SILENT


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def repository(directory: Path) -> Iterator[str]:
    """A Maven repository over HTTP that serves what lies in `directory`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all jars as they should be."""
    cache = jars.cache_directory(fallback=tmp_path_factory.mktemp("jars"))
    jars.class_path(cache, SILENT)
    return cache


def copy_of(good: Path, place: Path, *, without: jars.Jar) -> Path:
    for jar in jars.locked():
        if jar != without:
            target = place / jar.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(good / jar.path)
    return place


@pytest.fixture
def small() -> jars.Jar:
    return next(jar for jar in jars.locked() if jar.artifact == "slf4j-simple")


def test_the_list_names_the_pinned_broker_and_every_jar_once() -> None:
    listed = jars.locked()
    assert jars.Jar("org.apache.kafka", "kafka_2.13", "4.3.1", listed[0].sha256).path in {jar.path for jar in listed}
    assert len({(jar.group, jar.artifact) for jar in listed}) == len(listed)
    assert all(len(jar.sha256) == 64 for jar in listed)
    named = {f"{jar.group}:{jar.artifact}:{jar.version}" for jar in listed}
    assert set(jars.COORDINATES) <= named


def test_a_jar_with_other_bytes_is_fetched_anew(good: Path, small: jars.Jar, tmp_path: Path) -> None:
    cache = copy_of(good, tmp_path, without=small)
    (cache / small.path).parent.mkdir(parents=True, exist_ok=True)
    # What an interrupted download leaves.
    (cache / small.path).write_bytes((good / small.path).read_bytes()[:100])

    with repository(good) as url:
        class_path = jars.class_path(cache, SILENT, url)

    assert (cache / small.path).read_bytes() == (good / small.path).read_bytes()
    assert len(class_path.split(":")) == len(jars.locked())


def test_a_repository_that_serves_other_bytes_is_refused(good: Path, small: jars.Jar, tmp_path: Path) -> None:
    cache = copy_of(good, tmp_path / "cache", without=small)
    served = tmp_path / "served" / small.path
    served.parent.mkdir(parents=True)
    served.write_bytes(b"not the jar")

    with repository(tmp_path / "served") as url, pytest.raises(LocalError) as caught:
        jars.class_path(cache, SILENT, url)

    assert f"not the {small.sha256} that kafka-jars.json holds" in caught.value.sentence
    assert not (cache / small.path).exists()


def test_a_repository_that_does_not_answer_is_one_sentence(good: Path, small: jars.Jar, tmp_path: Path) -> None:
    cache = copy_of(good, tmp_path, without=small)
    with pytest.raises(LocalError, match=r"cannot fetch slf4j-simple-1\.7\.36\.jar from http://127.0.0.1:1"):
        jars.class_path(cache, SILENT, "http://127.0.0.1:1")
