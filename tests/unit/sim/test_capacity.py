import hashlib
from math import ceil

import msgspec
import pytest

from ave.model.host import HostState
from ave.model.vm import VMState
from sim.azure import generate
from sim.capacity import Moment, Utilisation, empty_cluster, replay
from sim.run import Asked, run
from sim.scenario.model import Shape, Topology
from sim.traces import Workload
from tests.unit.placement.clusters import GIB, host, view, vm


def workload(*rows: tuple[str, float, int, int, int, float | None]) -> Workload:
    """Rows of id, second, batch, vCPUs, GiB, life."""
    columns = tuple(zip(*rows, strict=True)) or ((),) * 6
    ids, arrive, batch, vcpu, memory_gib, life = columns
    return Workload(ids, arrive, batch, vcpu, tuple(gib * GIB for gib in memory_gib), life)


def test_vms_come_run_and_leave():
    seen = view([host("a", 16, 8), host("b", 16, 8)])
    played = workload(("v1", 10, 0, 2, 8, 100), ("v2", 20, 1, 1, 4, None), ("v3", 200, 2, 4, 16, 50))
    answer = replay(seen, played, until=300, step=50)
    assert (answer.placed, answer.refused) == (3, 0)
    assert answer.series.vms == [0, 2, 2, 1, 2, 1, 1]
    assert answer.series.vcpus == [0, 3, 3, 1, 5, 1, 1]
    assert answer.series.memory_mib == [gib * GIB for gib in (0, 12, 12, 4, 20, 4, 4)]
    assert answer.series.empty_hosts == [2, 0, 0, 1, 0, 1, 1]
    assert answer.peak == Moment(5, 20 * GIB, 2, 0)
    assert answer.final == Moment(1, 4 * GIB, 1, 1)
    assert (answer.hosts, answer.cpus, answer.memory_mib) == (2, 16, 32 * GIB)


def test_who_leaves_makes_room_for_who_comes_at_that_moment():
    played = workload(("v1", 10, 0, 1, 16, 90), ("v2", 100, 1, 1, 16, None))
    assert replay(view([host("a", 16)]), played, until=200).refused == 0


def test_who_is_refused_does_not_come_again():
    played = workload(("v1", 10, 0, 1, 16, 90), ("v2", 50, 1, 1, 16, 500))
    answer = replay(view([host("a", 16)]), played, until=200)
    assert (answer.placed, answer.refused, answer.final.vms) == (1, 1, 0)


def test_a_refusal_counts_for_the_filter_that_turned_away_most_hosts():
    hosts = [host("a", 4), host("b", 4), host("c", state=HostState.MAINTENANCE)]
    answer = replay(view(hosts), workload(("v1", 0, 0, 1, 8, None)), until=1)
    assert answer.refused_by == {"HostAvailableMemoryFilter": 1}
    assert answer.turned_away == {"HostAvailableMemoryFilter": 2, "MaintenanceFilter": 1}
    # As many each: those that failed further down the chain came closer.
    answer = replay(view(hosts[1:]), workload(("v1", 0, 0, 1, 8, None)), until=1)
    assert answer.refused_by == {"HostAvailableMemoryFilter": 1}


def test_a_batch_is_placed_together():
    played = workload(("s1", 5, 0, 1, 4, None), ("s2", 5, 0, 1, 4, None), ("large", 5, 0, 1, 14, None))
    answer = replay(view([host("a", 16), host("b", 16)]), played, until=10)
    assert (answer.placed, answer.packed_batches) == (3, 1)
    apart = workload(("s1", 5, 0, 1, 4, None), ("s2", 5, 1, 1, 4, None), ("large", 5, 2, 1, 14, None))
    answer = replay(view([host("a", 16), host("b", 16)]), apart, until=10)
    assert (answer.placed, answer.refused, answer.packed_batches) == (2, 1, 0)


def test_packed_even_single_vms_fill_one_host_after_the_other():
    singles = workload(*((f"v{n}", 10 * n, n, 1, 4, None) for n in range(4)), ("large", 50, 4, 1, 16, None))
    spread, packed = (
        replay(view([host("a", 16), host("b", 16)]), singles, until=60, step=10, pack=pack) for pack in (False, True)
    )
    assert spread.decisions == hashlib.sha256(b"v0 a\nv1 b\nv2 a\nv3 b\nlarge \n").hexdigest()
    assert packed.decisions == hashlib.sha256(b"v0 a\nv1 a\nv2 a\nv3 a\nlarge b\n").hexdigest()
    assert (spread.placed, spread.refused, spread.packed_batches) == (4, 1, 0)
    assert (packed.placed, packed.refused, packed.packed_batches) == (5, 0, 5)
    assert spread.series.empty_hosts == [1, 0, 0, 0, 0, 0, 0]
    assert packed.series.empty_hosts == [1, 1, 1, 1, 1, 0, 0]


def test_packed_goes_to_the_fullest_host_that_has_room_and_a_batch_largest_first():
    played = workload(
        ("a1", 0, 0, 1, 12, 100),
        ("b1", 1, 1, 1, 10, None),
        ("tight", 2, 2, 1, 6, None),  # not beside a1
        ("s", 200, 3, 1, 2, None),  # a1 has left
        ("l", 200, 3, 1, 15, None),  # before s: together they find no room on one host
        ("none", 300, 4, 1, 14, None),
    )
    answer = replay(view([host("a", 16), host("b", 16), host("c", 4)]), played, until=400, pack=True)
    assert answer.decisions == hashlib.sha256(b"a1 a\nb1 b\ntight b\nl a\ns c\nnone \n").hexdigest()
    assert (answer.placed, answer.refused, answer.packed_batches) == (5, 1, 5)
    assert answer.refused_by == {"HostAvailableMemoryFilter": 1}


def test_a_packed_cloud_leaves_as_many_hosts_empty_as_its_memory_allows():
    topology = Topology((Shape(16, 64, 256 * GIB, 8 * GIB),), 3, {}, ("vm",))
    spread, packed = (
        replay(empty_cluster(topology), generate(1_000, seed=3), until=80_000, pack=pack) for pack in (False, True)
    )
    assert spread.refused == packed.refused == 0
    assert spread.peak.memory_mib == packed.peak.memory_mib
    full = ceil(packed.peak.memory_mib / (248 * GIB))
    assert (spread.peak.empty_hosts, packed.peak.empty_hosts) == (0, 16 - full)


@pytest.mark.parametrize(("line", "placed"), [("", 4), ("batch: spread", 4), ("batch: compact", 5)])
def test_a_scenario_says_how_those_who_arrive_are_placed(tmp_path, line, placed):
    """Four small ones, then one that needs a host for itself."""
    rows = "\n".join(f"{n},{300 * n},{n},1,{16 if n == 4 else 4}" for n in range(5))
    (tmp_path / "trace.csv").write_text(f"vm,arrive_s,batch,vcpu,mem_gib\n{rows}\n")
    file = tmp_path / "packed.yaml"
    file.write_text(f"""\
apiVersion: ave.sim/v1
kind: Scenario
metadata: {{name: packed}}
spec:
  {line}
  mode: capacity
  duration: 1h
  topology: {{hosts: 2, cpu: 64, memory: 16GiB, reserve: 0GiB}}
  workload: [{{trace: trace.csv}}]
  thresholds: [{{expr: capacity.refused == 0}}]
""")
    outcome, _ = run(Asked(file=file))
    assert (outcome.metrics["capacity.placed"], outcome.metrics["capacity.refused"]) == (placed, 5 - placed)
    assert outcome.passed is (placed == 5)
    assert outcome.capacity is not None
    assert outcome.capacity.packed_batches == (5 if line == "batch: compact" else 0)


def test_what_comes_after_the_end_is_not_played():
    answer = replay(view([host("a")]), workload(("v1", 10, 0, 1, 1, 100), ("v2", 11, 1, 1, 1, None)), until=10)
    assert (answer.placed, answer.final.vms) == (1, 1)


def test_what_was_on_the_view_before_counts_and_stays():
    seen = view([host("a", 16, reserve_mib=GIB)], [vm("old", 8, 3, VMState.RUNNING, host="a")])
    answer = replay(seen, workload(("v1", 10, 0, 1, 8, None)), until=20)
    assert (answer.refused, answer.memory_mib) == (1, 15 * GIB)
    assert answer.peak == answer.final == Moment(3, 8 * GIB, 1, 0)


def test_the_decisions_are_hashed_in_their_order():
    played = workload(("v1", 0, 0, 1, 8, None), ("v2", 1, 1, 1, 32, None), ("v3", 2, 2, 1, 8, None))
    answer = replay(view([host("a", 16), host("b", 16)]), played, until=10)
    assert answer.decisions == hashlib.sha256(b"v1 a\nv2 \nv3 b\n").hexdigest()


def test_the_same_replay_twice_is_the_same_to_the_last_byte():
    topology = Topology((Shape(20, 64, 112 * GIB, 4 * GIB),), 3, {}, ("vm",))
    answers = [replay(empty_cluster(topology), generate(3_000, seed=3), until=4000) for _ in range(2)]
    assert answers[0].placed > 0 < answers[0].refused
    packed = [msgspec.json.encode(answer) for answer in answers]
    assert packed[0] == packed[1]
    assert msgspec.json.decode(packed[0], type=Utilisation) == answers[0]


def test_the_caller_hears_how_far_it_is_and_may_stop_it():
    told = []
    replay(
        view([host("a")]), generate(2_500, seed=1), until=1e9, progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (2_500, 2_500)
    assert [total for _, total in told] == [2_500] * len(told)
    assert len(told) >= 3

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(view([host("a")]), generate(2_500, seed=1), until=1e9, progress=stop)


def test_a_cluster_of_a_scenario_is_online_and_empty():
    seen = empty_cluster(Topology((Shape(2, 8, 64 * GIB, 4 * GIB),), 1, {"east": 1, "west": 1}, ("vm",)))
    assert seen.names == ["host-1", "host-2"]
    assert seen.free_mib.tolist() == [60 * GIB, 60 * GIB]
    assert seen.vm_count.tolist() == [0, 0]


def test_no_vms_at_all_is_a_replay_too():
    answer = replay(view([host("a")]), workload(), until=600, step=300)
    assert (answer.placed, answer.refused, answer.series.vms) == (0, 0, [0, 0, 0])
