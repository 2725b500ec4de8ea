"""PostgreSQL runs for root and for ordinary users alike, also where its user cannot enter the clone."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from backbone import jars, ports
from backbone.faults import LocalError
from backbone.places import Places, can_enter, postgres_place, postgres_user
from backbone.postgres import Cluster, accepts, new_password
from backbone.waiting import SILENT

# Root without being root: another uid that may still read this interpreter, wherever its home is.
ORDINARY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
READS_ALL = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
STARTS_BOTH = """
import json, os, sys
from pathlib import Path
from backbone.kafka import new_broker
from backbone.places import Places, postgres_place, postgres_user
from backbone.postgres import Cluster, accepts, new_password
from backbone.ports import free_port

home = Path(sys.argv[1])
places = Places(home, home)
places.prepare()
cluster = Cluster(postgres_place(places, postgres_user()), free_port(), new_password(), places.logs / "postgres.log")
broker = new_broker(places.kafka, places.logs / "kafka.log")
server = cluster.start().found()
kafka = broker.start().found()
try:
    print(json.dumps({
        "place": str(cluster.place),
        "accepts": accepts(cluster.admin_url),
        "uids": [os.geteuid(), server.uids().effective, kafka.uids().effective],
    }))
finally:
    broker.stop()
    cluster.stop()
"""


@pytest.fixture
def closed_home() -> Iterator[Path]:
    """A home of mode 0700, as root's is."""
    home = Path(tempfile.mkdtemp(prefix="backbone-home-"))
    yield home
    shutil.rmtree(home)


@pytest.fixture
def closed(closed_home: Path) -> Iterator[Places]:
    """Places in a home that only its owner can enter."""
    clone = closed_home / "backbone"
    found = Places(clone, clone / ".backbone")
    found.prepare()
    yield found
    shutil.rmtree(found.system, ignore_errors=True)


def test_postgres_runs_where_its_user_cannot_enter_the_clone(closed: Places) -> None:
    user = postgres_user()
    place = postgres_place(closed, user)
    assert place == (closed.system if user else closed.home)

    cluster = Cluster(place, ports.free_port(), new_password(), closed.logs / "postgres.log")
    server = cluster.start(SILENT).found()
    try:
        assert server is not None
        assert server.uids().effective == (user.pw_uid if user else os.geteuid()) != 0
        assert accepts(cluster.admin_url)
        assert stat.S_IMODE(cluster.data.stat().st_mode) == 0o700
        assert not (cluster.place / "postgres" / "password").exists()
    finally:
        cluster.stop()
    assert postgres_place(closed, user) == place


def test_data_decide_where_the_cluster_is_even_when_modes_change(closed: Places) -> None:
    user = postgres_user()
    (closed.system if user else closed.home).joinpath("postgres", "data").mkdir(parents=True)
    closed.clone.parent.chmod(0o755)
    assert postgres_place(closed, user) == (closed.system if user else closed.home)


def test_who_may_enter_is_asked_of_the_system(closed_home: Path, tmp_path: Path) -> None:
    assert can_enter(closed_home, None)
    assert not can_enter(tmp_path / "nowhere", None)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        assert not can_enter(closed_home, nobody)
        closed_home.chmod(0o711)
        assert can_enter(closed_home, nobody)


def test_an_ordinary_user_needs_nobody_else(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="backbone-user-") as name:
        home = Path(name)
        command = [sys.executable, "-c", STARTS_BOTH, str(home / "stack")]
        environment = dict(os.environ)
        if os.geteuid() == 0:
            for path in (home, linked_jars(home / "cache" / "backbone" / "jars")):
                os.chown(path, 65_534, 65_534)
            command = [*ORDINARY, *READS_ALL, *command]
            environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
        done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
    assert answer["place"] == str(home / "stack")
    assert answer["accepts"]
    assert len(set(answer["uids"])) == 1
    assert answer["uids"][0] != 0


def linked_jars(cache: Path) -> Path:
    """A cache of jars for a user who cannot write to this one's: nothing is fetched twice."""
    own = jars.cache_directory(fallback=cache)
    jars.class_path(own, SILENT)
    for jar in jars.locked():
        (cache / jar.path).parent.mkdir(parents=True)
        (cache / jar.path).symlink_to(own / jar.path)
    return cache


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match="is not writable: Not a directory"):
        Places(tmp_path, tmp_path / "file" / "home").prepare()
    cluster = Cluster(tmp_path / "file", ports.free_port(), new_password(), tmp_path / "postgres.log")
    with pytest.raises(LocalError, match=r"is not writable: Not a directory"):
        cluster.start(SILENT)


def test_a_lock_that_names_a_stranger_does_not_keep_postgres_down(private_postgres: Cluster) -> None:
    private_postgres.kill()
    lock = private_postgres.data / "postmaster.pid"
    stranger = next(process for process in psutil.process_iter() if process.pid != os.getpid())
    lock.write_text("\n".join([str(stranger.pid), *lock.read_text().splitlines()[1:]]) + "\n")

    private_postgres.start(SILENT)

    assert accepts(private_postgres.admin_url)


def test_a_server_that_nobody_remembers_makes_way(private_postgres: Cluster) -> None:
    forgotten = private_postgres.process
    assert forgotten is not None
    private_postgres.process = None

    private_postgres.start(SILENT)

    assert not forgotten.running
    assert accepts(private_postgres.admin_url)


def test_an_interrupted_initdb_leaves_nothing_that_looks_like_a_cluster(closed: Places) -> None:
    place = postgres_place(closed, postgres_user())
    half = place / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    cluster = Cluster(place, ports.free_port(), new_password(), closed.logs / "postgres.log")
    cluster.start(SILENT)
    try:
        assert accepts(cluster.admin_url)
    finally:
        cluster.stop()
