"""What a host's doctor finds of a MongoDB: a real one, healthy and struck. It makes nothing there."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from pymongo import MongoClient

from ave.kinds import SCHEMA
from drivers.config import Config, HypervisorConfig, NodeConfig, StoreConfig
from drivers.doctor.check import Found, Subject
from drivers.doctor.table import CHECKS
from tests.mongod import replica_set, three_nodes

# pymongo leaves a socket to be collected when it is closed while it connects.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
LOOKS = {check.id: check.look for check in CHECKS}


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


def look(id: str, uri: str, **given: str) -> Found:
    store = StoreConfig(**{"url": uri, **given})  # type: ignore[arg-type]
    hypervisor = HypervisorConfig(root="none")
    return LOOKS[id](Subject(config=Config(node=NodeConfig(host="a"), store=store, hypervisor=hypervisor)))


def test_nobody_there_is_said_with_the_address_and_the_reason() -> None:
    begun = time.monotonic()
    found = look("store.reach", "mongodb://127.0.0.1:1/?replicaSet=rs")
    assert time.monotonic() - begun < 6.0
    assert found.status == "failed"
    for part in ("127.0.0.1:1", "Connection refused", "Is mongod running"):
        assert part in found.says


def test_a_replica_set_of_one_lets_in_and_is_warned_of(mongo_uri: str) -> None:
    name = f"ave-test-{token_hex(4)}"
    assert look("store.reach", mongo_uri, database=name).status == "ok"
    found = look("store.majority", mongo_uri)
    assert (found.status, "has 1 member with data" in found.says) == ("warning", True)
    assert look("clock.rate", mongo_uri).status == "ok"
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_uri)
    with client:
        assert name not in client.list_database_names()


def test_a_store_of_a_newer_ave_is_refused(mongo_uri: str) -> None:
    name = f"ave-test-{token_hex(4)}"
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_uri)
    newer: dict[str, Any] = {"_id": "ave", "version": SCHEMA + 1}
    with client:
        client[name]["schema"].insert_one(newer)
        try:
            found = look("store.reach", mongo_uri, database=name)
            assert (found.status, f"has schema {SCHEMA + 1}" in found.says) == ("failed", True)
        finally:
            client.drop_database(name)


def test_another_replica_set_is_named(mongo_uri: str) -> None:
    found = look("store.reach", mongo_uri.replace("replicaSet=rs", "replicaSet=other"))
    assert (found.status, "belongs to replica set rs, not other" in found.says) == ("failed", True)


def test_members_that_are_lost_are_a_warning_until_a_write_needs_them() -> None:
    with three_nodes() as cluster:
        found = look("store.majority", cluster.uri)
        assert found.status == "ok"
        assert "3 of 3 members of replica set rs answer" in found.says
        primary = cluster.primary()
        spare = (primary + 1) % 3
        cluster.kill(spare)
        found = look("store.majority", cluster.uri)
        assert (found.status, cluster.members[spare].address in found.says) == ("warning", True)
        assert look("store.reach", cluster.uri).status == "ok"
        cluster.kill(primary)
        found = look("store.reach", cluster.uri)
        assert found.status == "failed"
        assert "has no primary" in found.says or f"calls its primary {cluster.members[primary].address}" in found.says
        assert look("store.majority", cluster.uri).status == "not asked"  # it was said already
        assert look("clock.rate", cluster.uri).status == "not asked"


def test_a_wrong_password_is_said_and_not_shown(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a" * 100)
    key.chmod(0o600)
    password = tmp_path / "password"
    password.write_text("hunter2-is-not-to-be-seen\n")
    with replica_set(1, (f"--keyFile={key}", "--auth")) as cluster:
        found = look("store.reach", cluster.uri, user="ave", password_file=str(password))
    assert (found.status, "refuses user ave" in found.says) == ("failed", True)
    assert "hunter2" not in found.says + found.fix
