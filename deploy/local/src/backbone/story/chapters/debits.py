"""Customers, mandates and debits at GoCardless, as the chapters need them."""

from __future__ import annotations

from typing import Any, Final

from backbone.story.chapters.month import arrives, customers_of, keep_member
from backbone.story.stage import Stage

_PROVIDER: Final = "gocardless"


def mandate_of(stage: Stage, member_id: str, name: str) -> tuple[str, dict[str, Any]]:
    """The customer that a member is at GoCardless, made and told to payments where there is none, with a mandate."""
    known = customers_of(stage, member_id, _PROVIDER)
    mandates = stage.doors.gocardless.get("/mandates", limit=500)["mandates"]
    for mandate in mandates:
        if mandate["links"]["customer"] in known and mandate["status"] == "active":
            return mandate["links"]["customer"], mandate
    given, _, family = name.partition(" ")
    email = f"{given}.{family}@example.com".lower()
    customer = create(stage, "customers", given_name=given, family_name=family, email=email)
    account = create(
        stage,
        "customer_bank_accounts",
        account_holder_name=name,
        account_number="123456789",
        branch_code="082-082",
        country_code="AU",
        links={"customer": customer["id"]},
    )
    keep_member(stage, member_id, name, _PROVIDER, [*known, customer["id"]])
    stage.page.tell("Maria Rossi", f"adds {name} at GoCardless, customer {customer['id']}")
    return customer["id"], create(stage, "mandates", scheme="becs", links={"customer_bank_account": account["id"]})


def in_force(stage: Stage, mandate: str) -> None:
    """Have the bank accept a mandate, and wait for what GoCardless tells of it."""
    stage.doors.control.post(f"/mandates/{mandate}/actions", {"action": "activate"})
    arrives(stage, ("mandates.created", "mandates.submitted", "mandates.active"))


def debit(stage: Stage, mandate: str, amount_minor: int, description: str) -> str:
    """Have a debit made; returns its id."""
    links = {"mandate": mandate}
    wanted = {"amount": amount_minor, "currency": "AUD", "description": description, "links": links}
    return str(create(stage, "payments", **wanted)["id"])


def create(stage: Stage, what: str, **fields: Any) -> dict[str, Any]:
    """Make one thing at GoCardless, whose API names it in the request and in the answer."""
    made: dict[str, Any] = stage.doors.gocardless.call("POST", f"/{what}", json={what: fields})[what]
    return made
