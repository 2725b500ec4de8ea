"""The fault dial and the deliveries: what goes wrong on the way, and that it comes right in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import stripe
from gocardless_pro import errors

from tests.simulator.conftest import STRIPE_SECRET, Inbox, Simulator, Start
from tests.simulator.waiting import eventually


def genuine(delivery: object) -> bool:
    """Stripe's own verdict on a received delivery."""
    body, headers = delivery.body, delivery.headers  # type: ignore[attr-defined]
    try:
        stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], STRIPE_SECRET, 300)
    except stripe.SignatureVerificationError:
        return False
    return True


def customers(simulator: Simulator, count: int) -> list[str]:
    return [simulator.stripe.v1.customers.create({"name": f"Member {n}"}).id for n in range(count)]


def arrived(inbox: Inbox) -> list[str]:
    return [one.json["data"]["object"]["id"] for one in inbox.at("stripe")]


def test_what_is_not_answered_with_2xx_is_sent_again_with_a_fresh_timestamp(simulator: Simulator, inbox: Inbox) -> None:
    inbox.answers = [500, 302, 400]
    customers(simulator, 1)
    simulator.flush()

    (delivery,) = simulator.deliveries()
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 302, 400, 200]
    assert len({one.body for one in inbox.received}) == 1
    assert all(genuine(one) for one in inbox.received)
    times = [attempt["at"] for attempt in delivery["attempts"]]
    assert times == sorted(times)


def test_an_endpoint_that_never_accepts_is_given_up_visibly(start: Start, inbox: Inbox) -> None:
    simulator = start(attempts_max=3, retry_scale=1e-6)
    inbox.answers = [503] * 3
    customers(simulator, 1)
    simulator.flush()

    (given_up,) = simulator.deliveries(state="failed")
    assert [attempt["status"] for attempt in given_up["attempts"]] == [503, 503, 503]
    simulator.do("POST", f"/deliveries/{given_up['id']}/resend")
    simulator.flush()
    assert [one.status for one in inbox.received] == [503, 503, 503, 200]


def test_an_endpoint_that_is_not_there_is_tried_until_it_is(simulator: Simulator, inbox: Inbox) -> None:
    endpoint = {"provider": "stripe", "url": "http://127.0.0.1:9/stripe", "secrets": [STRIPE_SECRET]}
    simulator.do("PUT", "/endpoints", {"endpoints": [endpoint]})
    customers(simulator, 1)
    eventually(lambda: bool(simulator.deliveries()[0]["attempts"]), "the first attempt")

    answer = simulator.control.post("/flush", json={"timeout_seconds": 0.1})

    assert answer.status_code == 504
    (waiting,) = answer.json()["items"]
    assert waiting["attempts"][0]["status"] is None
    assert "ConnectError" in waiting["attempts"][0]["error"]
    assert waiting["next_attempt_at"] is not None


def test_duplicates_are_the_same_bytes(simulator: Simulator, inbox: Inbox) -> None:
    simulator.do("POST", "/faults/stripe/next", {"fault": "duplicate", "times": 4})
    customers(simulator, 2)
    simulator.flush()

    first, *copies, last = inbox.at("stripe")
    assert [copy.body for copy in copies] == [first.body] * 4
    assert last.body != first.body


@pytest.mark.parametrize("once", [True, False])
def test_a_window_arrives_in_reverse(simulator: Simulator, inbox: Inbox, once: bool) -> None:
    if once:
        simulator.do("POST", "/faults/stripe/next", {"fault": "reorder", "window": 3})
    else:
        simulator.do("PUT", "/faults/stripe", {"reorder": {"mode": "reverse", "window": 3, "seconds": 60}})
    made = customers(simulator, 4)
    simulator.flush()

    assert arrived(inbox) == [made[2], made[1], made[0], made[3]]


def test_an_incomplete_window_is_sent_by_a_flush(simulator: Simulator, inbox: Inbox) -> None:
    simulator.do("PUT", "/faults/stripe", {"reorder": {"mode": "reverse", "window": 100, "seconds": 60}})
    made = customers(simulator, 3)
    assert arrived(inbox) == []
    simulator.flush()

    assert arrived(inbox) == made[::-1]


def test_a_dropped_delivery_never_arrives_and_its_event_can_be_fetched(simulator: Simulator, inbox: Inbox) -> None:
    simulator.do("POST", "/faults/stripe/next", {"fault": "drop"})
    lost, arriving = customers(simulator, 2)
    simulator.flush()

    assert arrived(inbox) == [arriving]
    (dropped,) = simulator.deliveries(state="dropped")
    assert simulator.stripe.v1.events.retrieve(dropped["event_ids"][0]).data.object["id"] == lost


def test_a_delayed_delivery_arrives_after_the_next(simulator: Simulator, inbox: Inbox) -> None:
    simulator.do("POST", "/faults/stripe/next", {"fault": "delay", "seconds": 3600})
    _, early = customers(simulator, 2)
    eventually(lambda: bool(simulator.deliveries(state="delivered")), "the second has arrived")

    assert arrived(inbox) == [early]
    (late,) = simulator.deliveries(state="pending")
    due, now = (datetime.fromisoformat(time) for time in (late["next_attempt_at"], datetime.now(UTC).isoformat()))
    assert timedelta(minutes=50) < due - now <= timedelta(hours=1)


@pytest.mark.parametrize("fault", ["altered_byte", "other_secret"])
def test_a_tampered_delivery_is_refused_by_the_official_check_and_repeated_genuinely(
    simulator: Simulator, inbox: Inbox, fault: str
) -> None:
    inbox.answers = [400]
    simulator.do("POST", "/faults/stripe/next", {"fault": fault})
    customers(simulator, 1)
    simulator.flush()

    assert [genuine(one) for one in inbox.at("stripe")] == [False, True]
    (delivery,) = simulator.deliveries()
    assert [attempt["fault"] for attempt in delivery["attempts"]] == [fault, None]


@pytest.mark.parametrize("how", ["altered_byte", "other_secret", "stale_timestamp"])
def test_a_forgery_is_sent_once_and_is_not_genuine(simulator: Simulator, inbox: Inbox, how: str) -> None:
    customers(simulator, 1)
    simulator.flush()
    inbox.answers = [400]
    simulator.do("POST", "/forgeries", {"provider": "stripe", "how": how})
    simulator.flush()

    assert [genuine(one) for one in inbox.at("stripe")] == [True, False]
    assert simulator.deliveries(state="failed")[0]["forged"] is True


def test_a_forgery_from_the_future_is_what_the_official_check_lets_through(simulator: Simulator, inbox: Inbox) -> None:
    """So the product needs an upper bound of its own."""
    customers(simulator, 1)
    simulator.do("POST", "/forgeries", {"provider": "stripe", "how": "future_timestamp"})
    simulator.flush()

    sent, forged = (int(one.headers["Stripe-Signature"][2:].partition(",")[0]) for one in inbox.at("stripe"))
    assert 300 <= forged - sent <= 330


def test_an_outage_answers_503_and_holds_webhooks_until_it_ends(simulator: Simulator, inbox: Inbox) -> None:
    mandate = simulator.mandate()
    simulator.flush()
    before = len(inbox.received)
    simulator.do("PUT", "/faults/gocardless", {"outage": {"webhooks": True}})
    payment = simulator.debit(mandate)
    simulator.do("PUT", "/faults/gocardless", {"outage": {"api": True, "webhooks": True}})

    with pytest.raises(errors.GoCardlessInternalError) as down:
        simulator.gocardless.payments.get(payment.id)
    assert down.value.code == 503
    assert len(inbox.received) == before
    assert len(simulator.deliveries(state="pending")) == 1
    customers(simulator, 1)  # Stripe is not concerned

    simulator.do("PUT", "/faults/gocardless", {})
    simulator.flush()
    assert inbox.gocardless_actions()[-1] == "payments.created"
    assert simulator.gocardless.payments.get(payment.id).id == payment.id


def test_stripes_outage_is_an_api_error_to_the_official_client(simulator: Simulator) -> None:
    simulator.do("PUT", "/faults/stripe", {"outage": {"api": True}})
    with pytest.raises(stripe.APIError) as down:
        simulator.stripe.v1.customers.list()
    assert down.value.http_status == 503


def test_rates_go_wrong_the_same_way_for_the_same_seed(simulator: Simulator, inbox: Inbox) -> None:
    dial = {
        "duplicate": {"rate": 0.3, "times": 2},
        "drop": 0.2,
        "reorder": {"mode": "random", "window": 5, "seconds": 60},
    }
    runs = []
    for seed in ("one", "one", "two"):
        simulator.do("POST", "/reset", {"seed": seed})
        simulator.do("PUT", "/faults/stripe", dial)
        inbox.received.clear()
        customers(simulator, 20)
        simulator.flush()
        runs.append([one.json["id"] for one in inbox.at("stripe")])

    first, second, other = runs
    assert first == second
    assert first != other
    assert len(set(first)) < 20 < len(first)


def test_two_endpoints_get_the_same_event_in_their_own_versions(simulator: Simulator, inbox: Inbox) -> None:
    versions = {"old": "2024-06-20", "new": "2025-03-31.basil"}
    simulator.do(
        "PUT",
        "/endpoints",
        {
            "endpoints": [
                {"provider": "stripe", "url": f"{inbox.url}/{name}", "secrets": [STRIPE_SECRET], "api_version": version}
                for name, version in versions.items()
            ]
        },
    )
    member = simulator.member()
    simulator.do("POST", "/stripe/periods", {"customer": member.id, "amount_minor": 11_000})
    simulator.flush()

    old, new = (
        {one.json["id"]: one.json for one in inbox.at(name) if one.json["type"] == "invoice.paid"} for name in versions
    )
    assert old.keys() == new.keys()
    ((before, after),) = zip(old.values(), new.values(), strict=True)
    assert "payment_intent" in before["data"]["object"]
    assert "payment_intent" not in after["data"]["object"]
    assert before["pending_webhooks"] == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/faults/paypal/next", {"fault": "drop"}, 404, "No provider 'paypal'"),
        ("/faults/stripe/next", {"fault": "gremlins"}, 422, "fault: "),
        ("/forgeries", {"provider": "stripe"}, 404, "has sent nothing"),
        ("/payments/PM1/actions", {"action": "confirm"}, 404, "not found"),
        ("/flush", {"timeout_seconds": -1}, 422, "timeout_seconds: "),
    ],
)
def test_the_control_origin_says_what_is_wrong(
    simulator: Simulator, path: str, body: object, status: int, sentence: str
) -> None:
    answer = simulator.control.post(path, json=body)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_the_control_origin_lists_what_it_can_do(simulator: Simulator) -> None:
    listed = simulator.do("GET", "/")
    assert {"method": "POST", "path": "/flush"}.items() <= next(
        one for one in listed if one["path"] == "/flush"
    ).items()
    assert all(one["does"] for one in listed)
    assert simulator.do("GET", "/health")["status"] == "ok"


def test_a_month_without_a_payment_method_is_refused_before_anything_is_billed(
    simulator: Simulator, inbox: Inbox
) -> None:
    (member,) = customers(simulator, 1)
    answer = simulator.control.post("/stripe/periods", json={"customer": member, "amount_minor": 11_000})
    assert answer.status_code == 409
    simulator.flush()
    assert inbox.stripe_types() == ["customer.created"]


def test_every_action_that_is_unknown_is_answered_with_those_that_are(simulator: Simulator) -> None:
    payment = simulator.debit(simulator.mandate())
    answer = simulator.control.post(f"/payments/{payment.id}/actions", json={"action": "explode"})
    assert answer.status_code == 422
    assert "late_fail" in answer.json()["error"]
