"""Secrets of local mode, generated once and kept in one file that only its owner can read.

Nowhere else are secrets made up: a service outside local mode is given its own or refuses to start.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import BaseModel, Field, ValidationError

from backbone.faults import LocalError
from backbone.files import write_private


def _password() -> str:
    # Hexadecimal needs no quoting in a URL.
    return secrets.token_hex(16)


def _token_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Credentials(BaseModel):
    """All secrets of one stack.

    `token_private_key` signs what the gateway shows to services, `issuer_private_key` what staff show to the gateway.
    """

    postgres_admin: str = Field(default_factory=_password)
    roles: dict[str, str] = Field(default_factory=dict)
    stripe_webhook: str = Field(default_factory=lambda: f"whsec_{secrets.token_hex(24)}")
    gocardless_webhook: str = Field(default_factory=lambda: secrets.token_hex(20))
    stripe_api_key: str = Field(default_factory=lambda: f"sk_test_{secrets.token_hex(24)}")
    gocardless_access_token: str = Field(default_factory=lambda: f"sandbox_{secrets.token_hex(20)}")
    token_private_key: str = Field(default_factory=_token_key)
    issuer_private_key: str = Field(default_factory=_token_key)
    session_secret: str = Field(default_factory=lambda: secrets.token_hex(32))

    @property
    def token_public_key(self) -> str:
        """The PEM that services verify internal tokens with."""
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(self.token_private_key.encode(), password=None).public_key()
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @classmethod
    def load(cls, path: Path, roles: list[str]) -> Credentials:
        """Read the file, and make what it lacks: all of it the first time, a new service's passwords later."""
        try:
            kept = cls.model_validate_json(path.read_text()) if path.exists() else cls()
        except ValidationError:
            raise LocalError(f"{path} is damaged: `backbone reset` starts afresh") from None
        for role in roles:
            kept.roles.setdefault(role, _password())
        content = kept.model_dump_json(indent=2)
        if not path.exists() or path.read_text() != content:
            write_private(path, content)
        return kept
