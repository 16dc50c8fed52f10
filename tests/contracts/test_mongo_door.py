"""Who may come in, and what strangers are told."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path
from secrets import token_hex

import pytest

from ave.errors import Unavailable
from ave.ports.store import Check, Insert
from drivers.mongo.settings import PASSWORD
from tests.contracts import mongo_lab
from tests.contracts.mongo_lab import SECRET, opened, play, refusal
from tests.contracts.store_machine import Item, Note
from tests.mongod import Member, replica_set

# pymongo leaves a socket to be collected when it is closed while it connects.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
collected = mongo_lab.collected
cluster = mongo_lab.cluster


def test_mongo_nobody_there_is_said_with_the_address_the_set_and_what_to_look_at():
    said = refusal("mongodb://127.0.0.1:1,127.0.0.1:2/?replicaSet=rs", error=Unavailable)
    for part in ("127.0.0.1:1", "127.0.0.1:2", "replica set rs", "refused", "Is mongod running"):
        assert part in said


def test_mongo_another_set_is_named(mongo_uri):
    said = refusal(mongo_uri.replace("replicaSet=rs", "replicaSet=other"))
    assert "belongs to replica set rs, not other" in said
    assert "replicaSet=rs" in said


def test_mongo_a_server_without_a_set_is_refused_and_told_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.mongod._OPTIONS", ("--nounixsocket",))
    alone = Member(tmp_path / "alone", (), {}, 16)
    try:
        alone.start()
        for uri in (f"mongodb://{alone.address}/", f"mongodb://{alone.address}/?replicaSet=rs"):
            said = refusal(uri)
            assert alone.address in said
            assert "--replSet rs" in said
            assert "rs.initiate()" in said
    finally:
        alone.kill()


def test_mongo_a_set_that_was_never_initiated_is_told_so(tmp_path):
    waiting = Member(tmp_path / "waiting", (), {}, 16)
    try:
        waiting.start()
        assert "rs.initiate()" in refusal(f"mongodb://{waiting.address}/?replicaSet=rs")
    finally:
        waiting.kill()


def test_mongo_a_set_without_a_primary_is_told_who_must_run(cluster):
    primary = cluster.primary()
    dead = primary, (primary + 1) % 3
    try:
        for member in dead:
            cluster.kill(member)
        said = refusal(cluster.uri, error=Unavailable)
        assert "has no primary" in said
        assert all(member.address in said for member in cluster.members)
    finally:
        for member in dead:
            cluster.restart(member)
        cluster.primary()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A replica set that asks who one is, and knows one user."""
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text("a" * 100)
    key.chmod(0o600)
    with replica_set(1, [f"--keyFile={key}"]) as cluster:
        with cluster.members[0].admin() as client:
            client.admin.command("createUser", "root", pwd=SECRET, roles=["root"])
        cluster.members[0].client.update(username="root", password=SECRET)
        with cluster.members[0].admin() as client:
            roles = [{"role": "readWrite", "db": "guarded"}]
            client.admin.command("createUser", "ave", pwd=SECRET, roles=roles)
        yield cluster


def test_mongo_a_user_with_a_password_from_a_file_or_the_environment_may_do_all(guarded, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")

    async def main(**settings):
        async with opened(guarded.uri, "guarded", user="ave", **settings) as store:
            watch = await store.watch([Item])
            (item, _) = await store.commit(Insert(Item(token_hex(4))), Check(Item, "gone", None))
            await store.take(Item, {"id": item.id}, (), set={"number": 5}, stamp={"at": 0.0}, limit=2)
            assert (await store.get(Item, item.id)).number == 5
            assert [(await watch.next()).changes[0][1] for _ in range(2)] == [item.id] * 2
            assert SECRET not in repr((store, store._link.client, store._link.where))

    play(main(password_file=str(file)))
    monkeypatch.setenv(PASSWORD, SECRET)
    play(main())
    assert SECRET not in caplog.text


def test_mongo_strangers_are_told_what_is_wrong_and_never_a_password(guarded, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    wrong = tmp_path / "password"
    wrong.write_text(SECRET + "x")
    assert "no user was named" in refusal(guarded.uri)
    assert "refuses user ave" in refusal(guarded.uri, user="ave", password_file=str(wrong))
    assert "readWrite" in refusal(guarded.uri, database="elsewhere", user="ave", password_file=_file(tmp_path, SECRET))
    assert str(tmp_path / "none") in refusal(guarded.uri, user="ave", password_file=str(tmp_path / "none"))
    monkeypatch.delenv(PASSWORD, raising=False)
    assert PASSWORD in refusal(guarded.uri, user="ave")
    for uri in (f"mongodb://ave:{SECRET}@127.0.0.1/", f"mongodb://ave:{SECRET}/@127.0.0.1:9/x"):
        assert "password_file" in refusal(uri)
    assert SECRET not in caplog.text


def _file(folder: Path, text: str) -> str:
    path = folder / token_hex(4)
    path.write_text(text)
    return str(path)


def certificates(folder):
    """A root of trust, and a certificate for this machine signed by it."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder, timeout=60)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", "-x509", *new, "-subj", "/CN=test root", *usage, "-keyout", "root.key", "-out", "root.pem")
    openssl("req", *new, "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signed = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "server.csr", *signed, "-out", "server.pem")
    (folder / "both.pem").write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())
    return folder


def test_mongo_over_tls(tmp_path_factory):
    ours, strange = (certificates(tmp_path_factory.mktemp(name)) for name in ("ours", "strange"))
    options = [
        "--tlsMode=requireTLS",
        f"--tlsCertificateKeyFile={ours}/both.pem",
        f"--tlsCAFile={ours}/root.pem",
        "--tlsAllowConnectionsWithoutCertificates",
    ]

    async def main(uri):
        async with opened(uri) as store:
            await store.commit(Insert(Item("a")), Insert(Note("n")))
            assert (await store.get(Item, "a")).version == 1

    with replica_set(1, options, client={"tls": True, "tlsCAFile": f"{ours}/root.pem"}) as cluster:
        play(main(f"{cluster.uri}&tls=true&tlsCAFile={ours}/root.pem"))
        assert "certificate verify failed" in refusal(
            f"{cluster.uri}&tls=true&tlsCAFile={strange}/root.pem", error=Unavailable
        )
        said = refusal(cluster.uri, error=Unavailable)
        assert cluster.members[0].address in said
