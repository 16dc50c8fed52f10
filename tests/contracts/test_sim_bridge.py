"""The bridge into a simulated world and its stepper, without HTTP: what becomes of a call, and of the world by it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from time import thread_time
from typing import Any

import pytest

from ave.api.desk import Manner
from ave.api.problems import NotFound, Standing, Taken
from ave.api.questions import Select, Show
from ave.errors import Unavailable, UnknownOutcome
from ave.model.access import ROOT
from ave.operations import CreateVMs, NewVM
from drivers.rest.background import in_background
from drivers.rest.bridge import Bridge
from drivers.rest.simulated import SetClock
from drivers.rest.stepper import Stepper
from drivers.sim.runtime import SimRuntime
from sim.serve import scenario_of
from sim.served import Served

Test = Callable[[Served, Stepper, Bridge], Awaitable[None]]


def play(test: Test, *, speed: float = 1000.0, paused: bool = False, host: str = "") -> None:
    async def main() -> None:
        with Served(scenario_of("sim:3-host"), host=host) as served:
            stepper = Stepper(served, speed=speed, paused=paused)
            running = asyncio.ensure_future(stepper.run())
            try:
                async with asyncio.timeout(30.0):
                    await test(served, stepper, Bridge(stepper, served))
            finally:
                running.cancel()

    asyncio.run(main())


def asking(served: Served, name: str, request: Any, manner: Manner | None = None) -> Callable[[], Any]:
    return lambda: served.ask(ROOT, name, request, manner or Manner())


CREATE = CreateVMs(vms=(NewVM(id="new-1", vcpus=1, memory_mib=512, networks=("vm-net",), disks_gib=(1,)),))


def test_what_a_call_raises_is_its_callers_and_the_world_goes_on() -> None:
    async def test(served: Served, stepper: Stepper, bridge: Bridge) -> None:
        with pytest.raises(NotFound):
            await bridge.call(asking(served, "vm.show", Show(id="nobody")))

        async def bug() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await bridge.call(bug)
        assert (await bridge.call(asking(served, "vm.list", Select()))).value.total == 12
        assert not served.broken

    play(test)


def test_who_is_asked_when_his_host_dies_leaves_the_outcome_unknown() -> None:
    async def test(served: Served, stepper: Stepper, bridge: Bridge) -> None:
        await bridge.call(asking(served, "vm.list", Select()))
        call = asyncio.ensure_future(bridge.call(asking(served, "vm.create", CREATE, Manner(wait=60.0))))
        await asyncio.sleep(0.05)
        assert not call.done()
        served.begin_fault({"fault": "host-crash", "target": "host-1", "for": "60s"})
        with pytest.raises(UnknownOutcome, match="host-1 was lost while it answered"):
            await call
        with pytest.raises(Unavailable, match="the API of host-1 does not answer"):
            await bridge.call(asking(served, "vm.list", Select()))

    play(test, speed=1.0, host="host-1")


def test_a_call_that_is_cancelled_is_cancelled_in_there() -> None:
    async def test(served: Served, stepper: Stepper, bridge: Bridge) -> None:
        ended: list[str] = []

        async def wait() -> None:
            try:
                await served.runtime().sleep(1e6)
            finally:
                ended.append("cancelled")

        call = asyncio.ensure_future(bridge.call(wait))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert ended == ["cancelled"]

    play(test)


def test_each_call_may_push_a_paused_world_by_a_second_and_no_more() -> None:
    async def test(served: Served, stepper: Stepper, bridge: Bridge) -> None:
        now = served.now

        async def sleep(seconds: float) -> float:
            await served.runtime().sleep(seconds)
            return served.now

        assert await bridge.call(lambda: sleep(0.9)) == pytest.approx(now + 0.9)
        both = await asyncio.gather(
            bridge.call(lambda: sleep(0.5)), bridge.call(lambda: sleep(1.5)), return_exceptions=True
        )
        assert both[0] == pytest.approx(now + 1.4)
        assert isinstance(both[1], Standing)
        assert served.now == pytest.approx(now + 1.9)
        await asyncio.sleep(0.1)
        assert served.now == pytest.approx(now + 1.9)

    play(test, paused=True)


def test_a_world_that_breaks_tells_everybody_and_costs_nothing_any_more() -> None:
    async def test(served: Served, stepper: Stepper, bridge: Bridge) -> None:
        async def fail() -> None:
            await SimRuntime(served.story.cluster.world, "breaker").sleep(5.0)
            raise ValueError("on purpose")

        async def wait() -> None:
            await served.runtime().sleep(1e6)

        SimRuntime(served.story.cluster.world, "breaker").spawn(fail(), name="fail")
        with pytest.raises(Unavailable, match="on purpose"):
            await bridge.call(wait)
        clock = stepper.clock()
        assert "on purpose" in clock.broken
        assert clock.paused
        for wish in (SetClock(paused=False), SetClock(step=1.0)):
            with pytest.raises(Taken, match="on purpose"):
                await stepper.set(wish)
        spent = thread_time()
        await asyncio.sleep(0.3)
        assert thread_time() - spent < 0.1
        assert served.view.docs("vm")  # what there was can still be read

    play(test)


def test_while_an_eager_world_is_waited_for_it_does_not_keep_to_its_speed() -> None:
    async def test() -> None:
        with Served(scenario_of("sim:3-host")) as served:
            stepper = Stepper(served, speed=1.0, eager=True)
            running = asyncio.ensure_future(stepper.run())
            bridge = Bridge(stepper, served)

            async def wait() -> None:
                await served.runtime().sleep(100.0)

            async with asyncio.timeout(20.0):
                await bridge.call(wait)
            after = served.now
            assert after == pytest.approx(100.0, abs=1.0)
            await asyncio.sleep(0.3)
            assert served.now - after < 5.0
            running.cancel()

    asyncio.run(test())


def test_what_cannot_begin_in_the_background_is_told_to_who_wanted_it() -> None:
    async def main(begun: Callable[[str], None]) -> None:
        raise Unavailable("not today")

    def enter() -> Iterator[None]:
        with in_background(main):
            yield

    with pytest.raises(Unavailable, match="not today"):
        next(enter())
