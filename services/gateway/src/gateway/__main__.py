"""`python -m gateway`."""

import sys

from gateway.main import run

sys.exit(run())
