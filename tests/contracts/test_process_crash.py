"""Workers of real processes are killed before every single change they make to the world, race, and are outlived."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from ave.model.vm import VM
from ave.ports.hypervisor import Stamp
from drivers.process import life
from drivers.process.domains import Record
from tests.contracts import process_worker
from tests.contracts.labs import INCOMING, PAUSED, RUNNING, SUSPENDED, ProcessLab, wait_for

VM_ = VM(id="vm", vcpus=1, memory_mib=64, volumes=("disk",))
CHANGED = msgspec.structs.replace(VM_, networks=("lan",))
FAR = 10_000  # changes no call makes
SETTLE_SECONDS = 10.0


def stamp(epoch=1, token=1, attempt=1):
    return Stamp(job="job", task="task", attempt=attempt, token=token, epoch=epoch)


class Worker:
    def __init__(self, root):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, process_worker.__file__, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self.pid, self._in, self._out = self._process.pid, self._process.stdin, self._process.stdout

    def ask(self, host, verb, *given, die_at=None):
        """Begin a call; ``answer`` waits for its end."""
        arguments = [
            {"type": "vm" if isinstance(g, VM) else "stamp", "is": msgspec.to_builtins(g)}
            if isinstance(g, VM | Stamp)
            else g
            for g in given
        ]
        self._in.write(json.dumps([host, verb, arguments, die_at]) + "\n")
        self._in.flush()

    def answer(self):
        return self._out.readline().strip()

    def call(self, *given, die_at=None):
        self.ask(*given, die_at=die_at)
        return self.answer()

    def close(self):
        self._in.close()
        self._out.close()
        self._process.wait(10)


@contextmanager
def workers(root, count):
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Worker(root))) for _ in range(count)]


@pytest.fixture
def lab(tmp_path):
    with closing(ProcessLab(tmp_path)) as lab:
        lab.place("disk", "a", 1)
        yield lab


@pytest.fixture
def worker(lab):
    with workers(lab.root, 1) as (worker,):
        yield worker


def domains(lab):
    return {(host, domain.epoch): domain.state for host in "ab" for domain in lab.call(host, 0, "list")}


def recorded(lab):
    """The processes that the hosts know of."""
    records = [msgspec.json.decode(path.read_bytes(), type=Record) for path in lab.root.glob("hosts/*/domains/*.json")]
    return sorted(record.life.pid for record in records if life.is_there(record.life))


def settled(lab):
    """Every VM's process is known to its host, once those that were never let run have ended."""
    ends = time.monotonic() + SETTLE_SECONDS
    while (guests := sorted(guest.pid for guest in lab.guests())) != recorded(lab):
        assert time.monotonic() < ends, f"{guests} run, {recorded(lab)} are known"
        time.sleep(0.01)
    return len(guests)


def at_every_change(worker, *call):
    """Perform the call again and again, each time killed one change later, until it ends by itself."""
    for number in range(FAR):
        answer = worker.call(*call, die_at=number)
        yield number
        if answer != "killed":
            assert answer.startswith("done"), answer
            assert number > 3, "hardly anything was counted"
            return


# Killed anywhere


def test_process_a_start_that_is_killed_anywhere_leaves_the_vm_once_or_not_at_all(lab, worker):
    for _ in at_every_change(worker, "a", "start", VM_, stamp()):
        there = domains(lab)
        assert there in ({}, {("a", 1): RUNNING})
        assert settled(lab) in (
            len(there),
            0,
        )  # what was known a moment before it was let run has ended with its starter
        lab.call("a", 0, "start", VM_, stamp())
        assert domains(lab) == {("a", 1): RUNNING}
        assert settled(lab) == 1
        lab.call("a", 0, "destroy", "vm", stamp())
        assert settled(lab) == 0


def test_process_a_destroy_that_is_killed_anywhere_can_be_repeated(lab, worker):
    lab.call("a", 0, "start", VM_, stamp())
    for _ in at_every_change(worker, "a", "destroy", "vm", stamp()):
        assert domains(lab) in ({}, {("a", 1): RUNNING})
        lab.call("a", 0, "destroy", "vm", stamp())
        assert (domains(lab), settled(lab)) == ({}, 0)
        lab.call("a", 0, "start", VM_, stamp())


@pytest.mark.parametrize(
    ("verb", "before", "after", "undo"),
    [
        ("suspend", RUNNING, SUSPENDED, "resume"),
        ("resume", SUSPENDED, RUNNING, "suspend"),
    ],
)
def test_process_a_call_that_is_killed_anywhere_can_be_repeated(lab, worker, verb, before, after, undo):
    lab.call("a", 0, "start", VM_, stamp())
    if before is SUSPENDED:
        lab.call("a", 0, "suspend", "vm", stamp())
    for _ in at_every_change(worker, "a", verb, "vm", stamp()):
        assert domains(lab)["a", 1] in (before, PAUSED, after)
        lab.call("a", 0, verb, "vm", stamp())
        assert domains(lab) == {("a", 1): after}
        lab.call("a", 0, undo, "vm", stamp())


def test_process_plugging_that_is_killed_anywhere_can_be_repeated(lab, worker):
    lab.call("a", 0, "start", VM_, stamp())
    for _ in at_every_change(worker, "a", "plug", CHANGED, stamp()):
        lab.call("a", 0, "plug", CHANGED, stamp())
        assert domains(lab) == {("a", 1): RUNNING}
        lab.call("a", 0, "plug", VM_, stamp())


def test_process_a_migration_that_is_killed_anywhere_can_be_aborted(lab, worker):
    lab.call("a", 0, "start", VM_, stamp())
    for _ in at_every_change(worker, "a", "migrate", VM_, "b", stamp()):
        there = domains(lab)
        assert there.get(("b", 2), INCOMING) is INCOMING
        assert there["a", 1] in (RUNNING, PAUSED)
        lab.call("a", 0, "abort_migration", "vm", "b", stamp())
        assert domains(lab) == {("a", 1): RUNNING}
        assert settled(lab) == 1


def test_process_an_abort_that_is_killed_anywhere_can_be_repeated(lab, worker):
    lab.call("a", 0, "start", VM_, stamp())
    lab.call("a", 0, "migrate", VM_, "b", stamp())
    for _ in at_every_change(worker, "a", "abort_migration", "vm", "b", stamp()):
        there = domains(lab)
        assert there["a", 1] is PAUSED or ("b", 2) not in there
        lab.call("a", 0, "abort_migration", "vm", "b", stamp())
        assert domains(lab) == {("a", 1): RUNNING}
        lab.call("a", 0, "migrate", VM_, "b", stamp())


def test_process_a_hand_over_that_is_killed_anywhere_is_finished_by_its_worker_or_the_target(lab, worker):
    lab.call("a", 0, "start", VM_, stamp())
    lab.call("a", 0, "migrate", VM_, "b", stamp())
    for number in at_every_change(worker, "a", "finish_migration", "vm", "b", stamp(2)):
        there = domains(lab)
        assert list(there.values()).count(RUNNING) <= 1
        assert there["b", 2] in (INCOMING, RUNNING)
        if number % 2:
            lab.call("a", 0, "finish_migration", "vm", "b", stamp(2))
            assert domains(lab) == {("b", 2): RUNNING}
        else:
            lab.call("b", 0, "resume", "vm", Stamp(epoch=2))
            assert domains(lab)["b", 2] is RUNNING
        assert settled(lab) == len(domains(lab))
        for host in "ba":
            lab.call(host, 0, "destroy", "vm", Stamp(epoch=2))
        lab.call("a", 0, "start", VM_, Stamp(epoch=1))
        lab.call("a", 0, "migrate", VM_, "b", Stamp(epoch=1))


@pytest.mark.parametrize(("verb", "given"), [("attach", ("b",)), ("detach", ()), ("grow", (30,)), ("delete", ())])
def test_process_a_change_of_a_volume_that_is_killed_anywhere_can_be_repeated(lab, worker, verb, given):
    right = stamp(2) if verb == "attach" else stamp(1)
    after = {"attach": ("b", 2), "detach": ("", 1), "grow": ("a", 1)}.get(verb)
    owner = "" if verb == "delete" else "a"
    lab.place("disk", owner, 1)
    for _ in at_every_change(worker, "a", verb, "disk", *given, right):
        here = lab.call("a", 1, "owner", "disk") if lab.volumes() else None
        assert here in ((owner, 1), after)
        assert lab.write("disk", "a", 1) is (here == ("a", 1))
        lab.call("a", 1, verb, "disk", *given, right)
        assert (lab.call("a", 1, "owner", "disk") if lab.volumes() else None) == after
        lab.place("disk", owner, 1)


def test_process_a_renewal_that_is_killed_anywhere_counts_once_or_not_at_all(lab, worker):
    lab.call("d", 1, "join", "d", "boot")

    def counter():
        return {lease.host: lease.counter for lease in lab.call("a", 1, "leases")}["d"]

    before = counter()
    for _ in at_every_change(worker, "d", "renew", "d", "boot"):
        assert counter() - before in (0, 1)
        before = counter()
    assert before == counter()


# Racing and outlived


@pytest.mark.parametrize("stamps", [(stamp(), stamp()), (stamp(token=1), stamp(token=2))], ids=["same", "newer"])
def test_process_workers_that_race_to_start_a_vm_start_it_once(lab, stamps):
    with workers(lab.root, 2) as racing:
        for round_ in range(10):
            for worker, right in zip(racing, stamps, strict=True):
                worker.ask("a", "start", VM_, right)
            answers = [worker.answer() for worker in racing]
            assert all(answer.startswith("done") or "is outdated" in answer for answer in answers), answers
            assert answers[-1].startswith("done")
            assert settled(lab) == 1
            assert lab.started() == round_ + 1
            lab.call("a", 0, "destroy", "vm", Stamp(epoch=1))


def test_process_workers_that_race_between_abort_and_finish_leave_one_at_most(lab):
    with workers(lab.root, 2) as (first, second):
        for token in range(1, 9):
            lab.call("a", 0, "start", VM_, stamp(1, token))
            lab.call("a", 0, "migrate", VM_, "b", stamp(1, token))
            first.ask("a", "abort_migration", "vm", "b", stamp(1, token))
            second.ask("a", "finish_migration", "vm", "b", stamp(2, token))
            first.answer(), second.answer()
            assert list(domains(lab).values()).count(RUNNING) <= 1
            for host in "ab":
                lab.call(host, 0, "destroy", "vm", Stamp(epoch=2))
            for host in "ab":  # a cluster in which this never happened, or the next round would be outdated
                (lab.root / "hosts" / host / "rights" / "vm.json").unlink(missing_ok=True)


def test_process_what_is_being_started_when_the_power_goes_does_not_run(lab):
    with workers(lab.root, 2) as starting:
        for round_ in range(6):
            for worker, name in zip(starting, ("one", "two"), strict=True):
                worker.ask("a", "start", VM(id=name, vcpus=1, memory_mib=64), stamp())
            time.sleep(0.02 * round_)
            lab.power_off("a")
            answers = [worker.answer() for worker in starting]
            assert all(answer.startswith(("done", "Off", "Unavailable")) for answer in answers), answers
            assert lab.guests() == []
            lab.power_on("a")
            assert domains(lab) == {}


def test_process_a_vm_outlives_the_worker_that_started_it_and_obeys_the_next(lab):
    worker = Worker(lab.root)
    worker.call("a", "start", VM_, stamp())
    (pid,) = recorded(lab)
    os.kill(worker.pid, signal.SIGKILL)
    worker.close()
    wait_for(lambda: lab.runs("disk"), "it writes")
    written = lab.runs("disk")[0].writes
    wait_for(lambda: lab.runs("disk")[0].writes > written, "it writes on")
    assert os.getsid(pid) == pid
    assert [Path(os.readlink(f"/proc/{pid}/fd/{n}")) for n in range(3)] == [Path(os.devnull)] * 3
    assert domains(lab) == {("a", 1): RUNNING}
    lab.call("a", 0, "shutdown", "vm", stamp(), 5.0)
    assert settled(lab) == 0
