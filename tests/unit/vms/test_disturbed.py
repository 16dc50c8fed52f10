"""Every verb, disturbed at every stage of it: its Job ends, the documents are true, and no invariant is broken."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ave.errors import Refused
from ave.model.vm import VM, VMState
from ave.model.work import WorkState
from ave.operations import CreateVMs, EditVM, EditVMs, MigrateVMs, NameVMs, NewVM, ShutdownVMs, StartVMs
from sim import faults
from tests.unit.vms.world import RESCUED_SECONDS, Cloud

STAGES = 12  # at which a Job is disturbed: evenly from its submission to a little beyond its end
TRIED = 2  # of these for each pair, and others for the next: all of them for every pair take ten minutes
REST_SECONDS = 420.0  # after which everything has come to rest: a verdict, a rescue, a boot, a synchronisation
WEB, LOW = NameVMs(vms=("web-1",)), NameVMs(vms=("low-1",))

Verb = Callable[[Cloud], tuple[str, Any]]  # prepares the cloud, and says what is asked of it
Disturbance = Callable[[Cloud, str, str], None]  # of this host, while this Job is at work


def stopped(cloud: Cloud, names: NameVMs = WEB) -> None:
    cloud.do("vm.poweroff", names)


def edit(cloud: Cloud, **wish: Any) -> tuple[str, Any]:
    return "vm.edit", EditVMs(vms=(EditVM(id="web-1", **wish),))


def attach(cloud: Cloud) -> tuple[str, Any]:
    cloud.make_volumes("data")
    return edit(cloud, attach=("data",), name="x")


def exchange(cloud: Cloud) -> tuple[str, Any]:
    """One volume in, another out, and a medium into the drive."""
    cloud.make_volumes("old", "new", "iso")
    assert cloud.do(*edit(cloud, attach=("old",))).state == "done"
    return edit(cloud, attach=("new",), detach=("old",), cdrom="iso")


def exchange_of_a_stopped_one(cloud: Cloud) -> tuple[str, Any]:
    asked = exchange(cloud)
    stopped(cloud)
    return asked


def start(cloud: Cloud) -> tuple[str, Any]:
    stopped(cloud)
    return "vm.start", StartVMs(vms=WEB.vms)


def migrate_stopped(cloud: Cloud) -> tuple[str, Any]:
    stopped(cloud)
    return "vm.migrate", MigrateVMs(vms=WEB.vms)


def resume(cloud: Cloud) -> tuple[str, Any]:
    cloud.do("vm.suspend", WEB)
    return "vm.resume", WEB


def power_off_suspended(cloud: Cloud) -> tuple[str, Any]:
    cloud.do("vm.suspend", WEB)
    return "vm.poweroff", WEB


def create(cloud: Cloud) -> tuple[str, Any]:
    return "vm.create", CreateVMs(vms=(NewVM(id="new", vcpus=1, memory_mib=1024, networks=("vm",), disks_gib=(1, 2)),))


VERBS: dict[str, Verb] = {
    "create": create,
    "start": start,
    "shutdown": lambda cloud: ("vm.shutdown", ShutdownVMs(vms=WEB.vms)),
    "poweroff": lambda cloud: ("vm.poweroff", WEB),
    "poweroff suspended": power_off_suspended,
    "restart": lambda cloud: ("vm.restart", ShutdownVMs(vms=WEB.vms)),
    "restart unprotected": lambda cloud: ("vm.restart", ShutdownVMs(vms=LOW.vms)),
    "reset": lambda cloud: ("vm.reset", WEB),
    "reset unprotected": lambda cloud: ("vm.reset", LOW),
    "suspend": lambda cloud: ("vm.suspend", WEB),
    "resume": resume,
    "attach": attach,
    "exchange": exchange,
    "exchange stopped": exchange_of_a_stopped_one,
    "migrate": lambda cloud: ("vm.migrate", MigrateVMs(vms=WEB.vms)),
    "migrate stopped": migrate_stopped,
    "delete": lambda cloud: ("vm.delete", WEB),
}


def host_of(cloud: Cloud) -> str:
    """Where web-1 was when the Job began; web-1 and low-1 share it or not, whichever is hit."""
    return str(cloud.vm("web-1").host)


def _fault(name: str, seconds: float = 0.0, *, everywhere: bool = False, **given: Any) -> Disturbance:
    def strike(cloud: Cloud, host: str, job: str) -> None:
        hosts = tuple(cloud.machines) if everywhere else (host,)
        end = faults.begin(cloud, name, hosts, given, lasting=seconds > 0.0)
        if seconds:
            cloud.advance(seconds)
            end()

    return strike


def _cancel(cloud: Cloud, host: str, job: str) -> None:
    with suppress(Refused):  # it has ended already
        cloud.cancel(job, "host-2" if host == "host-1" else "host-1")


DISTURBANCES: dict[str, Disturbance] = {
    "its worker is killed": _fault("process-kill", process="node"),
    "every worker is killed": _fault("process-kill", everywhere=True, process="node"),
    "its host crashes": _fault("host-crash", RESCUED_SECONDS),
    "its host is isolated": _fault("partition", 150.0),
    "its host loses the store": _fault("management-loss", 45.0),
    "its host loses the storage": _fault("storage-loss", 20.0),
    "its host loses the storage for a lease": _fault("storage-loss", 75.0),
    "nobody has the storage": _fault("storage-loss", 50.0, everywhere=True),
    "answers are lost": _fault("lost-answers", 30.0, share=0.5),
    "the store elects": _fault("store-failover"),
    "it is cancelled": _cancel,
    "its host stands still": _fault("host-stall", 40.0),
}


def disturbed(verb: str, disturbance: str, share: float, seed: int) -> None:
    with Cloud(seed=seed) as cloud:
        operation, request = VERBS[verb](cloud)
        cloud.advance(5.0)
        host = host_of(cloud)
        job = cloud.submit(operation, request)
        cloud.advance(share * _seconds(verb, seed))
        DISTURBANCES[disturbance](cloud, host, job)
        cloud.finish(job)
        cloud.advance(REST_SECONDS)
        cloud.sound()
        wanted = [vm for vm in cloud.all(VM) if vm.on and vm.ha]
        assert [vm.id for vm in wanted if vm.state is not VMState.RUNNING and vm.state is not VMState.STOPPED] == []


_UNDISTURBED: dict[tuple[str, int], float] = {}


def _seconds(verb: str, seed: int) -> float:
    """How long the Job takes when nothing happens; and that it then succeeds."""
    if (verb, seed) not in _UNDISTURBED:
        with Cloud(seed=seed) as cloud:
            operation, request = VERBS[verb](cloud)
            cloud.advance(5.0)
            begin = cloud.world.now
            done = cloud.finish(cloud.submit(operation, request))
            assert done.state is WorkState.DONE, done.results
            _UNDISTURBED[verb, seed] = cloud.world.now - begin
            cloud.advance(10.0)
            cloud.sound()
    return _UNDISTURBED[verb, seed]


@pytest.mark.parametrize("disturbance", DISTURBANCES)
@pytest.mark.parametrize("verb", VERBS)
def test_a_disturbed_verb_ends_and_leaves_the_truth(verb: str, disturbance: str) -> None:
    pair = list(VERBS).index(verb) * 5 + list(DISTURBANCES).index(disturbance) * 7
    for number in range(TRIED):
        stage = (pair + number * STAGES // TRIED) % STAGES
        disturbed(verb, disturbance, 1.1 * stage / (STAGES - 1), seed=1 + stage % 3)
