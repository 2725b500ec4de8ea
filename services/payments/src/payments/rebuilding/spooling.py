"""Inputs put together by group: read once in the order of their numbers, given back group by group in that order.

Facts tie objects together, and what is tied is applied together; which inputs belong to one group is known when the
last of them is read. So inputs wait in a temporary file, and memory holds a few bytes for each of them and each key.
"""

from __future__ import annotations

import pickle
import tempfile
from array import array
from collections.abc import Collection, Iterator
from typing import Any, Final

from payments.collection.objects import Key, grouped

_SLICE_INPUTS: Final = 1_000


class Spool:
    """Everything that is to be applied. What has no object of a group is a group by itself."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._offsets = array("Q")
        self._place_of: dict[Key, int] = {}
        self._parent = array("Q")
        self._places = array("Q")

    def __len__(self) -> int:
        return len(self._offsets)

    def close(self) -> None:
        """Forget everything."""
        self._file.close()

    def add(self, item: Any, named: Collection[Key]) -> None:
        """Add the next item, which names these objects."""
        self._offsets.append(self._file.tell())
        pickle.dump(item, self._file, protocol=5)
        places = [self._place(key) for key in sorted(grouped(named))] or [self._new_place()]
        for other in places[1:]:
            self._parent[self._root(other)] = self._root(places[0])
        self._places.append(places[0])

    def slices(self) -> Iterator[list[Any]]:
        """Yield whole groups, several at a time, the items of each slice in the order in which they were added."""
        by_group: dict[int, list[int]] = {}
        for number, place in enumerate(self._places):
            by_group.setdefault(self._root(place), []).append(number)
        taken: list[int] = []
        for numbers in by_group.values():
            taken += numbers
            if len(taken) >= _SLICE_INPUTS:
                yield self._read(taken)
                taken = []
        if taken:
            yield self._read(taken)

    def _read(self, numbers: list[int]) -> list[Any]:
        items = []
        for number in sorted(numbers):
            self._file.seek(self._offsets[number])
            items.append(pickle.load(self._file))  # noqa: S301 - written by this very process
        return items

    def _place(self, key: Key) -> int:
        place = self._place_of.get(key)
        if place is None:
            place = self._place_of[key] = self._new_place()
        return place

    def _new_place(self) -> int:
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def _root(self, place: int) -> int:
        while (parent := self._parent[place]) != place:
            self._parent[place] = self._parent[parent]
            place = parent
        return place
