"""`python -m provider_health`."""

import sys

from provider_health.main import run

sys.exit(run())
