"""Nested query and form parameters: `metadata[member]=m1&expand[]=charge&items[0][price]=p`."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

_KEY: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_DEPTH_MAX: Final = 6


def decode(text: str) -> dict[str, Any]:
    """Return the parameters in `text` as nested dicts and lists of strings. Raises ValueError for an unreadable key."""
    tree: dict[str, Any] = {}
    for key, value in parse_qsl(text, keep_blank_values=True, max_num_fields=1000):
        _put(tree, _path(key), value)
    return {name: _lists(branch) for name, branch in tree.items()}


def _path(key: str) -> list[str]:
    match = _KEY.match(key)
    parts = [match[1], *_PART.findall(match[2])] if match else []
    if not match or len(parts) > _DEPTH_MAX:
        raise ValueError(f"Invalid parameter name: {key[:80]}")
    return parts


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        branch = tree.setdefault(part, {})
        if not isinstance(branch, dict):
            raise ValueError(f"Parameter {part} is given twice, once as a value and once with parts")
        tree = branch
    tree[path[-1] or str(len(tree))] = value


def _lists(branch: Any) -> Any:
    if not isinstance(branch, dict):
        return branch
    if branch and all(key.isdecimal() for key in branch):
        return [_lists(value) for value in branch.values()]
    return {key: _lists(value) for key, value in branch.items()}
