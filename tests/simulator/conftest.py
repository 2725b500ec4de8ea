"""A simulator on free ports, in a process of its own, and an endpoint that receives what it sends."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gocardless_pro
import httpx
import pytest
import stripe

STRIPE_SECRET = "whsec_first"
STRIPE_NEW_SECRET = "whsec_second"
GOCARDLESS_SECRET = "gc_secret"
FAST_RETRIES = 0.05 / 3600


@dataclass(frozen=True)
class Received:
    """One request as it arrived, and what was answered."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content


@dataclass
class Inbox:
    """An endpoint that keeps what it gets. `answers` are given first, one request each; then 200."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def at(self, provider: str) -> list[Received]:
        return [one for one in self.received if one.path == f"/{provider}"]

    def stripe_types(self) -> list[str]:
        return [one.json["type"] for one in self.at("stripe")]

    def gocardless_actions(self) -> list[str]:
        return [
            f"{event['resource_type']}.{event['action']}"
            for one in self.at("gocardless")
            for event in one.json["events"]
        ]

    def stripe_object(self, event_type: str) -> dict[str, Any]:
        """The object of the last event of this type."""
        found: dict[str, Any] = [one.json for one in self.at("stripe") if one.json["type"] == event_type][-1]
        content: dict[str, Any] = found["data"]["object"]
        return content


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    box = Inbox()

    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = box.answers.pop(0) if box.answers else 200
            box.received.append(Received(self.path, dict(self.headers), body, status))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    box.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield box
    server.shutdown()
    server.server_close()
    thread.join()


class Simulator:
    """A running simulator, driven through the official clients and its control origin."""

    def __init__(self, process: subprocess.Popen[str], origins: dict[str, str]) -> None:
        self.process, self.origins = process, origins
        self.control = httpx.Client(base_url=origins["control"], timeout=30, trust_env=False)
        self.http = stripe.RequestsClient(timeout=30)
        self.stripe = self.stripe_client()
        self.gocardless = gocardless_pro.Client(access_token="sandbox_token", base_url=origins["gocardless"])

    def stripe_client(self, api_key: str = "sk_test_backbone", **options: Any) -> stripe.StripeClient:
        return stripe.StripeClient(
            api_key,
            base_addresses={"api": self.origins["stripe"]},
            http_client=self.http,
            max_network_retries=0,
            **options,
        )

    def do(self, method: str, path: str, body: object = None) -> Any:
        """Ask the control origin. Fails the test on any error."""
        answer = self.control.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def flush(self) -> None:
        self.do("POST", "/flush", {"timeout_seconds": 20})

    def deliveries(self, **query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.control.get("/deliveries", params={"limit": "10000", **query}).json()[
            "items"
        ]
        return items[::-1]

    def mandate(self, name: str = "Mark") -> Any:
        """A customer with an active BECS mandate."""
        customer = self.gocardless.customers.create(params={"given_name": name, "family_name": "Stevens"})
        account = self.gocardless.customer_bank_accounts.create(
            params={
                "account_holder_name": f"{name} Stevens",
                "account_number": "55779911",
                "branch_code": "062-000",
                "country_code": "AU",
                "links": {"customer": customer.id},
            }
        )
        mandate = self.gocardless.mandates.create(
            params={"scheme": "becs", "links": {"customer_bank_account": account.id}}
        )
        self.do("POST", f"/mandates/{mandate.id}/actions", {"action": "activate"})
        return mandate

    def debit(self, mandate: Any, amount: int = 11_000, **params: Any) -> Any:
        return self.gocardless.payments.create(
            params={"amount": amount, "currency": "AUD", "links": {"mandate": mandate.id}, **params}
        )

    def act(self, payment: Any, action: str, **more: Any) -> Any:
        return self.do("POST", f"/payments/{payment.id}/actions", {"action": action, **more})

    def member(self, payment_method: str = "pm_card_visa") -> stripe.Customer:
        return self.stripe.v1.customers.create(
            {
                "name": "Mark Stevens",
                "email": "mark@example.com",
                "invoice_settings": {"default_payment_method": payment_method},
            }
        )


Start = Callable[..., Simulator]


@pytest.fixture
def start(inbox: Inbox) -> Iterator[Start]:
    """Start a simulator that sends to the inbox; settings are given without their prefix."""
    with contextlib.ExitStack() as running:

        def begin(**settings: object) -> Simulator:
            return running.enter_context(simulator_process(environment(inbox, **settings)))

        yield begin


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with simulator_process(environment(Inbox(url="http://127.0.0.1:9"))) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Simulator, inbox: Inbox) -> Simulator:
    """One process for all tests that need no settings of their own, as good as new."""
    running_simulator.do("POST", "/reset")
    running_simulator.do(
        "PUT",
        "/endpoints",
        {
            "endpoints": [
                {
                    "provider": "stripe",
                    "url": f"{inbox.url}/stripe",
                    "secrets": [STRIPE_SECRET, STRIPE_NEW_SECRET],
                },
                {"provider": "gocardless", "url": f"{inbox.url}/gocardless", "secrets": [GOCARDLESS_SECRET]},
            ]
        },
    )
    return running_simulator


def environment(inbox: Inbox, **settings: object) -> dict[str, str]:
    defaults: dict[str, object] = {
        "control_port": 0,
        "stripe_port": 0,
        "gocardless_port": 0,
        "retry_scale": FAST_RETRIES,
        "stripe_webhook_urls": f"{inbox.url}/stripe",
        "stripe_webhook_secrets": f"{STRIPE_SECRET},{STRIPE_NEW_SECRET}",
        "gocardless_webhook_urls": f"{inbox.url}/gocardless",
        "gocardless_webhook_secret": GOCARDLESS_SECRET,
    }
    ours = {f"SIMULATOR_{name.upper()}": str(value) for name, value in (defaults | settings).items()}
    return {name: value for name, value in os.environ.items() if not name.startswith("SIMULATOR_")} | ours


@contextlib.contextmanager
def simulator_process(variables: dict[str, str]) -> Iterator[Simulator]:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator"], env=variables, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the simulator ended with {process.wait(10)}"
        simulator = Simulator(process, json.loads(line))
        with simulator.control:
            yield simulator
            simulator.http.close()  # type: ignore[no-untyped-call]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
