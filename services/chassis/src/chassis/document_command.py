"""`python -m <service> openapi [FILE] [--check]`: the service's OpenAPI document, made from its code alone.

The same code makes the same bytes, so the document can be committed where others read it, and compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from chassis.service import Service
from chassis.settings import Settings

S = TypeVar("S", bound=Settings)


def run(service: Service[S], arguments: Sequence[str]) -> int:
    """Write the document, or compare it with the file; returns the exit code, 1 where they differ."""
    parser = argparse.ArgumentParser(prog=f"python -m {service.package} openapi", description="The OpenAPI document.")
    parser.add_argument("file", nargs="?", type=Path, help="where it is kept; standard output without it")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    options = parser.parse_args(arguments)
    text = json.dumps(service.openapi(), indent=2, ensure_ascii=False) + "\n"
    if options.file is None:
        sys.stdout.write(text)
        return 0
    if not options.check:
        options.file.write_text(text)
        return 0
    if options.file.exists() and options.file.read_text() == text:
        return 0
    sys.stderr.write(f"{options.file} differs from the code of {service.name}: run `make generate`\n")
    return 1
