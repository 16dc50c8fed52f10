"""Who follows one real node goes on at another one when that is killed: they share a SQLite store."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import httpx2

from tests.listener import Picture
from tests.soak.hosts import Hosts

PATIENCE_SECONDS = 60.0


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


async def ready(client: httpx2.AsyncClient, port: int, hosts: Hosts) -> None:
    for _ in range(int(PATIENCE_SECONDS / 0.2)):
        try:
            if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        await asyncio.sleep(0.2)
    raise AssertionError("\n".join(hosts.last_words(name) for name in hosts.names))


async def submit(client: httpx2.AsyncClient, port: int, name: str) -> None:
    asked = {"vms": [{"id": name, "vcpus": 1, "memory_mib": 64}], "start": False}
    answer = await client.post(f"http://127.0.0.1:{port}/v1/vms", json=asked)
    assert answer.status_code == 202, answer.text


async def listed(client: httpx2.AsyncClient, port: int) -> tuple[dict[str, Any], int]:
    answer = await client.get(f"http://127.0.0.1:{port}/v1/jobs?limit=1000")
    assert answer.status_code == 200, answer.text
    revision = int(answer.headers["X-Ave-Revision"].rpartition(":")[2])
    return {job["id"]: job for job in answer.json()["items"]}, revision


def test_who_loses_a_node_goes_on_at_another_one_without_gap_or_double(tmp_path: Path) -> None:
    ports = dict(zip(("a", "b"), free_ports(2), strict=True))

    async def test(hosts: Hosts) -> None:
        async with httpx2.AsyncClient(timeout=20, trust_env=False) as client:
            for port in ports.values():
                await ready(client, port, hosts)
            picture = Picture("job")
            following = asyncio.ensure_future(picture.follow(ports["a"]))
            await submit(client, ports["b"], "before")
            _, revision = await listed(client, ports["b"])
            await picture.until(revision)
            hosts.lose("a")
            await asyncio.wait_for(following, PATIENCE_SECONDS)
            known, told = dict(picture.docs["job"]), len(picture.events)
            await submit(client, ports["b"], "meanwhile")
            following = asyncio.ensure_future(picture.follow(ports["b"]))
            await submit(client, ports["b"], "after")
            while (now := await listed(client, ports["b"])) != (picture.docs["job"], _revision(picture)):
                await asyncio.sleep(0.1)
            assert set(picture.events[told:]) == {"delta"}
            new = [job["operation"] for id, job in now[0].items() if id not in known]
            assert new.count("vm.create") == 2
            following.cancel()

    with Hosts(tmp_path, f"sqlite:{tmp_path / 'store'}", ("a", "b"), ports) as hosts:
        asyncio.run(asyncio.wait_for(test(hosts), 2 * PATIENCE_SECONDS - 20))


def _revision(picture: Picture) -> int:
    return int(picture.last.rpartition(":")[2] or 0)
