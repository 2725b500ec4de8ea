"""Plays the story, shows it as it goes, and ends well only when everything that it claims was seen."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from backbone.catalogue import BY_NAME, SIMULATOR
from backbone.faults import LocalError, NotReadyError
from backbone.servers import log_of
from backbone.stack import Stack
from backbone.story import claims, page
from backbone.story.claims import Delays
from backbone.story.doors import Door, Doors, Line, Record, Sent, StaffTokens
from backbone.story.plot import MEMBER_ID, MEMBER_NAME, SECOND_TRY, Chapter, Happened, Plot
from backbone.waiting import Progress, wait_for

_SEEN_LIMIT_SECONDS: Final = 60.0
_VERIFY_LIMIT_SECONDS: Final = 120.0
_GOCARDLESS_VERSION: Final = "2015-07-06"
_FORGED: Final = SECOND_TRY[1]


@dataclass(slots=True)
class Seen:
    """What has been seen so far. `events` are the provider events that must each be recorded once."""

    deliveries: list[Sent] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    records: dict[int, Record] = field(default_factory=dict)

    @property
    def events(self) -> set[str]:
        return {event.id for event in self.happened}

    def delivery_of(self, event_type: str) -> Sent:
        """The first delivery that brought an event of this type."""
        return next(one for one in self.deliveries if event_type in one.event_types)


def play(stack: Stack, console: Console, progress: Progress) -> None:
    """Play Mark's month on a stack that is up. Raises LocalError with the first claim that did not hold."""
    doors = _doors(stack)
    try:
        _Performance(doors, Plot(doors, stack.places.clock, progress), console, progress).play()
    finally:
        doors.close()
    _verify(stack, console, progress)


class _Performance:
    def __init__(self, doors: Doors, plot: Plot, console: Console, progress: Progress) -> None:
        self._doors, self._plot, self._console, self._progress = doors, plot, console, progress
        self._seen = Seen()
        self._sent_before = doors.newest_delivery()
        self._recorded_before = doors.newest_record()
        self._ledger_before: list[Line] = []

    def play(self) -> None:
        doors, plot = self._doors, self._plot
        self._ledger_before = doors.ledger(MEMBER_ID)
        for chapter in plot.chapters():
            self._chapter(chapter)
        self._forgery()
        ledger = self._settled_ledger()
        claims.check_states(doors, {plot.cast.intent: "succeeded", plot.cast.debit: "failed"})
        claims.check_recorded_once(self._seen.events, self._seen.records.values(), doors)
        lines = claims.added(self._ledger_before, ledger)
        page.ledger(self._console, MEMBER_NAME, claims.balance(self._ledger_before), lines)
        page.records(self._console, self._told())
        page.delays(self._console, self._delays())

    def _chapter(self, chapter: Chapter) -> None:
        page.title(self._console, chapter.title)
        chapter.act()
        self._plot.flush()
        sent, happened = self._arrived()
        claims.check_deliveries(chapter, sent, happened, self._doors)
        self._seen.happened += happened
        self._wait_for_records()
        self._check_copies(sent)

    def _arrived(self) -> tuple[list[Sent], list[Happened]]:
        """What was sent since the last look, and showed; only what is Mark's."""
        found: list[Sent] = []
        happened: list[Happened] = []
        today = self._plot.business_time()
        for one in self._doors.sent_after(self._sent_before):
            self._sent_before = max(self._sent_before, one.number)
            events = self._plot.concerning_mark(one)
            if events:
                page.delivery(self._console, one, today)
                found.append(one)
                happened += events
        self._seen.deliveries += found
        return found, happened

    def _forgery(self) -> None:
        """Somebody changes one digit of a delivery that was genuine."""
        page.title(self._console, "Somebody sends a copy of a delivery with one digit changed")
        genuine = self._seen.delivery_of(_FORGED)
        self._plot.forge(genuine.id)
        sent, _ = self._arrived()
        claims.check_forgery(sent, self._doors)
        claims.check_kept_as_rejected(self._doors, sent[0].first_attempt_at)

    def _check_copies(self, sent: Sequence[Sent]) -> None:
        """Payments has counted each delivery of an event that was delivered twice."""
        for copy in sent:
            if copy.is_copy:
                first = next(r for r in self._seen.records.values() if r.provider_event == copy.event_ids[0])
                claims.check_duplicate(self._doors, first.correlation_id or "", copy.event_ids[0])

    def _wait_for_records(self) -> None:
        def recorded() -> bool:
            newest = max(self._seen.records, default=self._recorded_before)
            self._seen.records |= {record.seq: record for record in self._doors.records_after(newest)}
            return not self._unrecorded()

        try:
            self._wait("the audit log to tell of every event", recorded, self._doors.payments.log)
        except NotReadyError as error:
            missing = ", ".join(f"{event.type} ({event.id})" for event in self._unrecorded())
            raise LocalError(
                f"after {_SEEN_LIMIT_SECONDS:.0f} s no audit record tells of {missing}", error.log
            ) from None

    def _unrecorded(self) -> list[Happened]:
        missing = claims.unrecorded(self._seen.events, self._seen.records.values())
        return [event for event in self._seen.happened if event.id in missing]

    def _settled_ledger(self) -> list[Line]:
        found: list[Line] = []

        def complete() -> bool:
            found[:] = self._doors.ledger(MEMBER_ID)
            ours = self._doors.paid_by(self._plot.cast.intent) | self._doors.paid_by(self._plot.cast.debit)
            return claims.ledger_is_complete(self._ledger_before, found, ours)

        try:
            self._wait("the ledger to show the month", complete, self._doors.payments.log)
        except NotReadyError as error:
            lines = claims.added(self._ledger_before, found)
            shown = ", ".join(f"{line.words} {page.money(line.amount_minor)}" for line in lines) or "nothing"
            raise LocalError(f"the ledger should show Mark's month; it shows {shown}", error.log) from None
        return found

    def _told(self) -> list[Record]:
        """The records of this story, in the order of the log: others may use the stack at the same time."""
        records = [self._seen.records[seq] for seq in sorted(self._seen.records)]
        ours = [record for record in records if record.provider_event in self._seen.events]
        names = {MEMBER_ID} | {record.workflow_id for record in ours} | {record.correlation_id for record in ours}
        return [one for one in records if names & {one.entity_id, one.workflow_id, one.correlation_id}]

    def _delays(self) -> Delays:
        records = [record for record in self._seen.records.values() if record.provider_event in self._seen.events]
        return claims.delays(records, self._doors)

    def _wait(self, what: str, seen: Callable[[], bool], log: Path) -> None:
        wait_for(what, seen, limit_seconds=_SEEN_LIMIT_SECONDS, progress=self._progress, log=log)


def _doors(stack: Stack) -> Doors:
    simulator, credentials = stack.state.simulator, stack.credentials
    if simulator is None:
        raise LocalError("the simulator does not run: run `backbone up`")
    log = log_of(stack.places, SIMULATOR)

    def service(name: str) -> Door:
        first = stack.state.services[name][0]
        auth = StaffTokens(credentials.token_private_key, name)
        return Door(name, first.url, log_of(stack.places, first.instance), auth)

    return Doors(
        control=Door("the simulator", simulator.url, log),
        stripe=Door("Stripe", simulator.stripe, log, headers={"Authorization": f"Bearer {credentials.stripe_api_key}"}),
        gocardless=Door(
            "GoCardless",
            simulator.gocardless,
            log,
            headers={
                "Authorization": f"Bearer {credentials.gocardless_access_token}",
                "GoCardless-Version": _GOCARDLESS_VERSION,
            },
        ),
        payments=service("payments"),
        audit=service("audit"),
    )


def _verify(stack: Stack, console: Console, progress: Progress) -> None:
    """Let audit check its own log, and show what it says."""
    audit = BY_NAME["audit"]
    # In a session of its own, so that Ctrl-C reaches this process alone.
    with subprocess.Popen(
        audit.command("verify"),
        env=audit.serving(stack.around, "audit-verify", 0),
        cwd=stack.places.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as verifying:
        try:
            wait_for(
                "the audit log to be verified",
                lambda: verifying.poll() is not None,
                limit_seconds=_VERIFY_LIMIT_SECONDS,
                progress=progress,
            )
        finally:
            verifying.kill()
        said, _ = verifying.communicate()
    told = " ".join(said.split("\n")).strip()
    if verifying.returncode != 0:
        raise LocalError(f"the audit log does not verify (exit code {verifying.returncode}): {told}")
    console.print(f"python -m audit verify: {told}", soft_wrap=True, markup=False)
