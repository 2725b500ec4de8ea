"""`python -m payments`."""

import sys

from payments.main import run

sys.exit(run())
