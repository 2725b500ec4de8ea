"""The span that is measured, and the CPU time that each side used in it."""

from __future__ import annotations

from time import time_ns

from tests.bench.lab import Lab
from tests.bench.processes import cpu_seconds


class Span:
    """CPU time that is used between its making and `end`."""

    def __init__(self, lab: Lab, server: int, generator: int | None = None) -> None:
        self._lab = lab
        self._server = server
        self._generator = generator
        self.began_ns = time_ns()
        self._before = self._read()

    def end(self) -> Span:
        self.ended_ns = time_ns()
        after = self._read()
        self.server, self.postgres, self.kafka, self.generator = (
            late - early for early, late in zip(self._before, after, strict=True)
        )
        return self

    @property
    def seconds(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e9

    def _read(self) -> tuple[float, float, float, float]:
        generator = 0.0 if self._generator is None else cpu_seconds(self._generator)
        return cpu_seconds(self._server), self._lab.postgres_cpu(), self._lab.kafka_cpu(), generator
