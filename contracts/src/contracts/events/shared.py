"""Values that the events of several services hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.envelope import Wire

Change = Annotated[str, Field(pattern="^[a-z]+( [a-z]+)*$", max_length=40)]
"""What was done, as a verb in the past tense that a sentence can hold ("matched").

An open vocabulary: a closed one would need a new version of the event for every new verb, because readers of the
old one would refuse it. A reader ignores verbs that it does not know."""


class Named(Wire):
    """A thing of ours by its id and the words an owner knows it by."""

    id: str
    name: str


class Referenced(Wire):
    """A thing of ours by its id, with the provider's reference of it."""

    id: str
    reference: str
