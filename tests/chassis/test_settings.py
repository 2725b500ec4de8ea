"""Settings: what is wrong is said in one sentence that names the variable and nothing secret."""

from __future__ import annotations

import pytest
from chassis.settings import HttpUrl, Settings, SettingsError
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import Field

from tests.support import specimen

RIGHT = {
    "PAYMENTS_DATABASE_URL": "postgresql://payments:hunter2@127.0.0.1:5432/backbone",
    "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092,127.0.0.1:9093",
}
ANOTHER_KIND = (
    generate_private_key(SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


class OurSettings(Settings):
    """A service's own settings beside the chassis'."""

    quota: int = Field(10, gt=0, description="How many")


def load(**more: str) -> OurSettings:
    return OurSettings.load(
        "payments", {**RIGHT, **{f"PAYMENTS_{name.upper()}": value for name, value in more.items()}}
    )


def refusal(**more: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load(**more)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert "hunter2" not in sentence
    return sentence


def test_right_settings_are_typed() -> None:
    settings = load(http_port="8080", relay="false", quota="3", instance="payments-0")

    assert (settings.http_port, settings.relay, settings.quota, settings.instance) == (8080, False, 3, "payments-0")
    assert settings.database_url.get_secret_value().endswith("/backbone")


def test_other_variables_are_none_of_our_business() -> None:
    settings = OurSettings.load(
        "payments", {**RIGHT, "AUDIT_QUOTA": "x", "PATH": "/bin", "QUOTA": "7", "payments_quota": "8"}
    )

    assert settings.quota == 10


def test_a_misspelt_setting_is_refused_with_a_guess() -> None:
    assert refusal(databse_url="x") == (
        "PAYMENTS_DATABSE_URL is not a setting of payments; did you mean PAYMENTS_DATABASE_URL?"
    )


def test_an_unknown_setting_is_refused() -> None:
    assert refusal(xyzzy="1") == "PAYMENTS_XYZZY is not a setting of payments"


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^PAYMENTS_DATABASE_URL is not set$"):
        OurSettings.load("payments", {})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "payments",
        "mysql://payments:hunter2@127.0.0.1/backbone",
        "postgresql://payments:hunter2@/backbone",
        "postgresql://payments:hunter2@127.0.0.1",
        "postgresql://payments:hunter2@127.0.0.1:none/backbone",
        "postgresql://payments:hunter2@127.0.0.1:99999/backbone",
        "postgresql://payments:hunter2@[::1/backbone",
    ],
)
def test_a_bad_url_is_refused_without_repeating_it(url: str) -> None:
    assert refusal(database_url=url) == (
        "PAYMENTS_DATABASE_URL must look like postgresql://user:password@host:port/database"
    )


@pytest.mark.parametrize("servers", ["", "localhost", "localhost:", ":9092", "a:0", "a:70000", "a:1,", "a:b", "a:²"])
def test_bad_brokers_are_refused(servers: str) -> None:
    assert refusal(kafka_bootstrap_servers=servers) == (
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS must be host:port, several separated by commas"
    )


def test_the_key_of_whoever_signs_tokens_is_taken() -> None:
    _, public = specimen.key_pair()

    assert load(token_public_keys=public * 2).token_public_keys == public * 2


@pytest.mark.parametrize(
    "keys",
    [
        "hunter2",
        "-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY----- é -----END PUBLIC KEY-----",
        specimen.key_pair()[0],
        ANOTHER_KIND,
    ],
    ids=["no PEM", "no base64", "no ASCII", "private", "another kind"],
)
def test_keys_that_verify_nothing_are_refused_without_repeating_them(keys: str) -> None:
    assert refusal(token_public_keys=keys) == (
        "PAYMENTS_TOKEN_PUBLIC_KEYS must be Ed25519 public keys in PEM, concatenated"
    )


@pytest.mark.parametrize(
    "url",
    ["", "collector", "collector:4318", "ftp://collector", "http://", "http://a:none", "http://a:99999", "http://a b"],
)
def test_a_bad_address_is_refused(url: str) -> None:
    assert refusal(otlp_endpoint=url) == "PAYMENTS_OTLP_ENDPOINT must look like https://host"


@pytest.mark.parametrize("url", ["http://127.0.0.1:4318", "https://collector.example/v1/traces"])
def test_an_address_is_taken(url: str) -> None:
    assert load(otlp_endpoint=url).otlp_endpoint == url


@pytest.mark.parametrize(
    ("name", "value"),
    [("http_port", "http"), ("http_port", "70000"), ("relay", "perhaps"), ("log_level", "loud"), ("quota", "0")],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: str) -> None:
    assert refusal(**{name: value}).startswith(f"PAYMENTS_{name.upper()} ")


def test_every_setting_is_described() -> None:
    described = OurSettings.described("provider-health")

    assert all(description for _, _, description in described)
    assert ("PROVIDER_HEALTH_QUOTA", "10", "How many") in described
    assert ("PROVIDER_HEALTH_DATABASE_URL", "") in [(name, default) for name, default, _ in described]


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(load())
    assert "hunter2" not in str(load().model_dump())


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().http_port = 1  # type: ignore[misc]


class Demanding(Settings):
    """A service that cannot serve without something of its own."""

    partner_url: HttpUrl = Field(description="Who is asked")


def test_migrating_needs_what_every_service_has_and_nothing_else() -> None:
    assert Demanding.load_common("payments", RIGHT).database_url.get_secret_value().endswith("/backbone")
    with pytest.raises(SettingsError, match=r"^PAYMENTS_PARTNER_URL is not set$"):
        Demanding.load("payments", RIGHT)
    with pytest.raises(SettingsError, match=r"^PAYMENTS_DATABASE_URL is not set$"):
        Demanding.load_common("payments", {})


def test_what_is_wrong_is_found_when_migrating_already() -> None:
    with pytest.raises(SettingsError, match=r"^PAYMENTS_PARTNER_URL must look like https://host$"):
        Demanding.load_common("payments", {**RIGHT, "PAYMENTS_PARTNER_URL": "partner"})
    with pytest.raises(SettingsError, match="is not a setting of payments"):
        Demanding.load_common("payments", {**RIGHT, "PAYMENTS_XYZZY": "1"})
