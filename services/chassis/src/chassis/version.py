"""Versions: what a process runs, as a digest of the source that it was started from.

A number in a project file says what somebody meant to release; evidence such as "tests passed for this version" needs
to know the very bytes. The digest covers a package's files by name and content, compiled ones left out, so that an
editable install, a wheel and an image of the same source have the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_SHARED: Final = ("chassis", "contracts")
_CHARACTERS: Final = 12


def source_version(package: str) -> str:
    """The digest of a service's package, where it is one, together with what every service shares."""
    return digest_of(_SHARED if find_spec(package) is None else (package, *_SHARED))


def digest_of(packages: Sequence[str]) -> str:
    """Twelve hexadecimal digits that change with every byte of the packages' sources. Raises LookupError."""
    digest = hashlib.sha256()
    for package in packages:
        for name, file in _files(package):
            digest.update(f"{package}/{name}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:_CHARACTERS]


def _files(package: str) -> Iterator[tuple[str, Path]]:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"there is no package {package}")
    root = Path(spec.submodule_search_locations[0])
    found = ((file.relative_to(root).as_posix(), file) for file in root.rglob("*") if file.is_file())
    yield from sorted(each for each in found if "__pycache__" not in each[0] and not each[0].endswith(".pyc"))
