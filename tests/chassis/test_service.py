"""A process is as alive as each of its parts: one that ends by itself ends all of it, and the others are stopped."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.chassis.mortal_service import STOPPED

SETTINGS = {
    "SPECIMEN_DATABASE_URL": "postgresql://specimen:specimen@127.0.0.1:1/nobody-listens",
    "SPECIMEN_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "SPECIMEN_RELAY": "false",
}


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_a_part_that_ends_by_itself_ends_the_process(how: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.chassis.mortal_service", how],
        env=os.environ | SETTINGS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert '"event":"part.ended"' in said.replace(": ", ":")
    assert STOPPED in said
    assert ("this cannot happen" in said) == (how == "raises")
