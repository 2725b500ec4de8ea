"""How far a command is, as whoever waits for it sees it."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr

from chassis.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_end_of_each_part_is_told_on_a_line_of_its_own() -> None:
    terminal = Terminal()
    with redirect_stderr(terminal):
        progress = ProgressLine("inputs")
        for done in range(1, 1_001):
            progress("read", done, 1_000)
        progress("compared", 500, 500)

    read, compared = [line.rpartition("\r")[2] for line in terminal.getvalue().removesuffix("\n").split("\n")]
    assert re.fullmatch(r"read 1000 of 1000 inputs, [\d,]+/s", read)
    assert re.fullmatch(r"compared 500 of 500 inputs, [\d,]+/s", compared)
    assert terminal.getvalue().count("\r") < 100, "written over now and then, and not with every input"


def test_a_file_or_a_pipe_hears_nothing() -> None:
    pipe = io.StringIO()
    with redirect_stderr(pipe):
        ProgressLine("inputs")("read", 1, 1)
    assert pipe.getvalue() == ""
