"""Where the browser is that the console is tested in."""

from __future__ import annotations

import shutil


def chromium() -> str | None:
    """The path of Chromium; None where it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
