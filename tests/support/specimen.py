"""A service for the chassis' own tests: one schema with an outbox and a table of notes, as a real service has them."""

from __future__ import annotations

from typing import Final

import asyncpg
from chassis import clock, idempotency, outbox
from chassis.database import Database, create_engine
from chassis.provisioning import Roles, provision
from chassis.tokens import Verifier, mint
from chassis.transaction import Cause, Draft
from contracts.envelope import Actor, Entity, Workflow
from contracts.events import MemberUpdated
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import MetaData
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.schema import CreateTable

from tests.support.infrastructure import TemporaryDatabase

SCHEMA: Final = "specimen"
MARIA: Final = Actor(kind="staff", id="staff-maria", name="Maria Rossi")
CAUSE: Final = Cause("request-0001")
NOTES: Final = f"""
CREATE TABLE {SCHEMA}.notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED,
    amount integer NOT NULL DEFAULT 0 CHECK (amount >= 0)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON {SCHEMA}.notes TO {SCHEMA};
GRANT SELECT, INSERT, DELETE ON {SCHEMA}.outbox, {SCHEMA}.idempotency_keys TO {SCHEMA};
"""


async def make(given: TemporaryDatabase) -> None:
    """Provision the schema and create its tables as its owner does."""
    await provision(given.admin_url, Roles(SCHEMA, given.password, given.password))
    tables = [outbox.outbox_table(MetaData(schema=SCHEMA)), idempotency.idempotency_table(MetaData(schema=SCHEMA))]
    owner = await asyncpg.connect(given.owner_url_for(SCHEMA), timeout=10)
    try:
        for table in tables:
            ddl = CreateTable(table).compile(dialect=dialect())  # type: ignore[no-untyped-call]
            await owner.execute(str(ddl))
        await owner.execute(NOTES)
    finally:
        await owner.close(timeout=10)


def opened(url: str, *, connections: int = 4, now: clock.BusinessClock | None = None) -> Database:
    """The specimen's database, reached as its own role."""
    engine = create_engine(url, application=SCHEMA, pool_max_connections=connections)
    return Database(engine, service=SCHEMA, schema=SCHEMA, clock=now or clock.BusinessClock())


def a_change(member: str = "mark", *, key: str | None = None) -> Draft[MemberUpdated]:
    """What a transaction may emit."""
    return Draft(
        body=MemberUpdated(change="renamed", name="Mark Stevens"),
        entity=Entity(type="member", id=member),
        workflow=Workflow(name="membership", id=member),
        key=key,
    )


def key_pair() -> tuple[str, str]:
    """A new Ed25519 key, private and public, in PEM."""
    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )


class Signer:
    """Mints tokens for the specimen, as the gateway does, and verifies them, as the specimen does."""

    def __init__(self) -> None:
        self.private, self.public = key_pair()
        self.verifier = Verifier(self.public, audience=SCHEMA)

    def headers(self, *scopes: str, actor: Actor = MARIA) -> dict[str, str]:
        """The header of a request by `actor`, who may do `scopes`."""
        return {"Authorization": f"Bearer {mint(self.private, audience=SCHEMA, actor=actor, scopes=scopes)}"}
