"""Everything that one simulator holds: both providers, their fault dials, and what goes out to whom.

Time moves the providers on by itself: a debit goes to the bank, is confirmed and paid out as business days pass. After
a jump of the clock each step that was due happens in its order and is dated when it was due.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, get_args

from simulator import samples
from simulator.calls import Calls
from simulator.clock import BusinessClock
from simulator.delivery import Dispatcher, Endpoint
from simulator.faults import Faults
from simulator.gocardless import lifecycle, shapes
from simulator.gocardless.objects import Event as GoCardlessEvent
from simulator.gocardless.organisation import Organisation
from simulator.ids import Ids
from simulator.settings import Provider, Settings
from simulator.storage import Snapshot, load, save
from simulator.stripe import billing, payments
from simulator.stripe.account import Account, render_event, render_notification
from simulator.stripe.objects import AUTOMATIC
from simulator.stripe.objects import Event as StripeEvent

PROVIDERS: Final[tuple[Provider, ...]] = get_args(Provider)
_TICK_SECONDS: Final = 0.25
_SAVE_EVERY_SECONDS: Final = 1.0


class World:
    """One process' state. Built from a snapshot where there is one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = BusinessClock(settings.clock_file)
        self.faults: dict[Provider, Faults] = {
            provider: Faults(f"{settings.seed}:{provider}") for provider in PROVIDERS
        }
        self.calls = Calls()
        self.dispatcher = Dispatcher(settings, self.faults, self._touch)
        self.dispatcher.point(_endpoints(settings))
        snapshot = load(settings.state_file)
        self._generation = snapshot.generation + 1
        self._begin(settings.seed)
        self.stripe.book, self.gocardless.book = snapshot.stripe, snapshot.gocardless
        self.dispatcher.restore(snapshot.deliveries)
        self.save()

    def reset(self, seed: str | None) -> None:
        """Forget everything and begin again; the same seed gives the same ids again."""
        self._generation = 0
        for provider in PROVIDERS:
            self.faults[provider].restart(f"{seed or self.settings.seed}:{provider}")
        self.calls.forget()
        self.dispatcher.forget()
        self._begin(seed or self.settings.seed)
        self._touch()

    def point(self, endpoints: list[Endpoint]) -> None:
        """Send webhooks to these endpoints from now on."""
        self.dispatcher.point(endpoints)
        self.stripe.versions = [endpoint.api_version for endpoint in self.dispatcher.listening("stripe")]

    def advance(self) -> None:
        """Let everything happen that is due by now."""
        for intent in payments.due(self.stripe):
            payments.settle(self.stripe, AUTOMATIC, intent)
            billing.settled(self.stripe, AUTOMATIC, intent)
        for invoice in billing.due(self.stripe):
            billing.collect(self.stripe, invoice)
        lifecycle.advance(self.gocardless)

    async def run(self) -> None:
        """Advance and save, for as long as the task lives. Saving takes a twentieth of the time at most."""
        save_after = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.advance()
            started = time.monotonic()
            if self._changed and started >= save_after:
                self.save()
                ended = time.monotonic()
                save_after = ended + max(_SAVE_EVERY_SECONDS, 20 * (ended - started))

    def save(self) -> None:
        """Write the snapshot, where there is a file for it."""
        self._changed = False
        if self.settings.state_file is not None:
            snapshot = Snapshot(
                self._generation, self.stripe.book, self.gocardless.book, self.dispatcher.worth_keeping()
            )
            save(self.settings.state_file, snapshot)

    def _begin(self, seed: str) -> None:
        # The generation keeps ids from coming back after a kill that the last snapshot did not see.
        generation = f"{seed}:{self._generation}" if self.settings.state_file else seed
        ids = Ids(generation)
        self.ids = ids
        self._batch: list[GoCardlessEvent] = []
        self.stripe = Account(
            ids,
            self.clock.now,
            api_version=self.settings.stripe_api_version,
            versions=[endpoint.api_version for endpoint in self.dispatcher.listening("stripe")],
            smart_retries=self.settings.stripe_smart_retries,
            publish=self._publish_stripe,
        )
        self.gocardless = Organisation(ids.gocardless, self.clock.now, publish=self._publish_gocardless)

    def _publish_stripe(self, event: StripeEvent) -> None:
        endpoints = self.dispatcher.listening("stripe")
        for endpoint in endpoints:
            rendered = (
                render_notification(event)
                if endpoint.thin
                else render_event(event, endpoint.api_version, pending_webhooks=len(endpoints))
            )
            self.dispatcher.send(endpoint, [event.id], [event.type], samples.stripe_body(rendered))
        self._touch()

    def _publish_gocardless(self, event: GoCardlessEvent) -> None:
        self._batch.append(event)
        self._touch()
        if len(self._batch) >= self.settings.gocardless_batch_max_events:
            self.post_batch()
        elif len(self._batch) == 1:
            loop = asyncio.get_running_loop()
            window_seconds = self.settings.gocardless_batch_window_seconds
            after: Callable[[], object] = self.post_batch
            if window_seconds:
                loop.call_later(window_seconds, after)
            else:
                loop.call_soon(after)

    def post_batch(self) -> None:
        """Send the GoCardless events that still wait for company."""
        if not self._batch:
            return
        events, self._batch = self._batch, []
        for endpoint in self.dispatcher.listening("gocardless"):
            body = samples.gocardless_body([shapes.event(event) for event in events], self.ids.gocardless("WB"))
            types = [f"{event.resource_type}.{event.action}" for event in events]
            self.dispatcher.send(endpoint, [event.id for event in events], types, body)

    def _touch(self) -> None:
        self._changed = True


def _endpoints(settings: Settings) -> list[Endpoint]:
    stripe_secrets = tuple(secret.get_secret_value() for secret in settings.stripe_webhook_secrets)
    secret = settings.gocardless_webhook_secret
    gocardless_secrets = (secret.get_secret_value(),) if secret else ()
    return [
        *(Endpoint("stripe", url, stripe_secrets, settings.stripe_api_version) for url in settings.stripe_webhook_urls),
        *(Endpoint("gocardless", url, gocardless_secrets) for url in settings.gocardless_webhook_urls),
    ]
