"""Telemetry: logs, metrics and traces, the same in every service.

Every line that this process writes, by whatever library, is one JSON object that names the service, the instance and,
where there are any, the request, the correlation and the trace. No line holds a secret, a body or a row. Tested in
tests/chassis/test_telemetry.py.
"""

from __future__ import annotations

from chassis.settings import Settings
from chassis.telemetry import logs, metrics, traces
from chassis.telemetry.logs import bound

__all__ = ["bound", "configure", "logs", "metrics", "traces"]


def configure(service: str, settings: Settings) -> None:
    """Set up this process' logs, and its traces when the settings name a collector. Calling it again is harmless."""
    logs.configure(service, settings.instance, settings.log_level)
    if settings.otlp_endpoint is not None:
        traces.export_to(settings.otlp_endpoint, service=service, instance=settings.instance)
