"""`python -m tasks`."""

import sys

from tasks.main import run

sys.exit(run())
