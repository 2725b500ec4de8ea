"""What the gateway service can be told."""

from __future__ import annotations

from chassis.settings import Settings


class GatewaySettings(Settings):
    """What the gateway service can be told beyond what every service has."""
