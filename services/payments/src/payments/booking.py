"""How money is booked, by the settings: for the worker, and for requests."""

from __future__ import annotations

from typing import Annotated, cast
from zoneinfo import ZoneInfo

from chassis.web import web_state
from fastapi import Depends, Request

from payments.collection.domain import Policy
from payments.settings import PaymentsSettings


def policy_of(settings: PaymentsSettings) -> Policy:
    """The policy that the settings describe."""
    return Policy(
        gst_registered=settings.gst_registered,
        basis=settings.gst_basis,
        zone=ZoneInfo(settings.business_timezone),
    )


async def _asked(request: Request) -> Policy:
    return policy_of(cast(PaymentsSettings, web_state(request).settings))


BookingPolicy = Annotated[Policy, Depends(_asked)]
"""What an operation books by."""
