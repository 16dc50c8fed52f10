"""The inequality that makes high availability safe, both sides in numbers, and what is refused because of it."""

import msgspec
import pytest

from ave.errors import Refused
from ave.ha import timing
from ave.ha.timing import PROFILES, Timing
from drivers.sim.runtime import Crash
from sim.cluster import SimCluster
from sim.scenario.model import Shape, Topology


def profile(give_up: float, verdict: float) -> Timing:
    return Timing(name="mine", give_up=give_up, verdict=verdict)


@pytest.mark.parametrize(
    ("name", "give_up", "verdict", "stopped_by", "revoked_from"),
    [
        ("seed", 60, 90, 77.06, 89.91),
        ("standard", 95, 130, 112.095, 129.87),
        ("medium-high", 70, 100, 87.07, 99.9),
        ("high", 40, 60, 57.04, 59.94),
    ],
)
def test_a_profile_stops_its_vms_before_their_lease_can_be_revoked(name, give_up, verdict, stopped_by, revoked_from):
    shipped = PROFILES[name]
    assert (shipped.give_up, shipped.verdict) == (give_up, verdict)
    assert shipped.stopped_by() == pytest.approx(stopped_by)
    assert shipped.revoked_from() == pytest.approx(revoked_from)
    assert shipped.stopped_by() < shipped.revoked_from()
    shipped.require_safe()


def test_every_profile_is_named_by_its_key_and_checked_above():
    assert {name: shipped.name for name, shipped in PROFILES.items()} == {
        name: name for name in ("seed", "standard", "medium-high", "high")
    }


def test_one_threshold_for_host_and_leader_is_unsafe_and_both_sides_are_said():
    with pytest.raises(Refused) as caught:
        profile(90, 90).require_safe()
    assert str(caught.value) == (
        "profile mine is unsafe: a host may run its VMs until 107.09 s after its last renewal, "
        "but its lease may be revoked from 89.91 s; raise verdict or lower give_up"
    )


def test_the_smallest_safe_verdict_is_safe_and_a_little_less_is_not():
    least = profile(60, 90).stopped_by() / (1 - timing.RATE_ERROR)
    profile(60, least + 1e-6).require_safe()
    with pytest.raises(Refused, match=r"until 77\.06 s .* from 77\.05 s"):
        profile(60, least - 0.01).require_safe()


def test_a_larger_rate_error_makes_both_sides_worse(monkeypatch):
    high = PROFILES["high"]
    monkeypatch.setattr(timing, "RATE_ERROR", 0.04)
    assert high.stopped_by() == pytest.approx(40 * 1.04 + 17)
    assert high.revoked_from() == pytest.approx(60 * 0.96)
    with pytest.raises(Refused):
        high.require_safe()


def test_the_slower_of_node_and_guard_decides_how_late_vms_may_stop(monkeypatch):
    assert profile(60, 90).stopped_by() == pytest.approx(60.06 + timing.GUARD_GRACE_SECONDS + timing.GUARD_SECONDS)
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 40.0)
    assert profile(60, 90).stopped_by() == pytest.approx(60.06 + timing.TICK_SECONDS + 40.0)


@pytest.mark.parametrize(("give_up", "verdict"), [(float("nan"), 90.0), (60.0, float("nan"))])
def test_what_is_not_a_number_is_not_safe(give_up, verdict):
    with pytest.raises(Refused):
        profile(give_up, verdict).require_safe()


def test_a_node_does_not_start_with_an_unsafe_profile():
    unsafe = msgspec.structs.replace(PROFILES["seed"], name="brave", verdict=60.0)
    topology = Topology(shapes=(Shape(1, 16, 65536, 0),), masters=1, zones={}, networks=())
    with SimCluster(topology, seed=1, timing=unsafe) as cluster:
        cluster.power_on()
        with pytest.raises(Crash, match=r"profile brave is unsafe: .* until 77\.06 s .* from 59\.94 s"):
            cluster.world.advance(1.0)
