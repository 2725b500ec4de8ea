"""The `backbone` command: the whole stack on one machine."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Annotated, Final, NoReturn, cast, get_args
from zoneinfo import ZoneInfo

import typer
from chassis import clock as chassis_clock
from chassis.tokens import TOKEN_LIFETIME
from contracts.roles import Role
from contracts.topics import TOPICS
from rich.console import Console
from rich.table import Table

from backbone import durations, identity, stack, topics
from backbone.catalogue import BY_NAME, SERVICES
from backbone.faults import LocalError, explaining_lines
from backbone.logs import follow, show
from backbone.places import Places
from backbone.settings import DESCRIBED, LocalSettings
from backbone.stack import Stack
from backbone.status import Document, as_table
from backbone.status import status as status_of
from backbone.story import next_steps
from backbone.story.page import new_console
from backbone.story.play import play
from backbone.terminal import CONSOLE, Terminal

GATEWAY: Final = "gateway"
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
SETTINGS_HELP: Final = "Settings, from the environment: " + "; ".join(
    f"{name} ({meaning})" for name, meaning in DESCRIBED.items()
)

app = typer.Typer(
    help="Run the whole of Backbone on this machine.",
    epilog=SETTINGS_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
topics_app = typer.Typer(help="The topics of contracts at the broker.", no_args_is_help=True)
clock_app = typer.Typer(help="Business time of the stack.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
app.add_typer(clock_app, name="clock")


class InterruptedByUserError(LocalError):
    """Ctrl-C, once everything is in order again."""


@contextmanager
def _stack(terminal: Terminal | None = None) -> Iterator[Stack]:
    terminal = terminal or Terminal()
    try:
        with terminal.listening(), stack.opened(Places.of_clone(), LocalSettings.load(), terminal) as opened:
            yield opened
    except KeyboardInterrupt:
        raise InterruptedByUserError("interrupted: what this command had started is stopped again") from None


@app.command()
def up(
    processes: Annotated[
        list[str] | None,
        typer.Option(help="How many processes: 2 of every service, or payments=2. May be given again."),
    ] = None,
) -> None:
    """Start what does not run yet, and leave it running."""
    counts = _counts(processes or [])
    with _stack() as opened:
        opened.up(counts)
        document = status_of(opened.state, opened.around, opened.credentials)
    _print_status(document)
    Console().print(f"\nThe staff console: {document['services'][GATEWAY]['url']}/  (sign in by choosing a role)")


@app.command()
def demo() -> None:
    """Start what does not run yet, play the whole story through it, and check all that it claims."""
    console = new_console()
    terminal = Terminal(console)
    with _stack(terminal) as opened:
        opened.up({})
        terminal.at_rest()
        try:
            play(opened, console, terminal)
        except KeyboardInterrupt:
            raise InterruptedByUserError("interrupted: the stack is left up, `backbone down` stops it") from None
        state = opened.state
    next_steps.show(console, state)


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    service: Annotated[str, typer.Argument(help="The service whose command it is.")],
    words: Annotated[list[str], typer.Argument(help="The command with its arguments: verify, settings, ...")],
) -> None:
    """Run a service's own command with the settings of this stack: `backbone run audit verify`."""
    if service not in BY_NAME:
        raise LocalError(f"{service} is no service; these are: {', '.join(BY_NAME)}")
    told = BY_NAME[service].serving(_looked_at().around, f"{service}-by-hand", 0)
    ended = subprocess.run([*BY_NAME[service].command(words[0]), *words[1:]], env=told, check=False)
    raise typer.Exit(ended.returncode)


@app.command()
def down() -> None:
    """Stop everything; data stay."""
    with _stack() as opened:
        opened.down()
    CONSOLE.print("stopped; the data stay, `backbone up` continues with them")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Show what runs and where."""
    opened = _looked_at()
    document = status_of(opened.state, opened.around, opened.credentials)
    if as_json:
        print(json.dumps(document, indent=2))
    else:
        _print_status(document)


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="postgres, kafka, simulator, a service, or one process: payments-2")],
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(min=0, help="How many of the last lines.")] = 50,
) -> None:
    """Show the log of a service."""
    places = Places.of_clone()
    shown = show(places.logs, service, lines)
    if follow_on:
        # Ctrl-C is how one leaves.
        with suppress(KeyboardInterrupt):
            follow(shown)


@app.command()
def migrate() -> None:
    """Bring every service's schema to the newest revision."""
    with _stack() as opened:
        opened.migrate()
    CONSOLE.print(f"migrated: {', '.join(service.name for service in SERVICES)}")


@topics_app.command("apply")
def topics_apply() -> None:
    """Create missing topics and bring the others to what contracts say."""
    with _stack() as opened:
        changes = topics.apply(opened.around.bootstrap_servers, TOPICS)
    CONSOLE.print("\n".join(changes) or "nothing to change", markup=False)


@topics_app.command("list")
def topics_list() -> None:
    """List the topics of contracts as the broker has them."""
    table = Table("topic", "owner", "key", "partitions", "keeps")
    for found in topics.listed(_looked_at().around.bootstrap_servers, TOPICS):
        topic = found.topic
        days = "for ever" if topic.retention_ms is None else f"{topic.retention_ms // 86_400_000} days"
        kept = "the last of each key" if topic.cleanup == "compact" else days
        table.add_row(topic.name, topic.owner, topic.key, str(found.partitions or "missing"), kept)
    Console().print(table)


@app.command()
def token(
    role: Annotated[str, typer.Option(help=f"Whose rights: {', '.join(get_args(Role))}.")],
    service: Annotated[
        str, typer.Option("--for", help="Who accepts the token: the gateway, or one service behind it.")
    ] = GATEWAY,
    name: Annotated[
        str | None, typer.Option(help="Who acts, as the audit log will say; else whom the role has.")
    ] = None,
) -> None:
    """Mint a token: one for the gateway lives for an hour, one for a service behind it for a minute."""
    if role not in get_args(Role):
        raise LocalError(f"{role} is no role; these are: {', '.join(get_args(Role))}")
    if service not in BY_NAME:
        raise LocalError(f"{service} is no service; these are: {', '.join(BY_NAME)}")
    credentials, known = _looked_at().credentials, cast(Role, role)
    who = identity.staff(known, name)
    if service == GATEWAY:
        print(identity.for_gateway(credentials, who, known))
    else:
        print(identity.for_service(credentials, who, known, service))
    if sys.stdout.isatty():
        lifetime = identity.LIFETIME if service == GATEWAY else TOKEN_LIFETIME
        CONSOLE.print(f"accepted by {service} for {lifetime}, as {who.name}")


@clock_app.command("show")
def clock_show() -> None:
    """Show business time and how far it runs ahead."""
    offset = _offset(Places.of_clone())
    now = chassis_clock.real_now() + offset
    print(f"{_spoken(now)}  (business time, {offset} ahead of real time)")


@clock_app.command("advance")
def clock_advance(by: Annotated[str, typer.Argument(help="How far: 3d, 12h, 90m, 1d12h.")]) -> None:
    """Move business time on for every process of the stack. Overdue jobs run once each."""
    try:
        further = durations.parse(by)
    except ValueError as error:
        raise LocalError(str(error)) from None
    with _stack() as opened:
        chassis_clock.write_offset(opened.places.clock, _offset(opened.places) + further)
    clock_show()


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop everything and delete all data, secrets and logs of this stack."""
    places = Places.of_clone()
    if not yes and not typer.confirm(f"Delete all data of the stack in {places.home}?"):
        raise LocalError("nothing was deleted")
    with _stack() as opened:
        opened.reset()
    CONSOLE.print("deleted; `backbone up` starts afresh")


def _counts(given: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in given:
        name, _, number = part.rpartition("=")
        if (name and name not in BY_NAME) or not number.isdecimal() or not 1 <= int(number) <= 16:
            every = f"a number, from 1 to 16, or service=number of {', '.join(BY_NAME)}"
            raise LocalError(f"--processes {part}: write {every}")
        counts |= {each: int(number) for each in ([name] if name else BY_NAME)}
    return counts


def _looked_at() -> Stack:
    """The stack, to look at only: no lock is taken, nothing is made."""
    return stack.looked_at(Places.of_clone(), LocalSettings.load())


def _offset(places: Places) -> timedelta:
    try:
        return chassis_clock.read_offset(places.clock)
    except ValueError as error:
        raise LocalError(str(error)) from None


def _spoken(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("Australia/Sydney")).strftime("%A %d %B %Y, %H:%M:%S in Sydney")


def _print_status(document: Document) -> None:
    Console().print(as_table(document))


def main() -> NoReturn:
    """Run the command; every failure is one sentence, the end of the log that explains it, and an exit code."""
    # Libraries that tell of each retry would drown the one sentence that matters.
    logging.disable(logging.CRITICAL)
    try:
        app()
    except LocalError as error:
        CONSOLE.print("error: " + error.sentence, style="bold red", markup=False, soft_wrap=True)
        _explain(error)
        sys.exit(EXIT_INTERRUPTED if isinstance(error, InterruptedByUserError) else EXIT_FAILED)
    sys.exit(0)


def _explain(error: LocalError) -> None:
    lines = explaining_lines(error.log) if error.log is not None else []
    if lines:
        CONSOLE.print(f"the end of {error.log}:", style="dim", markup=False, soft_wrap=True)
    for line in lines:
        CONSOLE.print(f"  {line}", style="dim", markup=False, soft_wrap=True)
