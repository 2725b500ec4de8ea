"""What the provider-health service can be told."""

from __future__ import annotations

from chassis.settings import Settings


class ProviderHealthSettings(Settings):
    """What the provider-health service can be told beyond what every service has."""
