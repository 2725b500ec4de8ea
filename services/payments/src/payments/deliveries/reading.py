"""What a delivery's body holds, item by item: one rule for whoever accepts, works off or shows it."""

from __future__ import annotations

from collections.abc import Sequence

from payments.deliveries.domain import Provider, ProviderEvent, Unreadable
from payments.providers.reading import read_gocardless, read_stripe


def read_items(provider: Provider, body: bytes, *, livemode: bool) -> Sequence[ProviderEvent | Unreadable]:
    """Each item of a body in order; a body that cannot be read at all is one unreadable item.

    `livemode` is what GoCardless does not say; Stripe's events say it themselves.
    """
    if provider == "stripe":
        return (read_stripe(body),)
    read = read_gocardless(body, livemode=livemode)
    return (read,) if isinstance(read, Unreadable) else read
