"""The audit record: who asked for which change, chained so that none can be taken out or altered unseen.

Each host has a chain of its own. A record holds the digest of the one before it; the chain's head is replaced in the commit
that adds a record, which is also the commit that makes the change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum

import msgspec

THINGS_MOST = 100
FIRST = "0" * 64


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    id: str  # the host, and the number
    version: int = 0
    host: str
    number: int  # from 1
    previous: str  # digest of the record before; of the first one FIRST
    at: float = 0.0  # store time: for people, and of no digest
    user: str
    token: str
    operation: str
    things: tuple[str, ...]  # vm/web-1, …; at most a hundred
    more: int = 0  # things that are left out
    request: str = ""  # a digest of what was asked
    job: str = ""
    outcome: Outcome = Outcome.ACCEPTED
    why: str = ""
    request_id: str = ""


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Where a host's chain ends."""

    id: str  # the host
    version: int = 0
    number: int = 0
    digest: str = FIRST


def name_of(host: str, number: int) -> str:
    return f"{host}/{number:012d}"


def digest(record: Record) -> str:
    bare = msgspec.structs.replace(record, at=0.0, version=0)
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


def broken(chain: Chain, records: Iterable[Record]) -> str:
    """What is wrong with a host's chain, in the order of its records; "" if nothing is. What was cleaned up by age is no gap:
    the first record that is left vouches for none before it."""
    number, previous = 0, ""
    for record in records:
        if number and record.number != number + 1:
            return f"records {number + 1} to {record.number - 1} of {record.host} are missing"
        if (number or record.number == 1) and record.previous != (previous or FIRST):
            return f"record {record.number} of {record.host} does not follow from the one before it"
        number, previous = record.number, digest(record)
    if number != chain.number or (number and previous != chain.digest):
        return f"the chain of {chain.id} ends with record {chain.number}, and the last one that is there is {number}"
    return ""
