"""`python -m audit`."""

import sys

from audit.main import run

sys.exit(run())
