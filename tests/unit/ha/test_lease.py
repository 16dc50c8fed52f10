"""A host and its storage lease, on a whole simulated cluster: when its VMs stop, when they go on, and who may run them."""

from collections.abc import Callable
from typing import Any

import pytest

from ave.ha.timing import GUARD_GRACE_SECONDS, PROFILES, TICK_SECONDS
from ave.jobs.submit import submit
from ave.model.cluster import Handler
from ave.model.host import Host, HostState
from ave.model.states import move
from ave.model.vm import VM, VMState
from ave.model.work import Work, WorkState
from ave.operations import CreateVMs, MigrateVMs, NameVMs, NewVM, StartVMs
from ave.ports.hypervisor import DomainState
from ave.ports.store import Replace
from ave.vms.reconcile import reconcile
from drivers.sim.facts import Elected, Gone, Joined, Paused, Resumed, Revoked, Started
from drivers.sim.network import Plane
from drivers.sim.runtime import SimRuntime
from sim.cluster import GIB, SimCluster
from sim.faults.network import between
from sim.oracle import Oracle
from sim.scenario.model import Fleet, Forever, Shape, Topology

SEED = PROFILES["seed"]
MANAGEMENT, STORAGE = Plane.MANAGEMENT, Plane.STORAGE
BEGIN = 20.0  # when the trouble of a test begins
BACK_SECONDS = 10.0  # within which VMs go on, or are removed, once the lease is back
RESCUED_SECONDS = SEED.verdict + 15.0


class Cluster(SimCluster):
    """Three master hosts and three others with two small VMs each, and every fact of the world with its true time."""

    def __init__(
        self, *, hosts: int = 6, vms: int = 12, memory_mib: int = 1024, seed: int = 1, judged: bool = False
    ) -> None:
        topology = Topology(shapes=(Shape(hosts, 16, 200 * 1024, 0),), masters=3, zones={}, networks=("vm",))
        super().__init__(topology, seed=seed)
        self.facts: list[tuple[float, Any]] = []
        self.listeners.append(lambda fact: self.facts.append((self.world.now, fact)))
        self.oracle = Oracle(self) if judged else None
        self._user = SimRuntime(self.world, "user")
        self.power_on([Fleet("web", vms, 1, memory_mib, GIB, True, "medium", Forever())] if vms else ())
        self.world.advance(BEGIN)

    def __enter__(self) -> "Cluster":
        return self

    def advance(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def until(self, done: Callable[[], bool], limit: float = 300.0) -> None:
        end = self.world.now + limit
        while not done():
            assert self.world.peek() <= end, f"not so after {limit:g} s"
            self.world.step()

    def cut(self, host: str, *planes: Plane) -> None:
        self.network.cut((host,), planes or (MANAGEMENT, STORAGE))

    def heal(self, *hosts: str) -> None:
        self.network.heal(hosts, (MANAGEMENT, STORAGE))

    def submit(self, operation: str, request: Any, door: str) -> str:
        ports, crew = self.client(door, self._user)
        task = self._user.spawn(submit(ports, crew, operation, request), name=operation)
        self.until(task.done)
        return str(task.value)

    def done(self, job: str) -> Work:
        self.until(lambda: self.doc(Work, job).state in (WorkState.DONE, WorkState.FAILED))
        work: Work = self.doc(Work, job)
        return work

    # What is so

    def doc(self, kind: type[Any], id: str) -> Any:
        return self.store.ledger.get(kind, id)

    def host(self, id: str) -> Host:
        found: Host = self.doc(Host, id)
        return found

    def vms(self) -> list[VM]:
        return list(self.store.ledger.shelves[VM].docs.values())

    def told(self, *kinds: type[Any], host: str = "", since: float = BEGIN) -> list[tuple[float, Any]]:
        wanted = [(at, fact) for at, fact in self.facts if isinstance(fact, kinds) and at >= since]
        return [(at, fact) for at, fact in wanted if not host or fact.host == host]

    def running(self, host: str) -> list[str]:
        guests = self.machines[host].guests.values()
        return sorted(guest.vm for guest in guests if guest.state is DomainState.RUNNING)

    def everything_runs_once(self, *, tolerated: float = 0.0) -> None:
        """Each VM has one domain, it runs, and it is the one that the store means; and there never were two at once."""
        domains = sorted((g.vm, m.name, g.epoch, g.state) for m in self.machines.values() for g in m.guests.values())
        assert domains == sorted((vm.id, vm.host, vm.epoch, DomainState.RUNNING) for vm in self.vms())
        assert {vm.state for vm in self.vms()} <= {VMState.RUNNING}
        self.nothing_ran_twice(tolerated=tolerated)

    def nothing_ran_twice(self, *, tolerated: float = 0.0) -> None:
        """No VM had two domains unpaused at once for longer than that."""
        unpaused: dict[str, dict[int, str]] = {}
        twice: dict[str, float] = {}  # VM -> since when
        for at, fact in self.facts:
            if isinstance(fact, Resumed) or (isinstance(fact, Started) and not fact.incoming):
                unpaused.setdefault(fact.vm, {})[fact.instance] = fact.host
            elif isinstance(fact, Paused | Gone):
                unpaused.get(fact.vm, {}).pop(fact.instance, None)
            else:
                continue
            if len(where := unpaused.get(fact.vm, {})) > 1:
                assert tolerated, f"{fact.vm} runs on {' and '.join(where.values())} at {at:.3f}"
                twice.setdefault(fact.vm, at)
            elif fact.vm in twice:
                assert at - twice.pop(fact.vm) <= tolerated, f"{fact.vm} ran twice until {at:.3f}"
        assert twice == {}


# Losing the lease


@pytest.mark.parametrize("phase", [0.0, 1.3, 2.6, 3.9])
def test_a_host_without_storage_pauses_all_its_vms_when_its_own_clock_says_so(phase):
    """Exactly then: not before, and whether that clock is right, slow or fast."""
    with Cluster() as cluster:
        rates = {"host-4": 0.999, "host-5": 1.0, "host-6": 1.001}
        for host, rate in rates.items():
            cluster.machines[host].clock.drift(rate)
        cluster.advance(phase)
        for host in rates:
            cluster.cut(host, STORAGE)
        cluster.advance(SEED.give_up + 5.0)
        for host, rate in rates.items():
            renewed = cluster.storage.leases[host].renewed_at
            paused = cluster.told(Paused, host=host)
            assert len(paused) == 2
            assert cluster.running(host) == []
            for at, _ in paused:
                assert SEED.give_up - 0.01 <= (at - renewed) * rate <= SEED.give_up + 0.1, f"{host} at rate {rate}"
                assert at <= renewed + SEED.stopped_by()


def test_a_host_that_is_cut_off_from_everything_pauses_all_the_same():
    with Cluster() as cluster:
        cluster.cut("host-5")
        cluster.advance(SEED.give_up + 1.0)
        assert cluster.running("host-5") == []
        assert len(cluster.told(Paused, host="host-5")) == 2


def test_the_lease_is_revoked_only_after_every_vm_stands_still():
    with Cluster() as cluster:
        for host, rate in {"host-4": 0.999, "host-5": 1.001}.items():
            cluster.machines[host].clock.drift(rate)
            cluster.cut(host)
        cluster.advance(RESCUED_SECONDS + 10.0)
        for host in ("host-4", "host-5"):
            ((revoked, _),) = cluster.told(Revoked, host=host)
            assert max(at for at, _ in cluster.told(Paused, host=host)) < revoked
            assert revoked >= cluster.storage.leases[host].renewed_at + SEED.revoked_from()


@pytest.mark.parametrize("seconds", [5.0, 30.0, 50.0])
def test_a_loss_shorter_than_the_lease_touches_no_vm(seconds):
    with Cluster() as cluster:
        cluster.cut("host-5", STORAGE)
        cluster.advance(seconds)
        cluster.heal("host-5")
        cluster.advance(120.0)
        assert cluster.told(Paused, Resumed, Gone, Revoked, Joined) == []
        assert cluster.host("host-5").state is HostState.ONLINE


# Getting it back


@pytest.mark.parametrize("seconds", [66.0, 70.0, 75.0, 80.0, 84.0])
def test_vms_go_on_soon_after_the_lease_is_back_if_it_was_not_revoked(seconds):
    with Cluster() as cluster:
        cluster.cut("host-5")
        cluster.advance(seconds)
        assert cluster.running("host-5") == []
        cluster.heal("host-5")
        cluster.advance(BACK_SECONDS)
        assert len(cluster.told(Resumed, host="host-5")) == 2
        cluster.advance(60.0)
        assert cluster.told(Revoked, Gone, Joined) == []
        assert cluster.host("host-5").epoch == 1
        cluster.everything_runs_once()


def test_a_host_whose_lease_was_revoked_destroys_its_copies_and_joins_with_a_higher_epoch():
    with Cluster() as cluster:
        stale = cluster.running("host-5")
        cluster.cut("host-5")
        cluster.advance(RESCUED_SECONDS)
        assert {vm.host for vm in cluster.vms() if vm.id in stale}.isdisjoint({"host-5"}), "they were rescued"
        assert cluster.host("host-5").state in (HostState.FENCED, HostState.RECOVERED)
        cluster.heal("host-5")
        healed = cluster.world.now
        cluster.advance(BACK_SECONDS)
        assert sorted(fact.vm for _, fact in cluster.told(Gone, host="host-5")) == stale
        ((joined, _),) = cluster.told(Joined, host="host-5")
        assert max(at for at, _ in cluster.told(Gone, host="host-5")) < joined <= healed + BACK_SECONDS
        assert cluster.told(Resumed, host="host-5") == []
        host = cluster.host("host-5")
        assert (host.state, host.epoch, host.boot) == (HostState.ONLINE, 2, "host-5/boot-1")
        assert {vm.epoch for vm in cluster.vms() if vm.id in stale} == {2}
        cluster.everything_runs_once()


def test_a_host_that_did_not_know_how_late_it_is_stops_its_vms_the_moment_it_learns_that_its_lease_was_revoked():
    """A clock as wrong as no clock may be: the storage has long fenced the volumes, now the vCPUs stand still too."""
    with Cluster() as cluster:
        cluster.machines["host-5"].clock.drift(0.5)
        cluster.cut("host-5")
        cluster.advance(RESCUED_SECONDS)
        assert len(cluster.running("host-5")) == 2
        cluster.heal("host-5")
        healed = cluster.world.now
        cluster.advance(2 * BACK_SECONDS)
        stopped = cluster.told(Paused, host="host-5") + cluster.told(Gone, host="host-5")
        first = {fact.vm: min(at for at, other in stopped if other.vm == fact.vm) for _, fact in stopped}
        assert len(first) == 2
        assert max(first.values()) - healed < BACK_SECONDS
        assert (cluster.host("host-5").state, cluster.host("host-5").epoch) == (HostState.ONLINE, 2)


@pytest.mark.parametrize("host", ["host-1", "host-5"], ids=["the leader of everything", "another"])
def test_whenever_an_isolated_host_comes_back_every_vm_runs_once(host):
    for seconds in (*range(50, 70, 2), *range(84, 124, 2)):
        with Cluster() as cluster:
            cluster.cut(host)
            cluster.advance(float(seconds))
            cluster.heal(host)
            cluster.advance(60.0)
            cluster.everything_runs_once()


@pytest.mark.parametrize("host", ["host-1", "host-5"], ids=["the leader of everything", "another"])
def test_whenever_a_stalled_host_goes_on_its_vms_are_soon_only_where_they_belong(host):
    """For an instant it does not know how late it is; the storage refuses what its guests write then."""
    for seconds in (30, 55, 58, 62, 70, 80, *range(84, 124, 4)):
        with Cluster() as cluster:
            cluster.machines[host].stall()
            cluster.advance(float(seconds))
            cluster.machines[host].unstall()
            cluster.advance(60.0)
            cluster.everything_runs_once(tolerated=0.1)


def test_when_all_lose_the_storage_all_pause_and_nothing_is_moved_and_all_go_on():
    with Cluster() as cluster:
        for host in cluster.machines:
            cluster.cut(host, STORAGE)
        cluster.advance(200.0)
        assert len(cluster.told(Paused)) == 12
        cluster.heal(*cluster.machines)
        cluster.until(lambda: bool(cluster.told(Elected)))
        cluster.advance(BACK_SECONDS)
        assert len(cluster.told(Resumed)) == 12
        cluster.advance(SEED.verdict + 10.0)
        assert cluster.told(Revoked, Gone, Started, Joined) == []
        cluster.everything_runs_once()


def test_a_rebooted_host_joins_under_its_new_boot_with_a_higher_epoch():
    with Cluster() as cluster:
        machine = cluster.machines["host-5"]
        machine.power_off()
        cluster.advance(5.0)
        machine.power_on()
        cluster.advance(BACK_SECONDS)
        host = cluster.host("host-5")
        assert (host.state, host.epoch, host.boot) == (HostState.ONLINE, 2, "host-5/boot-2")
        cluster.advance(30.0)
        cluster.everything_runs_once()


def test_nothing_may_run_on_a_host_that_has_booted_before_the_store_knows_of_it():
    with Cluster() as cluster:
        machine = cluster.machines["host-6"]
        cluster.cut("host-6", MANAGEMENT)
        machine.power_off()
        machine.power_on()
        cluster.advance(60.0)
        lease = cluster.storage.leases["host-6"]
        assert lease.boot == machine.facts.boot, "it has joined the storage"
        assert lease.renewed_at > cluster.world.now - 10.0
        assert (machine.held_until, machine.held_for) == (0.0, 0)
        cluster.heal("host-6")
        cluster.advance(20.0)
        assert machine.held_until > machine.clock.now()
        assert machine.held_for == cluster.host("host-6").epoch == 2


def test_a_node_that_starts_again_goes_on_under_the_lease_of_its_boot():
    with Cluster() as cluster:
        for _ in range(3):
            cluster.machines["host-5"].kill("node")
            cluster.advance(20.0)
        assert cluster.told(Paused, Gone, Joined, Revoked) == []
        assert (cluster.host("host-5").epoch, cluster.host("host-5").state) == (1, HostState.ONLINE)


# What does not touch it


def test_a_host_that_loses_only_the_store_goes_on():
    with Cluster() as cluster:
        cluster.cut("host-5", MANAGEMENT)
        cluster.advance(300.0)
        assert cluster.host("host-5").state is HostState.UNMANAGED
        cluster.heal("host-5")
        cluster.advance(30.0)
        assert cluster.told(Paused, Gone, Revoked, Joined, Started) == []
        assert cluster.host("host-5").state is HostState.ONLINE


def test_a_cluster_without_a_store_goes_on():
    with Cluster() as cluster:
        for host in cluster.machines:
            cluster.cut(host, MANAGEMENT)
        cluster.advance(300.0)
        cluster.heal(*cluster.machines)
        cluster.advance(SEED.verdict + 30.0)
        assert cluster.told(Paused, Gone, Revoked, Joined, Started) == []
        assert {cluster.host(host).state for host in cluster.machines} == {HostState.ONLINE}


@pytest.mark.parametrize("seed", range(3))
def test_leases_are_renewed_through_changes_of_the_meta_leader(seed):
    with Cluster(seed=seed) as cluster:
        for _ in range(8):
            before = {host: lease.counter for host, lease in cluster.storage.leases.items()}
            cluster.storage.step_down()
            cluster.advance(20.0)
            assert all(lease.counter > before[host] for host, lease in cluster.storage.leases.items())
        cluster.advance(30.0)
        assert cluster.storage.term == 9
        assert cluster.told(Paused, Gone, Revoked, Joined) == []
        assert {cluster.host(host).state for host in cluster.machines} == {HostState.ONLINE}


def test_a_new_leader_counts_the_silence_from_its_own_first_look():
    with Cluster() as cluster:
        cluster.machines["host-5"].power_off()
        silent_since = cluster.world.now
        cluster.advance(80.0)
        cluster.storage.step_down()
        cluster.until(lambda: bool(cluster.told(Elected)))
        elected = cluster.world.now
        cluster.until(lambda: bool(cluster.told(Revoked)))
        assert elected - silent_since < SEED.verdict < cluster.world.now - elected + 0.5 < SEED.verdict + 12.0
        cluster.advance(30.0)
        cluster.everything_runs_once()


# The guard


@pytest.mark.parametrize("rate", [0.999, 1.0, 1.001])
def test_the_guard_freezes_vms_when_the_node_is_gone_for_good(rate):
    with Cluster() as cluster:
        machine = cluster.machines["host-5"]
        machine.clock.drift(rate)
        cluster.advance(10.0)
        machine.running.pop("node").kill()  # and no supervisor
        renewed = cluster.storage.leases["host-5"].renewed_at
        cluster.advance(SEED.give_up + GUARD_GRACE_SECONDS - 12.0)
        assert cluster.told(Paused) == []
        cluster.advance(20.0)
        paused = cluster.told(Paused, host="host-5")
        assert len(paused) == 2
        latest = SEED.give_up + GUARD_GRACE_SECONDS + TICK_SECONDS
        assert all(SEED.give_up < (at - renewed) * rate <= latest for at, _ in paused)
        assert all(at <= renewed + SEED.stopped_by() for at, _ in paused)
        cluster.advance(60.0)
        cluster.nothing_ran_twice()


def test_a_guard_that_was_killed_remembers_when_the_lease_ends():
    with Cluster() as cluster:
        machine = cluster.machines["host-5"]
        machine.running.pop("node").kill()
        for _ in range(6):
            cluster.advance(12.0)
            machine.kill("guard")
        cluster.advance(SEED.stopped_by() - 6 * 12.0 + 3.0)
        assert cluster.running("host-5") == []


def test_the_guard_leaves_vms_alone_while_the_lease_is_renewed():
    with Cluster() as cluster:
        for _ in range(10):
            cluster.advance(20.0)
            cluster.machines["host-5"].kill("guard")
        assert cluster.told(Paused) == []


# What a process that died had begun


def test_vms_that_a_killed_node_had_paused_go_on_as_soon_as_others():
    for killed in (56.0, 61.0, 65.0):
        with Cluster() as cluster:
            cluster.cut("host-5")
            cluster.advance(killed)
            cluster.machines["host-5"].kill("node")
            cluster.advance(80.0 - killed)
            cluster.heal("host-5")
            cluster.advance(BACK_SECONDS)
            assert cluster.told(Paused, host="host-5") != []
            cluster.everything_runs_once()


def test_what_a_host_has_paused_goes_on_though_its_hypervisor_does_not_say_what_is_there():
    with Cluster() as cluster:
        cluster.cut("host-5")
        cluster.advance(SEED.give_up + 5.0)
        assert len(cluster.told(Paused, host="host-5")) == 2
        cluster.machines["host-5"].listable = False
        cluster.heal("host-5")
        cluster.advance(BACK_SECONDS)
        assert cluster.told(Revoked) == []
        cluster.everything_runs_once()


def test_a_vm_that_answers_nobody_keeps_no_other_from_going_on():
    with Cluster() as cluster:
        cluster.cut("host-5")
        cluster.advance(SEED.give_up + 5.0)
        first, second = cluster.machines["host-5"].guests.values()
        cluster.machines["host-5"].mute[first.vm] = False
        cluster.heal("host-5")
        cluster.advance(BACK_SECONDS)
        assert (first.state, second.state) == (DomainState.PAUSED, DomainState.RUNNING)
        cluster.machines["host-5"].mute.clear()
        cluster.advance(2 * BACK_SECONDS)
        assert cluster.told(Revoked) == []
        cluster.everything_runs_once()


def test_vms_that_the_guard_froze_go_on_as_soon_as_others():
    with Cluster() as cluster:
        cluster.cut("host-5")
        cluster.advance(SEED.give_up - 12.0)
        node = cluster.machines["host-5"].running["node"]
        node.halt()  # the node hangs, the guard does not
        cluster.advance(GUARD_GRACE_SECONDS + 16.0)
        assert len(cluster.told(Paused, host="host-5")) == 2
        node.resume()
        cluster.heal("host-5")
        cluster.advance(BACK_SECONDS)
        assert cluster.told(Revoked) == []
        cluster.everything_runs_once()


def test_a_host_that_cannot_ask_the_store_whom_to_let_go_on_still_keeps_its_lease():
    """What the guard froze waits for the store's word; the lease does not, nor do the VMs that a user starts meanwhile."""
    with Cluster() as cluster:
        cluster.cut("host-5")
        cluster.advance(SEED.give_up - 12.0)
        node = cluster.machines["host-5"].running["node"]
        node.halt()
        cluster.advance(GUARD_GRACE_SECONDS + 16.0)
        node.resume()
        cluster.network.heal(("host-5",), (STORAGE,))
        cluster.advance(2 * SEED.verdict)
        assert cluster.told(Revoked, Gone) == []
        cluster.heal("host-5")
        cluster.advance(BACK_SECONDS)
        cluster.everything_runs_once()


def test_a_node_that_starts_again_without_storage_still_pauses_its_vms_when_the_lease_ends():
    """The guard would do it later; but whoever may start anything must be the first to know."""
    with Cluster() as cluster:
        cluster.cut("host-5", STORAGE)
        cluster.advance(40.0)
        cluster.machines["host-5"].kill("node")
        cluster.advance(SEED.give_up - 40.0 + 0.1)
        assert cluster.running("host-5") == []


def test_a_host_whose_node_died_between_joining_the_storage_and_saying_so_still_comes_back():
    with Cluster() as cluster:
        cluster.cut("host-5")
        cluster.advance(RESCUED_SECONDS + 30.0)
        cluster.network.heal(("host-5",), (STORAGE,))
        cluster.until(lambda: bool(cluster.told(Joined, host="host-5")))
        cluster.advance(1.0)
        cluster.machines["host-5"].kill("node")
        cluster.advance(10.0)
        cluster.heal("host-5")
        cluster.advance(60.0)
        host = cluster.host("host-5")
        assert (host.state, host.epoch) == (HostState.ONLINE, 2)


def test_a_join_is_one_new_epoch_also_when_the_stores_answer_to_it_is_lost():
    """Between two epochs for one join a VM may be started; by the second it would be taken for lost, and rescued."""
    with Cluster(vms=0) as cluster:
        cluster.machines["host-5"].power_off()
        create = CreateVMs(vms=(NewVM(id="new", vcpus=1, memory_mib=1024),), start=False)
        assert cluster.done(cluster.submit("vm.create", create, "host-1")).state is WorkState.DONE
        worker = cluster.doc(Handler, "host-5").uuid
        cluster.machines["host-5"].power_on()
        cluster.until(lambda: cluster.doc(Handler, "host-5").uuid != worker)
        cluster.advance(0.0006)
        cluster.store.lost_answers = 1.0
        cluster.until(lambda: cluster.host("host-5").epoch == 2)
        cluster.advance(0.0005)
        cluster.store.lost_answers = 0.0
        start = cluster.done(cluster.submit("vm.start", StartVMs(vms=("new",), host="host-5"), "host-1"))
        assert start.state is WorkState.DONE
        cluster.advance(30.0)
        assert cluster.host("host-5").epoch == 2
        cluster.everything_runs_once()


@pytest.mark.parametrize("state", [HostState.ENTERING_MAINTENANCE, HostState.MAINTENANCE])
def test_a_host_that_reboots_in_maintenance_stays_in_maintenance(state):
    with Cluster(vms=0) as cluster:
        for to in (HostState.ENTERING_MAINTENANCE, HostState.MAINTENANCE):
            if cluster.host("host-5").state is not state:
                moved = move(cluster.host("host-5"), to, "an operator wants it")
                cluster.store.ledger.commit([Replace(moved)], cluster.world.now)
        cluster.machines["host-5"].power_off()
        cluster.advance(10.0)
        cluster.machines["host-5"].power_on()
        cluster.advance(60.0)
        assert cluster.host("host-5").state is state
        assert cluster.host("host-5").boot == "host-5/boot-2"


# A migration in the middle of it

LARGE_MIB = 150 * 1024  # takes more than two minutes to copy


def begin_migration(cluster: Cluster, target: str = "host-5") -> tuple[str, str]:
    """The only VM is on its way; returns the Job and the source."""
    (vm,) = cluster.vms()
    door = next(host for host in cluster.machines if host not in (vm.host, target))
    return cluster.submit("vm.migrate", MigrateVMs(vms=(vm.id,), host=target), door), vm.host


def test_a_migration_that_fails_on_an_isolated_host_does_not_let_its_vm_run_again():
    with Cluster(vms=1, memory_mib=LARGE_MIB) as cluster:
        _, source = begin_migration(cluster)
        cluster.advance(20.0)
        cluster.cut(source)
        cluster.until(lambda: bool(cluster.told(Paused)))
        cluster.advance(120.0)
        assert cluster.told(Resumed, host=source) == []
        cluster.nothing_ran_twice()


def test_a_vm_whose_migration_was_cut_by_the_isolation_of_its_host_is_rescued_even_to_the_same_target():
    with Cluster(vms=1, memory_mib=LARGE_MIB) as cluster:
        _, source = begin_migration(cluster, target="")  # the scheduler's choice, and so will be the rescue's
        cluster.advance(20.0)
        cluster.cut(source)
        cluster.advance(RESCUED_SECONDS + 30.0)
        (vm,) = cluster.vms()
        assert vm.state is VMState.RUNNING
        assert vm.host != source
        assert cluster.running(vm.host) == [vm.id]


def test_a_host_whose_lease_was_revoked_in_the_middle_of_a_migration_comes_back():
    with Cluster(vms=1, memory_mib=LARGE_MIB) as cluster:
        _, source = begin_migration(cluster)
        cluster.advance(20.0)
        cluster.cut(source)
        cluster.advance(RESCUED_SECONDS)
        cluster.heal(source)
        cluster.advance(BACK_SECONDS + 5.0)
        assert (cluster.host(source).state, cluster.host(source).epoch) == (HostState.ONLINE, 2)
        assert cluster.running(source) == []


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0, 6.0])
def test_a_source_whose_lease_comes_back_does_not_resume_a_vm_that_it_has_handed_over(seconds):
    """Its lease ended during the copy, so its keeper had paused the VM; now the store says that the target owns it. Only the
    meta leader was out of reach: what the guest wrote has arrived, or its memory would not go anywhere."""
    with Cluster(vms=1, memory_mib=LARGE_MIB) as cluster:
        cluster.storage.step_aside(3600.0)  # the VM is on the first leader
        cluster.advance(20.0)
        job, source = begin_migration(cluster)
        cluster.advance(45.0)
        leader = cluster.storage.leader
        assert leader not in (None, source)
        walls = between((source,), (leader,), STORAGE)
        cluster.network.bar(walls)
        cluster.until(lambda: cluster.vms()[0].epoch == 2)
        assert cluster.told(Paused, host=source) != []
        cluster.advance(seconds)
        cluster.network.lift(walls)
        handed_over = cluster.world.now
        cluster.done(job)
        cluster.advance(10.0)
        assert cluster.told(Resumed, host=source, since=handed_over - seconds) == []
        cluster.everything_runs_once()


def test_what_a_source_that_died_while_it_copied_left_on_the_target_is_removed():
    with Cluster(vms=1, memory_mib=LARGE_MIB) as cluster:
        _, source = begin_migration(cluster)
        cluster.advance(20.0)
        cluster.machines[source].power_off()
        cluster.advance(RESCUED_SECONDS + 100.0)
        cluster.everything_runs_once()


def test_a_vm_that_its_target_took_over_from_a_dead_source_still_obeys_its_user():
    with Cluster(vms=1, memory_mib=4096) as cluster:
        _, source = begin_migration(cluster)
        cluster.until(lambda: cluster.vms()[0].epoch == 2)
        cluster.machines[source].power_off()
        cluster.advance(RESCUED_SECONDS)
        cluster.everything_runs_once()
        (vm,) = cluster.vms()
        off = cluster.done(cluster.submit("vm.poweroff", NameVMs(vms=(vm.id,)), "host-2"))
        assert off.results[vm.id].why == ""
        assert cluster.running("host-5") == []


def test_a_look_that_was_interrupted_does_not_destroy_a_vm_that_came_in_meanwhile():
    """The target looks at what runs there, stands still after some of its questions, and then acts on old answers."""
    for step in range(40):
        with Cluster(vms=1, memory_mib=4096) as cluster:
            job, _ = begin_migration(cluster)
            cluster.advance(2.0)
            look = SimRuntime(cluster.world, "host-5/look")
            look.spawn(reconcile(cluster.ports("host-5", look)), name="look")
            cluster.advance(step * 0.0001)
            look.halt()
            cluster.done(job)
            look.resume()
            cluster.advance(1.0)
            cluster.everything_runs_once()
