"""What is wrong with the environment is one sentence that names the variable, and an exit code other than 0."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from backbone.faults import LocalError
from backbone.settings import LocalSettings

WRONG = [
    ("BACKBONE_POSTGRES_ULR", "x", "BACKBONE_POSTGRES_ULR is not a setting; did you mean BACKBONE_POSTGRES_URL?"),
    ("BACKBONE_COLOUR", "x", "BACKBONE_COLOUR is not a setting"),
    ("BACKBONE_POSTGRES_URL", "mysql://a:b@c/d", "BACKBONE_POSTGRES_URL must look like postgresql://"),
    ("BACKBONE_POSTGRES_URL", "postgresql://a:b@c", "BACKBONE_POSTGRES_URL must look like postgresql://"),
    ("BACKBONE_POSTGRES_URL", "postgresql://a:b@c:port/d", "BACKBONE_POSTGRES_URL must look like postgresql://"),
    ("BACKBONE_POSTGRES_URL", "postgresql://[c/d", "BACKBONE_POSTGRES_URL must look like postgresql://"),
    ("BACKBONE_KAFKA", "localhost", "BACKBONE_KAFKA must be host:port"),
    ("BACKBONE_KAFKA", "a:9092,b", "BACKBONE_KAFKA must be host:port"),
    ("BACKBONE_KAFKA", "a:99999", "BACKBONE_KAFKA must be host:port"),
    ("BACKBONE_PORTS", "kiosk=1", "BACKBONE_PORTS: kiosk has no port; these have: postgres, "),
    ("BACKBONE_PORTS", "kafka", "BACKBONE_PORTS: kafka must be name=port"),
    ("BACKBONE_PORTS", "kafka=0", "BACKBONE_PORTS: kafka=0 must be name=port"),
    ("BACKBONE_PORTS", "kafka=7000,audit=7000", "BACKBONE_PORTS: 7000 is given twice"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG)
def test_a_wrong_setting_is_one_sentence(name: str, value: str, sentence: str) -> None:
    with pytest.raises(LocalError) as caught:
        LocalSettings.load({name: value})
    assert caught.value.sentence.startswith(sentence)


def test_nothing_set_is_right() -> None:
    assert LocalSettings.load({"PATH": "/bin", "BACKBONE_TEST_KAFKA": "somewhere:1"}) == LocalSettings()


def test_what_is_set_is_taken() -> None:
    settings = LocalSettings.load(
        {
            "BACKBONE_POSTGRES_URL": "postgresql://a:b@c:5432/d",
            "BACKBONE_KAFKA": "one:9092, two:9092",
            "BACKBONE_PORTS": "payments=8081, audit=8082",
        }
    )
    assert settings == LocalSettings(
        "postgresql://a:b@c:5432/d", "one:9092, two:9092", {"payments": 8081, "audit": 8082}
    )


def backbone(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backbone", *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["up"], {"BACKBONE_KAFKA": "nonsense"}, "BACKBONE_KAFKA must be host:port"),
        (["up"], {"BACKBONE_POTS": "x"}, "did you mean BACKBONE_PORTS?"),
        (["up", "--processes", "payments=none"], {}, "write a number, from 1 to 16, or service=number"),
        (["up", "--processes", "17"], {}, "write a number, from 1 to 16"),
        (["up", "--processes", "kiosk=2"], {}, "service=number of payments, provider-health"),
        (["up"], {"BACKBONE_HOME": "/dev/null/here"}, "/dev/null/here is not writable: Not a directory"),
        (["status"], {}, "the stack is not up: run `backbone up`"),
        (["topics", "apply"], {}, "the stack is not up: run `backbone up`"),
        (["token", "--role", "emperor"], {}, "emperor is no role; these are: owner, billing"),
        (["token", "--role", "owner", "--for", "mint"], {}, "mint is no service; these are: payments"),
        (["clock", "advance", "soon"], {}, "soon is no duration: write 3d, 12h"),
        (["logs", "payments"], {}, "payments has no log; these have: none yet"),
    ],
)
def test_the_command_says_it_and_fails(
    arguments: list[str], variables: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    answer = backbone(*arguments, **({"BACKBONE_HOME": str(tmp_path / "home")} | variables))
    assert answer.returncode != 0
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""
