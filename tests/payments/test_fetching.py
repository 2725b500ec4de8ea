"""Reading objects from a provider that answers anything at all: only that object waits, nothing else is harmed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import asyncpg
import pytest
from chassis.service import Runtime
from payments.collection.fetching import Fetcher
from payments.collection.objects import Key
from payments.main import queued, service
from payments.providers.clients import ObjectNotReadError, ProviderClients
from sqlalchemy.exc import IntegrityError

from tests.payments.providers import SECRETS, Payments
from tests.support.eventually import eventually
from tests.support.infrastructure import TemporaryDatabase
from tests.support.services import running


class Provider:
    """An HTTP server that says what it was asked for; `answers` by path without query, all else is an empty object."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        asked, answers = self.asked, self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                answers.get(self.path.partition("?")[0], _says_nothing)(self)

            def log_message(self, *args: object) -> None:
                """Keep the output of the tests clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


def _says(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _says_nothing(handler: BaseHTTPRequestHandler) -> None:
    _says(handler, b"{}")


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    serving = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    serving.join()


@pytest.fixture
async def payments(
    provider: Provider,
    database_for: Callable[..., Awaitable[TemporaryDatabase]],
    kafka: str,
    topic_prefix: str,
) -> AsyncIterator[Payments]:
    """A service that reads nothing by itself: the tests do, with clients made from its settings."""
    database = await database_for("payments")
    origins = {"stripe_api_url": provider.url, "gocardless_api_url": provider.url}
    keys = {"stripe_api_key": "sk_test_backbone", "gocardless_access_token": "sandbox"}
    async with running(service, database, kafka, topic_prefix, work=False, **SECRETS, **origins, **keys) as started:
        yield started


@pytest.fixture
async def clients(payments: Payments) -> AsyncIterator[ProviderClients]:
    made = ProviderClients.of(payments.runtime.settings)
    yield made
    await made.aclose()


def _charge(id_: str, account: str = "self") -> Key:
    return Key("stripe", account, "charge", id_)


async def _as_owner(payments: Payments, statement: str, *given: tuple[str]) -> None:
    connection = await asyncpg.connect(payments.place.owner_url_for("payments"))
    try:
        await connection.executemany(statement, given or [()])
    finally:
        await connection.close()


async def _want(payments: Payments, *keys: Key) -> None:
    statement = "INSERT INTO payments.fetches (key, why, due_at, attempts) VALUES ($1, 'a test', now(), 0)"
    await _as_owner(payments, statement, *((key.text,) for key in keys))


def _fetcher(payments: Payments, clients: ProviderClients) -> Fetcher:
    runtime = payments.runtime
    assert runtime.ingress is not None
    return Fetcher(runtime.database, clients, poll_seconds=0.05, fetched=runtime.ingress.committed)


async def test_an_object_that_no_request_can_be_made_for_waits_and_the_others_are_read(
    payments: Payments, clients: ProviderClients
) -> None:
    await _want(payments, _charge("ch_1", "acct_é"), _charge("ch_2"))
    assert await _fetcher(payments, clients).step() == 2
    waiting = await payments.rows("SELECT key, last_error, due_at > now() FROM payments.fetches")
    assert waiting == [("stripe/acct_é/charge/ch_1", "UnicodeEncodeError", True)]
    assert await payments.rows("SELECT key FROM payments.fetched_objects") == [("stripe/self/charge/ch_2",)]


@pytest.mark.parametrize(
    ("id_", "path"),
    [
        ("ch_1", "/v1/charges/ch_1"),
        ("../customers?limit=100#", "/v1/charges/..%2Fcustomers%3Flimit%3D100%23"),
        ("%2e%2e", "/v1/charges/%252e%252e"),
        ("ch 1é", "/v1/charges/ch%201%C3%A9"),
    ],
)
async def test_an_id_is_one_segment_of_the_path_whatever_it_holds(
    provider: Provider, clients: ProviderClients, id_: str, path: str
) -> None:
    await clients.read(_charge(id_))
    assert provider.asked == [f"{path}?expand[]=balance_transaction&expand[]=refunds"]


@pytest.mark.parametrize("id_", [".", ".."])
async def test_an_id_that_means_a_directory_is_never_asked_for(
    provider: Provider, clients: ProviderClients, id_: str
) -> None:
    with pytest.raises(ObjectNotReadError, match="no address"):
        await clients.read(_charge(id_))
    mandate = b'{"payments": {"links": {"mandate": "%s"}}}' % id_.encode()
    provider.answers["/payments/PM1"] = lambda handler: _says(handler, mandate)
    with pytest.raises(ObjectNotReadError, match="no address"):
        await clients.read(Key("gocardless", "self", "payment", "PM1"))
    assert provider.asked == ["/payments/PM1"]


async def test_an_answer_without_end_is_cut_at_the_limit(provider: Provider, clients: ProviderClients) -> None:
    """Only a client that hangs up ends this answer."""
    hung_up = threading.Event()

    def without_end(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b" " * 65_536)
        except OSError:
            hung_up.set()

    provider.answers["/v1/charges/ch_1"] = without_end
    with pytest.raises(ObjectNotReadError, match="more than 4194304 bytes"):
        await clients.read(_charge("ch_1"))
    assert await asyncio.to_thread(hung_up.wait, 10)


async def test_an_answer_that_trickles_is_given_up_in_time(provider: Provider, payments: Payments) -> None:
    given_up = threading.Event()

    def trickles(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not given_up.wait(0.05):
            handler.wfile.write(b" ")

    provider.answers["/v1/charges/ch_1"] = trickles
    clients = ProviderClients.of(payments.runtime.settings.model_copy(update={"provider_timeout_seconds": 0.3}))
    try:
        with pytest.raises(ObjectNotReadError, match="TimeoutError"):
            await clients.read(_charge("ch_1"))
    finally:
        given_up.set()
        await clients.aclose()


async def test_a_step_ends_when_its_last_read_has_ended_even_where_another_failed(
    payments: Payments, provider: Provider, clients: ProviderClients
) -> None:
    """The clients are closed after it: a read that still went on would lose its connection."""
    answering = threading.Event()

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        answering.wait()
        _says_nothing(handler)

    provider.answers["/v1/charges/ch_slow"] = slowly
    await _as_owner(payments, "ALTER TABLE payments.fetched_objects ADD CHECK (key NOT LIKE '%ch_refused')")
    await _want(payments, _charge("ch_refused"), _charge("ch_slow"))
    step = asyncio.create_task(_fetcher(payments, clients).step())
    try:
        await eventually(lambda: _asked(provider), lambda asked: len(asked) == 2)
        done, _ = await asyncio.wait({step}, timeout=0.5)
        assert not done
    finally:
        answering.set()
    with pytest.raises(IntegrityError, match="fetched_objects"):
        await step
    assert await payments.rows("SELECT key FROM payments.fetched_objects") == [("stripe/self/charge/ch_slow",)]


async def _asked(provider: Provider) -> list[str]:
    return provider.asked


@pytest.mark.parametrize("http", [True, False])
async def test_what_was_fetched_wakes_the_worker_of_its_process(payments: Payments, *, http: bool) -> None:
    settings = payments.runtime.settings.model_copy(update={"http": http})
    async with Runtime(service, settings) as one, Runtime(service, settings) as other:
        assert queued(one) is queued(one)
        assert queued(one) is not queued(other)
