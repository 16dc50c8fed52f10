"""Who belongs to a mass failure, and what speaks against a host beside the silence of its lease."""

import pytest

from ave.ha.brake import WINDOW_SECONDS, Brake, many
from ave.ha.timing import PROFILES, SUSPECT_SECONDS
from ave.ha.verdict import Silence
from ave.model.host import Host, HostState
from ave.ports.block import Lease

SEED = PROFILES["seed"]


def hosts(count: int, state: HostState = HostState.ONLINE) -> dict[str, Host]:
    return {f"h{n}": Host(id=f"h{n}", state=state, cpus=1, memory_mib=1) for n in range(1, count + 1)}


class Looks:
    """A watcher that looks once a second at counters that move, but those of the hosts that are silent."""

    def __init__(self, names: list[str]) -> None:
        self.silence = Silence(gap=3.0)
        self.now = 0.0
        self.silent: dict[str, int] = {}
        self.revoked: dict[str, None] = {}
        self._names = names
        self.advance(2)

    def fall(self, *names: str) -> None:
        self.silent |= {name: int(self.now) for name in names}

    def heard(self, *names: str) -> None:
        for name in names:
            self.silent.pop(name, None)

    def advance(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            seen = [Lease(name, self.silent.get(name, int(self.now)), name in self.revoked) for name in self._names]
            self.silence.look(self.now, self.now, seen)


@pytest.mark.parametrize(
    ("since", "limit", "found"),
    [
        ({"a": 0.0, "b": 1.0}, 2, []),
        ({"a": 0.0, "b": 1.0, "c": 2.0}, 2, ["a", "b", "c"]),
        ({"c": 0.0, "b": 60.0, "a": 60.0}, 2, ["c", "a", "b"]),
        ({"a": 0.0, "b": 1.0, "c": 60.5}, 2, []),
        ({"a": 0.0, "b": 61.0, "c": 62.0, "d": 63.0, "e": 200.0}, 2, ["b", "c", "d"]),
        ({"a": 0.0, "b": 40.0, "c": 50.0, "d": 90.0, "e": 95.0}, 2, ["a", "b", "c", "d", "e"]),
        (dict.fromkeys("abc", 0.0), 3.0, []),
    ],
)
def test_many_are_those_of_which_more_than_the_limit_fell_within_one_window(since, limit, found):
    assert WINDOW_SECONDS == 60.0
    assert list(many(since, limit)) == found


class Watcher(Looks):
    """It looks at leases, and at beats in the store, and brakes."""

    def __init__(self, all: dict[str, Host]) -> None:
        self.all = all
        self.beats = Looks(list(all))
        self.brake = Brake("h1", SEED)
        super().__init__(list(all))

    def advance(self, seconds: int) -> None:
        for _ in range(seconds):
            super().advance(1)
            self.beats.advance(1)
            self.brake.look(self.now, self.all, self.silence, self.beats.silence)

    def held(self) -> list[str]:
        return [host for host in self.all if self.brake.holds(host)]


@pytest.mark.parametrize(
    ("count", "falling", "mass"), [(3, 2, False), (5, 2, False), (5, 3, True), (10, 3, False), (10, 4, True)]
)
def test_a_mass_failure_is_more_than_two_hosts_and_more_than_three_in_ten(count, falling, mass):
    watcher = Watcher(hosts(count))
    down = list(watcher.all)[-falling:]
    watcher.fall(*down)
    watcher.advance(int(SUSPECT_SECONDS) - 1)
    assert watcher.held() == []
    watcher.advance(2)
    assert watcher.held() == (down if mass else [])


def test_hosts_that_were_lost_long_ago_are_no_part_of_it_and_of_no_share():
    long_gone = {f"x{n}": Host(id=f"x{n}", state=HostState.RECOVERED, cpus=1, memory_mib=1) for n in range(10)}
    watcher = Watcher(hosts(6) | long_gone)
    watcher.revoked |= dict.fromkeys(long_gone)
    watcher.fall("h2", "h3", "h4")
    watcher.advance(20)
    assert watcher.held() == ["h2", "h3", "h4"]


def test_who_was_judged_meanwhile_still_counts_and_who_is_heard_again_does_not():
    watcher = Watcher(hosts(10))
    watcher.fall("h2", "h3", "h4", "h5")
    watcher.advance(20)
    for name in ("h2", "h3"):  # these two are proved dead
        watcher.revoked[name] = None
        watcher.all[name] = Host(id=name, state=HostState.FENCED, cpus=1, memory_mib=1)
    watcher.fall("h6")
    watcher.advance(20)
    assert watcher.held() == ["h2", "h3", "h4", "h5", "h6"]
    watcher.heard("h6")
    watcher.advance(1)
    assert "h6" not in watcher.held()


def test_the_last_to_be_heard_again_is_held_as_long_as_the_first():
    watcher = Watcher(hosts(10))
    watcher.fall("h2", "h3", "h4", "h5")
    watcher.advance(100)
    watcher.heard("h2", "h3", "h4")
    watcher.advance(5)
    assert watcher.held() == ["h5"]


def test_who_is_silent_in_the_store_too_is_held_no_longer():
    watcher = Watcher(hosts(10))
    watcher.fall("h2", "h3", "h4", "h5")
    watcher.beats.fall("h2")
    watcher.advance(int(SEED.give_up) - 1)
    assert watcher.held() == ["h2", "h3", "h4", "h5"]
    watcher.advance(5)
    assert watcher.held() == ["h3", "h4", "h5"]


@pytest.mark.parametrize("deaf", ["storage", "store"])
def test_a_witness_that_hears_nobody_but_the_watcher_itself_is_none_and_begins_to_be_one_when_it_does(deaf):
    watcher = Watcher(hosts(8))
    down = list(watcher.all)[1:]
    watcher.fall(*(down if deaf == "storage" else down[:4]))
    watcher.beats.fall(*down)
    watcher.advance(300)
    assert watcher.held() == (down if deaf == "storage" else down[:4])

    watcher.heard("h8")
    watcher.beats.heard("h8")
    watcher.advance(int(SEED.give_up) - 5)
    assert "h2" in watcher.held(), "h2 may be about to be heard again, too"
    watcher.advance(10)
    assert "h2" not in watcher.held()
