"""What the endpoints share: the rules of the process, and how a command is done."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from chassis.transaction import Transaction
from chassis.web import web_state
from fastapi import Depends, Request

from tasks import use_cases
from tasks.commands import Command
from tasks.problems import refusing
from tasks.rules import Rules
from tasks.settings import TasksSettings
from tasks.views import TaskView, view

READ: Final = "tasks:read"
WRITE: Final = "tasks:write"


async def _rules(request: Request) -> Rules:
    settings = web_state(request).settings
    if not isinstance(settings, TasksSettings):
        raise TypeError("the tasks service runs with its own settings")
    return Rules.of(settings)


Ruled = Annotated[Rules, Depends(_rules)]


async def do(tx: Transaction, rules: Rules, task_id: UUID, expected: int, command: Command) -> TaskView:
    """Do `command` and show what has become of the task. Raises Problem."""
    with refusing():
        stored = await use_cases.do(tx, rules, str(task_id), command, expected=expected)
    return view(stored, tx.now, rules.zone)
