"""Mark Stevens' month, as `backbone demo` plays it to a person: told twice, the second time as his next month.

The stack is this test's own, in a home of its own on free ports, so that a developer's running one is never touched.
The command itself holds all that it says against what it saw; this test holds what a reader sees, and what the
commands do that it offers at the end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from backbone.ports import is_free
from backbone.settings import DEFAULT_PORTS

LIMIT_SECONDS = 240
FIRST_MONTH_OWED = "A$110.00"
SECOND_MONTH_OWED = "A$220.00"
# What an owner must be able to read, however it is worded.
SENTENCES = [
    r"Maria Rossi .*Mark Stevens",
    r"Stripe .*failed.* A\$110\.00 .*Mark Stevens.*insufficient funds",
    r"Stripe .*success.* A\$110\.00 .*Mark Stevens",
    r"GoCardless .*confirmed.* A\$110\.00 .*Mark Stevens",
    r"GoCardless .*late.* A\$110\.00 .*Mark Stevens.*insufficient funds",
]


class Reader:
    """Somebody at a terminal of a machine where nothing runs yet."""

    def __init__(self, home: Path) -> None:
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKBONE_")}
        # Below those that the system gives to outgoing connections, which come and go.
        first = 20_000 + os.getpid() % 10_000
        free = (port for port in range(first, 32_000) if is_free(port))
        ports = ",".join(f"{name}={next(free)}" for name in DEFAULT_PORTS)
        self.environment |= {"BACKBONE_HOME": str(home), "BACKBONE_PORTS": ports, "COLUMNS": "160"}

    def types(self, command: str) -> str:
        """Give one line to the shell; it must end well."""
        done = self.tries(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def tries(self, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Give one line to the shell, however it ends."""
        return subprocess.run(
            ["/bin/sh", "-c", command],
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    home = Path(tempfile.mkdtemp(prefix="backbone-story-"))
    # PostgreSQL's user passes through.
    home.chmod(0o711)
    reader = Reader(home)
    try:
        yield reader
    finally:
        reader.types(f"{sys.executable} -m backbone reset --yes")
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def months(reader: Reader) -> tuple[str, str]:
    """What the demo prints the first time, and the second."""
    return reader.types(f"{sys.executable} -m backbone demo"), reader.types(f"{sys.executable} -m backbone demo")


def section(told: str, first: str, last: str) -> list[str]:
    """The lines between two lines that begin like these."""
    lines = told.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(first))
    end = next(number for number, line in enumerate(lines) if number > start and line.startswith(last))
    return [line.strip() for line in lines[start + 1 : end] if line.strip()]


def offered(told: str) -> list[str]:
    """The commands that the demo says to try next."""
    lines = [line.strip() for line in told.partition("What to try next:")[2].splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def fetched(reader: Reader, command: str) -> dict[str, Any]:
    """What a command with curl fetches; the shell reads it, and this test stands in for curl, which may be absent."""
    program, *words = reader.types(command.replace("curl ", "printf '%s\\n' curl ", 1)).splitlines()
    assert program == "curl"
    url = words.pop()
    headers = dict([words[1].split(": ", 1)]) if words[0] == "-sH" else {}
    document: dict[str, Any] = httpx.get(url, headers=headers, trust_env=False).raise_for_status().json()
    return document


def test_each_delivery_is_shown_with_its_answer(months: tuple[str, str]) -> None:
    first, second = months
    answered = re.compile(r"20\d\d  (Stripe|GoCardless) +(\S.*?) {2,}(\d{3}) +[\d.]+ ms *(.*)")
    assert [(found[2], found[3]) for found in answered.findall(first) if found[2] != "200"] == [("400", "forged")]
    types = [found[1] for found in answered.findall(first)]
    assert types.count("payments.confirmed") == 2
    assert types.index("invoice_payment.paid") < types.index("charge.succeeded")
    # He keeps his customers and his mandate.
    already = {"customer.created", "mandates.created", "mandates.submitted, mandates.active"}
    assert [found[1] for found in answered.findall(second)] == [each for each in types if each not in already]


def test_the_ledger_runs_on_from_month_to_month(months: tuple[str, str]) -> None:
    for told, owed in zip(months, (FIRST_MONTH_OWED, SECOND_MONTH_OWED), strict=True):
        lines = section(told, "The ledger of Mark Stevens", "The audit log")
        assert lines[-1].endswith(owed)
        amounts = [re.findall(r"-?A\$[\d.]+", line)[0] for line in lines if "20" in line]
        assert amounts == ["A$110.00", "-A$110.00", "A$110.00", "-A$110.00", "A$110.00"]


def test_the_audit_log_reads_in_order_with_pointers(months: tuple[str, str]) -> None:
    records = section(months[0], "The audit log", "From delivery to audit record")[1:]
    seqs = [int(record.split()[0]) for record in records]
    assert seqs == sorted(set(seqs))
    pointers = [record.split()[1] for record in records]
    assert all(re.fullmatch(r"[a-z-]+/\d+/\d+", pointer) for pointer in pointers)
    assert len(set(pointers)) == len(pointers)
    for sentence in SENTENCES:
        assert any(re.search(sentence, record) for record in records), sentence


def test_the_log_verifies_and_the_delay_is_told(months: tuple[str, str]) -> None:
    for told in months:
        assert re.search(r"median \d+ ms, longest \d+ ms \(\d+ events\)", told)
        assert re.search(r"audit verify: fine: \d+ records, \d+ offsets accounted for", told)


def test_a_story_that_does_not_come_true_ends_badly(reader: Reader, months: tuple[str, str]) -> None:
    told = reader.tries(f"{sys.executable} -m backbone demo", PAYMENTS_STRIPE_WEBHOOK_SECRETS="whsec_of_somebody_else")
    assert told.returncode == 1
    assert "invoice.created should have been accepted; payments answered 400, 400, 400" in told.stderr
    assert "payments-1.log" in told.stderr
    assert "What to try next" not in told.stdout


def test_every_command_that_is_offered_works(reader: Reader, months: tuple[str, str]) -> None:
    *commands, last = offered(months[1])
    assert len(commands) == 6
    for command in commands[:-1]:
        assert fetched(reader, command).keys() & {"items", "lines", "partitions"}, command
    assert "fine" in reader.types(commands[-1])
    assert last.endswith("down")
    reader.types(last)
