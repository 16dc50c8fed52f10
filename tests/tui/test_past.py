"""A recorded run through the same source, and a simulated cluster whose past can be sought."""

from functools import partial
from typing import Any

import pytest

from ave.cli.remote.failures import Exit, Failure
from ave.kinds import KINDS
from sim.recorder import Recorder
from sim.recording import Recording
from sim.replay import Replay
from sim.serve import scenario_of
from sim.served import Served
from sim.showing import Showing
from tests.tui.sources import run, seen_of
from tui.model import State


def _told_anew(resets: int, model: Any) -> bool:
    return bool(model.resets > resets)


def test_a_recorded_run_is_seen_like_any_other(recorded):
    async def main() -> Any:
        async with seen_of(Replay(Recording(recorded)), paused=True) as it:
            await it.until(lambda model: len(model.docs["vm"]) == 16 and model.clock and model.marks)
            model: Any = it.model
            source = it.source
            assert source.kind == "recorded"
            assert (model.clock.begin, round(model.clock.end), model.clock.past, model.clock.paused) == (
                0,
                120,
                True,
                True,
            )
            assert [mark.text for mark in model.marks] == ["host-crash host-2"]
            assert model.series["hosts.online"]
            resets = model.resets
            clock = await source.set_clock(at=119.0)
            assert (clock.now, clock.paused) == (119.0, True)
            await it.until(lambda model: model.docs["host"]["host-2"]["state"] != "online")
            assert model.resets == resets + 1
            assert any(line.what == "host-crash" for line in model.log)
            assert len((await source.explain("web-1"))["hosts"]) == 4
            with pytest.raises(Failure, match="has happened") as refused:
                await source.act("vm.shutdown", ["web-1"])
            assert refused.value.exit is Exit.CONFLICT
            await source.set_clock(at=0.0, paused=False, speed=600)
            await it.until(lambda model: model.clock.now == model.clock.end and model.clock.paused)
            assert model.docs["host"]["host-2"]["state"] != "online"

    run(main())


def test_the_log_of_another_moment_is_that_moment_s(recorded):
    async def main() -> Any:
        async with seen_of(Replay(Recording(recorded)), paused=True) as it:
            await it.until(lambda model: model.state is State.LIVE)
            await it.source.set_clock(at=60.0)
            await it.until(lambda model: any(line.what == "host-crash" for line in model.log))
            await it.source.set_clock(at=10.0)
            await it.until(lambda model: model.docs["host"]["host-2"]["state"] == "online" and model.log)
            assert not any(line.what == "host-crash" for line in it.model.log)

    run(main())


def test_another_moment_is_told_at_once_to_who_is_told_seldom(recorded):
    async def main() -> Any:
        async with seen_of(Replay(Recording(recorded)), paused=True, interval=60.0) as it:
            await it.until(lambda model: len(model.docs["vm"]) == 16)
            for at in (60.0, 10.0, 60.0):  # who has just been told waits a minute for what goes on
                resets = it.model.resets
                await it.source.set_clock(at=at)
                await it.until(partial(_told_anew, resets))
            assert it.model.docs["host"]["host-2"]["state"] != "online"

    run(main())


def test_a_world_goes_back_and_comes_to_the_present_again(tmp_path):
    path = tmp_path / "events.jsonl.gz"

    async def main() -> Any:
        served: Any = None
        recorder = Recorder(path, KINDS, lambda: served.now if served else 0.0)

        def recorded():
            recorder.flush()
            return Recording(path)

        with recorder:
            served = Served(scenario_of("sim:4-host"), recorder=recorder, host="host-1")
            with served:
                async with seen_of(Showing(served, recorded), speed="max") as it:
                    await it.until(lambda model: model.docs["host"] and model.clock and model.clock.now > 30)
                    assert {"clock", "clock.seek", "faults"} == it.source.extensions
                    await it.source.begin_fault({"fault": "host-crash", "target": "host-2"})
                    at = served.now
                    await it.until(lambda model: model.docs["host"]["host-2"]["state"] != "online")
                    clock = await it.source.set_clock(at=at - 5.0)
                    assert (clock.past, clock.paused) == (True, True)
                    await it.until(lambda model: model.docs["host"]["host-2"]["state"] == "online")
                    with pytest.raises(Failure, match="has happened"):
                        await it.source.begin_fault({"fault": "host-crash", "target": "host-3"})
                    with pytest.raises(Failure, match="has happened"):
                        await it.source.act("vm.shutdown", ["web-1"])
                    end = served.now
                    await it.source.set_clock(paused=False, speed="max")
                    await it.until(lambda model: not model.clock.past and served.now > end)
                    await it.until(lambda model: model.docs["host"]["host-2"]["state"] != "online")
                    await it.source.act("vm.shutdown", ["web-1"])
                    await it.until(lambda model: model.docs["vm"]["web-1"]["state"] == "stopped")
                    await it.source.set_clock(at="live", paused=True)
                    assert not served.broken

    run(main())
