"""Silence as a leader watched it, and the judgement of it: every row of the table."""

from random import Random

import pytest

from ave.ha.timing import LOOP_SECONDS, LOOP_STARTS, PROFILES, Timing
from ave.ha.verdict import READ_ONLY, Signs, Silence, Starts, Verdict, doubtful, judge, weigh
from ave.model.host import HOST, Host, HostState, Report
from ave.ports.block import Lease

H = HostState
SEED = PROFILES["seed"]
GAP = 3.0


def silence(*looks: tuple[float, int], revoked: bool = False) -> Silence:
    """What is known of host "h" after looks at these times, each of which saw this counter."""
    made = Silence(gap=GAP)
    for number, (now, counter) in enumerate(looks, 1):
        made.look(now, now, [Lease("h", counter, revoked and number == len(looks))])
    return made


def silent(seconds: float, *, revoked: bool = False, gap: float = GAP, host: str = "h") -> Silence:
    """The host was seen to renew, and then not again for so long."""
    made = Silence(gap=gap)
    made.look(0.0, 0.0, [Lease(host, 6, False)])
    now = 1.0
    while now < 1.0 + seconds:
        made.look(now, now, [Lease(host, 7, revoked)])
        now += 1.0
    made.look(1.0 + seconds, 1.0 + seconds, [Lease(host, 7, revoked)])
    return made


def host(state: HostState, name: str = "h") -> Host:
    return Host(id=name, state=state, cpus=1, memory_mib=1)


def judged(hosts: dict[str, Host], leases: Silence, beats: Silence, timing: Timing = SEED) -> list[Verdict]:
    return judge(hosts, weigh(hosts, {}, leases, beats, Signs(gap=GAP), Starts()), timing)


def verdicts(state: HostState, leases: Silence, beats: Silence) -> list[Verdict]:
    return judged({"h": host(state)}, leases, beats)


# Silence


def test_silence_counts_from_the_look_that_first_saw_the_counter():
    watched = silence((10.0, 1), (11.0, 2), (12.0, 2), (14.5, 2))
    assert watched.seconds("h") == 3.5
    seen = watched.of("h")
    assert seen is not None
    assert (seen.counter, seen.since, seen.revoked) == (2, 11.0, False)


def test_silence_is_nothing_when_the_counter_moves():
    assert silence((10.0, 1), (12.0, 1), (14.0, 2)).seconds("h") == 0.0


def test_a_counter_that_goes_back_has_moved_too():
    assert silence((10.0, 2), (12.0, 2), (14.0, 1)).seconds("h") == 0.0


def test_silence_starts_again_when_the_lease_is_revoked():
    watched = silence((10.0, 1), (12.0, 1), (14.0, 1), revoked=True)
    assert watched.seconds("h") == 0.0
    seen = watched.of("h")
    assert seen is not None
    assert seen.revoked


def test_a_pause_of_the_watcher_is_no_silence_of_the_watched():
    assert silence((10.0, 1), (13.0, 1)).seconds("h") == 3.0
    assert silence((10.0, 1), (13.1, 1)).seconds("h") == 0.0
    assert silence((10.0, 1), (13.1, 1), (14.1, 1)).seconds("h") == 1.0


def test_a_counter_that_moved_did_so_before_the_answer_and_one_that_did_not_stood_still_until_the_question():
    watched = Silence(gap=10.0)
    watched.look(0.0, 0.0, [Lease("h", 1, False)])
    watched.look(5.0, 7.0, [Lease("h", 2, False)])
    assert watched.seconds("h") == 0.0
    watched.look(6.0, 9.0, [Lease("h", 2, False)])
    assert watched.seconds("h") == 0.0
    watched.look(10.0, 15.0, [Lease("h", 2, False)])
    assert watched.seconds("h") == 3.0


def test_after_a_pause_of_the_watcher_a_host_that_is_not_named_is_unknown():
    watched = Silence(gap=GAP)
    watched.look(0.0, 0.0, [Lease("h", 1, False), Lease("other", 1, False)])
    watched.look(10.0, 10.0, [Lease("other", 1, False)])
    assert watched.of("h") is None
    assert watched.seconds("h") == 0.0


def test_hosts_are_watched_each_by_itself():
    watched = Silence(gap=GAP)
    for now, moving in ((0.0, 1), (2.0, 2), (4.0, 3)):
        watched.look(now, now, [Lease("still", 1, False), Lease("alive", moving, False)])
    assert (watched.seconds("still"), watched.seconds("alive")) == (4.0, 0.0)


def test_of_a_host_never_seen_nothing_is_known():
    assert Silence(gap=GAP).of("h") is None
    assert Silence(gap=GAP).seconds("h") == 0.0


# The judgement

ALIVE, MUTE = silent(0.0), silent(20.0)


@pytest.mark.parametrize(
    ("state", "seconds", "mute", "becomes"),
    [
        # It renews, and its worker beats.
        (H.ONLINE, 0.0, 0.0, None),
        (H.SUSPECT, 0.0, 0.0, H.ONLINE),
        (H.UNMANAGED, 0.0, 0.0, H.ONLINE),
        # It renews, but its worker is silent.
        (H.ONLINE, 0.0, 19.9, None),
        (H.ONLINE, 0.0, 20.0, H.UNMANAGED),
        (H.ONLINE, 0.0, 500.0, H.UNMANAGED),
        (H.SUSPECT, 0.0, 20.0, H.UNMANAGED),
        (H.UNMANAGED, 0.0, 20.0, None),
        (H.UNMANAGED, 0.0, 19.9, H.ONLINE),
        # A little silence changes nothing.
        (H.ONLINE, 14.9, 0.0, None),
        (H.UNMANAGED, 14.9, 0.0, H.ONLINE),
        (H.ONLINE, 14.9, 20.0, H.UNMANAGED),
        # More makes it suspect, whatever its worker does.
        (H.ONLINE, 15.0, 0.0, H.SUSPECT),
        (H.ONLINE, 15.0, 20.0, H.SUSPECT),
        (H.UNMANAGED, 15.0, 20.0, H.SUSPECT),
        (H.UNMANAGED, 15.0, 0.0, H.SUSPECT),
        (H.SUSPECT, 15.0, 20.0, None),
        (H.SUSPECT, 89.9, 0.0, None),
        # The verdict.
        (H.ONLINE, 90.0, 0.0, H.FENCED),
        (H.SUSPECT, 90.0, 0.0, H.FENCED),
        (H.SUSPECT, 90.0, 500.0, H.FENCED),
        (H.UNMANAGED, 90.0, 500.0, H.FENCED),
        (H.JOINING, 90.0, 0.0, H.FENCED),
        (H.ENTERING_MAINTENANCE, 90.0, 0.0, H.FENCED),
        (H.MAINTENANCE, 90.0, 0.0, H.FENCED),
        # What is in an operator's or the host's own hands is left alone until it is dead.
        (H.JOINING, 0.0, 0.0, None),
        (H.JOINING, 89.9, 500.0, None),
        (H.ENTERING_MAINTENANCE, 0.0, 0.0, None),
        (H.ENTERING_MAINTENANCE, 89.9, 500.0, None),
        (H.MAINTENANCE, 0.0, 0.0, None),
        (H.MAINTENANCE, 89.9, 500.0, None),
        # What was judged stays judged until the host itself comes back.
        (H.FENCED, 0.0, 0.0, None),
        (H.FENCED, 500.0, 500.0, None),
        (H.RECOVERED, 0.0, 0.0, None),
        (H.RECOVERED, 500.0, 500.0, None),
    ],
)
def test_a_host_is_judged_by_its_lease_and_then_by_its_workers_beat(state, seconds, mute, becomes):
    found = verdicts(state, silent(seconds), silent(mute))
    assert [verdict.state for verdict in found] == ([] if becomes is None else [becomes])


@pytest.mark.parametrize("state", HostState)
def test_a_revoked_lease_is_a_verdict_wherever_there_is_one_to_come(state):
    found = verdicts(state, silent(0.0, revoked=True), ALIVE)
    if state in (H.FENCED, H.RECOVERED):
        assert found == []
    else:
        assert found == [Verdict("h", H.FENCED, "its storage lease is revoked", 7)]


@pytest.mark.parametrize("state", HostState)
def test_of_a_host_whose_lease_was_never_seen_nothing_is_judged(state):
    assert verdicts(state, Silence(gap=GAP), MUTE) == []


@pytest.mark.parametrize("state", HostState)
@pytest.mark.parametrize("seconds", [0.0, 15.0, 90.0])
@pytest.mark.parametrize("mute", [0.0, 20.0])
def test_every_verdict_is_a_legal_move_to_another_state(state, seconds, mute):
    for verdict in verdicts(state, silent(seconds), silent(mute)):
        assert verdict.state in HOST.moves[state]


def test_a_verdict_carries_the_counter_that_was_watched_and_says_why():
    assert verdicts(H.ONLINE, silent(91.0), ALIVE) == [Verdict("h", H.FENCED, "silent for 91 s", 7, silence_alone=True)]
    assert verdicts(H.ONLINE, silent(16.0), ALIVE) == [Verdict("h", H.SUSPECT, "silent for 16 s")]
    assert verdicts(H.ONLINE, ALIVE, MUTE) == [Verdict("h", H.UNMANAGED, "its worker is silent for 20 s")]


def test_a_host_whose_worker_was_never_heard_of_is_judged_by_its_lease_alone():
    assert verdicts(H.ONLINE, ALIVE, Silence(gap=GAP)) == []
    assert [verdict.state for verdict in verdicts(H.ONLINE, silent(90.0), Silence(gap=GAP))] == [H.FENCED]


def test_hosts_are_judged_in_the_order_of_their_names():
    names = ["h3", "h1", "h4", "h2"]
    leases = Silence(gap=GAP)
    for now in range(91):
        leases.look(float(now), float(now), [Lease(name, 1, False) for name in names])
    found = judged({name: host(H.ONLINE, name) for name in names}, leases, Silence(gap=GAP))
    assert [verdict.host for verdict in found] == sorted(names)


def test_each_profile_has_its_own_verdict():
    for profile in PROFILES.values():
        hosts = {"h": host(H.SUSPECT)}
        assert judged(hosts, silent(profile.verdict - 0.1), ALIVE, profile) == []
        assert [v.state for v in judged(hosts, silent(profile.verdict), ALIVE, profile)] == [H.FENCED]


def test_judging_changes_nothing_of_what_was_watched():
    leases = silent(20.0)
    assert verdicts(H.ONLINE, leases, ALIVE) == verdicts(H.ONLINE, leases, ALIVE)
    assert leases.seconds("h") == 20.0


@pytest.mark.parametrize("state", [H.SUSPECT, H.UNMANAGED])
def test_a_first_look_clears_nobody(state):
    """A new leader has not yet seen the host do anything: a dead one must not be given VMs for another 15 s."""
    assert verdicts(state, silence((10.0, 1)), silence((10.0, 1))) == []


@pytest.mark.parametrize("state", [H.SUSPECT, H.UNMANAGED])
def test_a_look_after_a_pause_of_the_watcher_clears_nobody(state):
    leases, beats = silence((10.0, 1), (20.0, 1)), silence((10.0, 1), (20.0, 1))
    assert verdicts(state, leases, beats) == []


# What a host says of itself


def renewing(turn: int, until: float = 200.0) -> Silence:
    """It was seen to renew all the time, and to be in this turn of its lease from the second 100 on."""
    made = Silence(gap=GAP)
    for now in range(int(until) + 1):
        made.look(float(now), float(now), [Lease("h", now, False, turn if now >= 100 else turn - 1)])
    return made


def signs(report: Report, *, since: float, until: float = 200.0) -> Signs:
    made = Signs(gap=GAP)
    for now in range(int(until) + 1):
        made.look(float(now), [report] if now >= since else [])
    return made


def of_report(state: HostState, report: Report, *, since: float, turn: int = 3) -> list[Verdict]:
    seen = weigh(["h"], {"h": report}, renewing(turn), renewing(turn), signs(report, since=since), Starts())
    return judge({"h": host(state)}, seen, SEED)


@pytest.mark.parametrize(
    "state", [H.ONLINE, H.SUSPECT, H.UNMANAGED, H.READ_ONLY, H.MAINTENANCE, H.ENTERING_MAINTENANCE]
)
def test_a_host_that_says_that_nothing_runs_in_this_turn_of_its_lease_is_believed_after_a_moment(state):
    gone = Report(id="h", given_up=3)
    said = "says that nothing runs there any more, silent for 0 s"
    assert of_report(state, gone, since=195.0) == [Verdict("h", H.FENCED, said, 200)]
    assert H.FENCED not in [verdict.state for verdict in of_report(state, gone, since=196.0)]


def test_a_word_about_an_older_turn_says_nothing_about_this_one():
    assert of_report(H.ONLINE, Report(id="h", given_up=2), since=0.0) == []


def test_a_word_counts_from_when_the_leader_watches_the_lease_in_that_turn_without_a_gap():
    """The storage was away, and hosts that have given up take their leases up again within a second."""
    report = Report(id="h", given_up=3)
    heard = signs(report, since=0.0)
    for looked, states in ((4.9, []), (5.0, [H.FENCED])):
        leases = Silence(gap=GAP)
        for now in (180.0, 200.0 - looked, 200.0 - looked / 2, 200.0):
            leases.look(now, now, [Lease("h", 7, False, 3)])
        found = judge({"h": host(H.MAINTENANCE)}, weigh(["h"], {"h": report}, leases, ALIVE, heard, Starts()), SEED)
        assert [verdict.state for verdict in found] == states


@pytest.mark.parametrize(
    ("state", "seconds", "becomes"),
    [
        (H.ONLINE, 84.0, None),
        (H.ONLINE, 85.0, H.READ_ONLY),
        (H.UNMANAGED, 85.0, H.READ_ONLY),
        (H.SUSPECT, 84.0, H.ONLINE),
        (H.SUSPECT, 85.0, H.READ_ONLY),
        (H.READ_ONLY, 0.0, None),
        (H.READ_ONLY, 200.0, None),
        (H.MAINTENANCE, 200.0, None),
        (H.ENTERING_MAINTENANCE, 200.0, None),
        (H.JOINING, 200.0, None),
    ],
)
def test_a_host_without_a_writable_file_system_is_read_only_after_85_s_and_never_fenced_for_it(state, seconds, becomes):
    found = of_report(state, Report(id="h", read_only=True), since=200.0 - seconds)
    assert [verdict.state for verdict in found] == ([] if becomes is None else [becomes])


def test_a_read_only_host_is_online_again_when_it_says_nothing_of_the_sort_any_more():
    (found,) = of_report(H.READ_ONLY, Report(id="h"), since=0.0)
    assert found == Verdict("h", H.ONLINE, "its file system takes writes again")


def test_a_read_only_host_that_falls_silent_stays_so_until_the_verdict():
    assert verdicts(H.READ_ONLY, silent(89.0), ALIVE) == []
    assert [verdict.state for verdict in verdicts(H.READ_ONLY, silent(90.0), ALIVE)] == [H.FENCED]


def test_a_sign_counts_from_when_it_was_first_seen_without_a_gap_in_the_looking():
    sick, well = Report(id="h", read_only=True), Report(id="h")
    seen = Signs(gap=GAP)
    for now, report, seconds in (
        (1.0, sick, 0.0),
        (3.0, sick, 2.0),
        (5.0, well, None),
        (6.0, sick, 0.0),
        (9.5, sick, 0.0),
    ):
        seen.look(now, [report])
        assert seen.seconds("h", READ_ONLY) == seconds


# A worker that starts again and again


def started(times: int, every: float = 10.0) -> Starts:
    made = Starts()
    for number in range(times + 1):
        made.look(number * every, {"h": f"start-{number}"})
    return made


def looping(state: HostState, starts: Starts) -> list[Verdict]:
    turn = silence((0.0, 1), (1.0, 2))
    return judge({"h": host(state)}, weigh(["h"], {}, turn, turn, Signs(gap=GAP), starts), SEED)


def test_the_worker_that_is_there_at_the_first_look_is_no_start():
    assert (started(0).of("h"), started(2).of("h"), started(2).of("other")) == (0, 2, 0)


def test_a_start_counts_only_for_a_while():
    starts = started(LOOP_STARTS)
    starts.look(LOOP_SECONDS + 10.0, {"h": f"start-{LOOP_STARTS}"})
    assert starts.of("h") == LOOP_STARTS - 1, "the first one was at 10 s"


def test_a_host_whose_worker_starts_again_and_again_is_unmanaged_until_that_is_over():
    assert looping(H.ONLINE, started(LOOP_STARTS - 1)) == []
    (verdict,) = looping(H.ONLINE, started(LOOP_STARTS))
    assert (verdict.state, verdict.why) == (H.UNMANAGED, "its worker was started 4 times within 120 s")
    assert looping(H.UNMANAGED, started(LOOP_STARTS)) == []
    assert [v.state for v in looping(H.UNMANAGED, started(1))] == [H.ONLINE]


# Whom to look at


def test_those_that_stand_still_are_found_without_a_look_at_the_others():
    watched = Silence(gap=GAP)
    for now, leases in ((0.0, (1, 1, 1)), (2.0, (1, 2, 1)), (4.0, (1, 3, 2))):
        watched.look(now, now, [Lease(name, counter, False) for name, counter in zip("abc", leases, strict=True)])
    assert [list(watched.still(seconds)) for seconds in (4.0, 2.0, 0.0)] == [["a"], ["a"], ["a", "b", "c"]]


@pytest.mark.parametrize("seed", range(20))
def test_whoever_is_not_doubtful_needs_no_verdict(seed: int):
    random = Random(seed)
    names = [f"h{number}" for number in range(8)]
    counters, beaten, revoked = dict.fromkeys(names, 1), dict.fromkeys(names, 1), dict.fromkeys(names, False)
    hosts = {name: host(random.choice([H.ONLINE, H.ONLINE, H.ONLINE, *H]), name) for name in names}
    leases, beats, signs, starts = known = Silence(gap=GAP), Silence(gap=5 * GAP), Signs(gap=GAP), Starts()
    quiet = mute = dict.fromkeys(names, False)
    given = 0
    for now in range(300):
        if now % 40 == 0:
            quiet, mute = ({name: random.random() < 0.4 for name in names} for _ in range(2))
        for name in names:
            counters[name] += not quiet[name] and random.random() < 0.4
            beaten[name] += not mute[name]
            revoked[name] = revoked[name] or random.random() < 0.001
        reports = {name: Report(id=name, given_up=quiet[name], read_only=random.random() < 0.1) for name in names[::3]}
        leases.look(now, now, [Lease(name, counters[name], revoked[name]) for name in names])
        if now % 5 == 0:
            beats.look(now, now, [Lease(name, beaten[name], False) for name in names[1:]])
            starts.look(now, {name: f"{now if name in names[4:6] and now > 200 else 0}" for name in names})
        signs.look(now, reports.values())
        odd = [name for name in names if hosts[name].state is not H.ONLINE]
        few = doubtful(hosts, odd, *known)
        every, found = (judge(some, weigh(some, reports, *known), SEED) for some in (hosts, few))
        assert found == every
        given += len(found)
        for verdict in random.sample(found, min(1, len(found))):
            hosts[verdict.host] = host(verdict.state, verdict.host)
    assert given > 3
