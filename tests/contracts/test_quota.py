"""Quotas on every store: of many who count at the same moment no more pass than may."""

import msgspec
import pytest

from ave.errors import Refused
from ave.jobs import quota
from ave.kinds import KINDS
from ave.model.tenant import Tenant, Use
from ave.model.vm import VM
from ave.model.volume import Volume
from ave.ports.store import Change, Delete, Insert, Replace
from ave.ports.together import Ports
from ave.sync import gather

NEEDED = [kind for kind in KINDS if kind.type in (Tenant, VM, Volume)]  # a server takes its time for each


def ports_of(process, store):
    return Ports("h1", process.runtime, store, None, None, None)  # type: ignore[arg-type]


async def passes(ports, doc):
    try:
        await quota.commit(ports, None, Insert(doc))
    except Refused:
        return False
    return True


@pytest.mark.parametrize(
    ("limit", "most", "make"),
    [
        ({"volumes_gib": 55}, 5, lambda id: Volume(id=id, size_gib=10, tenant="acme")),
        ({"vms": 3}, 3, lambda id: VM(id=id, vcpus=1, memory_mib=512, tenant="acme")),
        ({"vcpus": 9, "memory_mib": 100_000}, 4, lambda id: VM(id=id, vcpus=2, memory_mib=512, tenant="acme")),
        ({"memory_mib": 2048}, 4, lambda id: VM(id=id, vcpus=2, memory_mib=512, tenant="acme")),
        ({"volumes_gib": 50}, 2, lambda id: VM(id=id, vcpus=1, memory_mib=512, tenant="acme", making_gib=20)),
        ({}, 12, lambda id: VM(id=id, vcpus=2, memory_mib=512, tenant="acme")),
    ],
    ids=["volumes", "vms", "vcpus", "memory", "volumes-of-vms", "no-limit"],
)
def test_of_many_at_once_no_more_pass_than_may(stores, limit, most, make):
    with stores(NEEDED) as (process, store):
        ports = ports_of(process, store)

        async def main():
            await store.commit(Insert(Tenant(id="acme", **limit)), Insert(Tenant(id="other", vms=1)))
            passed = await gather(
                process.runtime, *(passes(ports, make(f"n{number}")) for number in range(12)), name="n"
            )
            assert passed.count(True) == most
            kind = type(make("x"))
            assert len(await store.find(kind, {"tenant": "acme"})) == most
            # others have their own
            assert await passes(ports, msgspec.structs.replace(make("theirs"), tenant="other"))

        process.run(main(), 60.0)


def test_what_goes_makes_room_and_what_grows_takes_it(stores):
    with stores(NEEDED) as (process, store):
        ports = ports_of(process, store)

        async def main():
            await store.commit(Insert(Tenant(id="acme", volumes_gib=50)))
            (a, b) = await store.commit(
                Insert(Volume(id="a", size_gib=20, tenant="acme")), Insert(Volume(id="b", size_gib=20, tenant="acme"))
            )
            grown = msgspec.structs.replace(a, growing_gib=31)
            with pytest.raises(
                Refused, match=r"tenant acme may have 50 GiB of volumes: it has 40, and this asks for 11"
            ):
                await quota.commit(ports, a, Replace(grown))
            (a,) = await quota.commit(ports, a, Replace(msgspec.structs.replace(a, growing_gib=30)))
            assert await quota.used(store, "acme") == Use(volumes_gib=50)
            await store.commit(Delete(b))
            assert await passes(ports, Volume(id="c", size_gib=20, tenant="acme"))
            assert not await passes(ports, Volume(id="d", size_gib=1, tenant="acme"))
            # what is smaller than it was may always be, even if there is too much already
            await store.commit(Change(Tenant, "acme", {}, {"volumes_gib": 10}))
            await quota.commit(ports, a, Replace(msgspec.structs.replace(a, growing_gib=0)))

        process.run(main(), 60.0)
