"""The scheduler's picture of the cluster: what in it may have made room."""

import msgspec
import pytest

from ave.model.group import Group, GroupState, Rule
from ave.model.host import Host, HostState
from ave.model.vm import VM, VMState
from ave.scheduler.mirror import Mirror

HERE = Host(id="h", version=1, state=HostState.ONLINE, cpus=8, memory_mib=1024, epoch=1)
THERE = VM(id="v", version=1, state=VMState.RUNNING, vcpus=1, memory_mib=100, networks=("vm",), host="h", host_epoch=1)
GROUP = Group(id="g", version=1, state=GroupState.ENABLED, rule=Rule.MUST_DIFFERENT_HOSTS, vms=("v",))


def freed(before: Host | VM, after: Host | VM) -> bool:
    mirror = Mirror()
    mirror.learn_host(HERE)
    count = 0
    for doc in (before, after):
        count = mirror.freed
        if isinstance(doc, Host):
            mirror.learn_host(msgspec.structs.replace(doc, version=doc.version + (doc is after)))
        else:
            mirror.learn(msgspec.structs.replace(doc, version=doc.version + (doc is after)))
    return mirror.freed > count


def host(**changes: object) -> Host:
    return msgspec.structs.replace(HERE, version=2, **changes)


def vm(**changes: object) -> VM:
    return msgspec.structs.replace(THERE, **changes)


@pytest.mark.parametrize(
    ("before", "after", "makes_room"),
    [
        (host(state=HostState.SUSPECT), host(), True),
        (host(state=HostState.QUARANTINED), host(), True),
        (host(), host(state=HostState.SUSPECT), False),
        (host(), host(story=("said something",)), False),
        (host(), host(memory_mib=2048), True),
        (host(), host(networks=("vm",)), True),
        (vm(), vm(state=VMState.STOPPED), True),
        (vm(), vm(memory_mib=50), True),
        (vm(), vm(networks=()), True),
        (vm(), vm(host="elsewhere"), True),
        (vm(), vm(state=VMState.SUSPENDED), False),
        (vm(), vm(story=("said something",)), False),
        (vm(host="", state=VMState.STOPPED), vm(host="", state=VMState.STOPPED, reserved="h"), False),
        (vm(host="", state=VMState.STOPPED, reserved="h"), vm(host="", state=VMState.STOPPED), True),
        (vm(host="", state=VMState.STOPPED, reserved="h"), vm(state=VMState.STARTING), False),
        (vm(host="dead", state=VMState.UNKNOWN), vm(host="dead", state=VMState.STOPPED), False),
    ],
)
def test_what_may_have_made_room(before, after, makes_room):
    assert freed(before, after) == makes_room


def test_a_vm_or_a_rule_that_is_gone_makes_room_and_what_is_learnt_twice_does_not():
    mirror = Mirror()
    mirror.learn_host(HERE)
    mirror.learn(THERE)
    mirror.learn_group(GROUP)
    known = mirror.freed
    mirror.learn_host(HERE)
    mirror.learn(THERE)
    mirror.learn_group(GROUP)
    assert mirror.freed == known
    mirror.forget_group("g")
    mirror.forget_group("g")
    assert mirror.freed == known + 1
    mirror.learn_group(GROUP)
    assert mirror.freed == known + 2, "a rule that is another one may bar less"


def test_hosts_that_are_not_online_are_told_apart():
    mirror = Mirror()
    for version, state in enumerate((HostState.ONLINE, HostState.SUSPECT, HostState.FENCED, HostState.ONLINE), 1):
        mirror.learn_host(msgspec.structs.replace(HERE, version=version, state=state))
        assert list(mirror.odd) == ([] if state is HostState.ONLINE else ["h"])
    mirror.learn_host(msgspec.structs.replace(HERE, version=9, state=HostState.FENCED))
    mirror._host("h", None)
    assert not mirror.odd
