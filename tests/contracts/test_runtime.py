"""Both runtimes keep the same promises. Times are short because asyncio really waits."""

import gc
import warnings

import pytest

from ave.errors import Refused
from ave.runtime import Cancelled
from ave.sync import Inbox, Slots, gather, together

TICK = 0.003
LONG = 100.0


async def answer(rt, value, after=TICK):
    await rt.sleep(after)
    return value


async def fail(rt, error, after=TICK):
    await rt.sleep(after)
    raise error


async def work(rt, story, name="work"):
    """Works until it is stopped, and says what became of it."""
    story.append(f"{name} began")
    try:
        await rt.sleep(LONG)
    except BaseException as error:
        story.append(f"{name} {type(error).__name__}")
        raise


async def stubborn(rt, story, *seconds):
    """Answers a cancellation by going on with the next sleep."""
    for each in seconds:
        try:
            await rt.sleep(each)
            story.append("slept")
        except Cancelled:
            story.append("cancelled")
    return "ended well"


@pytest.mark.parametrize("joiner_left", [False, True])
def test_an_error_that_nobody_joins_for_stops_the_process_and_is_raised(run, joiner_left):
    async def main(rt):
        task = rt.spawn(fail(rt, OSError("disk"), after=2 * TICK), name="fail")
        if joiner_left:
            with pytest.raises(TimeoutError):
                async with rt.timeout(TICK):
                    await task.join()
        await rt.sleep(LONG)

    with pytest.raises(OSError, match="disk"):
        run(main)


def test_an_error_of_main_is_raised_and_a_main_that_does_not_end_is_one(run):
    with pytest.raises(OSError, match="disk"):
        run(lambda rt: fail(rt, OSError("disk")))
    with pytest.raises(TimeoutError):
        run(lambda rt: work(rt, []), limit=0.02)


async def test_a_secret_has_the_length_asked_for_and_is_new_each_time(rt):
    assert [len(rt.secret(size)) for size in (0, 1, 33)] == [0, 1, 33]
    assert rt.secret(16) != rt.secret(16)


async def test_sleep_lets_that_much_time_pass(rt):
    before = rt.now()
    await rt.sleep(0.02)
    assert 0.019 < rt.now() - before < 1


async def test_sleepers_wake_when_each_is_due(rt):
    woken = []

    async def sleeper(seconds):
        woken.append(await answer(rt, seconds, after=seconds))

    await gather(rt, *[sleeper(n / 100) for n in (3, 1, -1, 0, 2)], name="sleeper")
    assert woken == [n / 100 for n in (-1, 0, 1, 2, 3)]


@pytest.mark.parametrize("outcome", ["good", OSError("disk")])
async def test_every_joiner_gets_the_result_or_the_error_and_nothing_changes_it_after_the_end(rt, outcome):
    task = rt.spawn(answer(rt, outcome) if outcome == "good" else fail(rt, outcome), name="task")
    told = []

    async def joiner():
        try:
            told.append(await task.join())
        except OSError as error:
            told.append(error)

    assert not task.done()
    await gather(rt, joiner(), joiner(), joiner(), name="joiner")
    assert task.done()
    assert not task.cancel()
    await joiner()
    assert told == [outcome] * 4


async def test_cancelling_the_joiner_spares_the_task(rt):
    task = rt.spawn(answer(rt, 42, after=3 * TICK), name="answer")
    joiner = rt.spawn(task.join(), name="joiner")
    await rt.sleep(TICK)
    joiner.cancel()
    with pytest.raises(Cancelled):
        await joiner.join()
    assert await task.join() == 42


async def test_cancelling_the_task_tells_the_joiner_and_spares_it(rt):
    story: list[str] = []
    task = rt.spawn(work(rt, story), name="work")

    async def joiner():
        with pytest.raises(Cancelled):
            await task.join()
        return await answer(rt, "went on")

    joining = rt.spawn(joiner(), name="joiner")
    await rt.sleep(TICK)
    assert task.cancel()
    assert await joining.join() == "went on"
    assert story == ["work began", "work CancelledError"]


async def test_gather_returns_results_in_the_order_asked_not_of_ending(rt):
    assert await gather(rt, answer(rt, "slow", after=2 * TICK), answer(rt, "fast"), name="answer") == ["slow", "fast"]
    assert await gather(rt, name="nobody") == []


@pytest.mark.parametrize("gathering", [True, False])
async def test_the_first_error_cancels_the_rest_and_is_raised(rt, gathering):
    story: list[str] = []
    coros = work(rt, story), fail(rt, OSError("first")), fail(rt, OSError("late"), after=2 * TICK)
    with pytest.raises(OSError, match="first"):
        await (gather(rt, *coros, name="x") if gathering else together(rt, dict(zip("abc", coros, strict=True))))
    await rt.sleep(TICK)
    assert story == ["work began", "work CancelledError"]


async def test_cancelling_gather_cancels_all_that_it_runs(rt):
    story: list[str] = []
    task = rt.spawn(gather(rt, work(rt, story, "a"), work(rt, story, "b"), name="x"), name="gather")
    await rt.sleep(TICK)
    task.cancel()
    await rt.sleep(TICK)
    assert story == ["a began", "b began", "a CancelledError", "b CancelledError"]


async def test_gather_raises_cancelled_when_that_is_how_one_of_them_ended(rt):
    (stopped := rt.spawn(work(rt, []), name="work")).cancel()
    with pytest.raises(Cancelled):
        await gather(rt, stopped.join(), answer(rt, 1), name="x")


async def test_together_ends_when_all_services_have_ended(rt):
    before = rt.now()
    await together(rt, {"short": answer(rt, 1), "long": answer(rt, 2, after=0.02)})
    assert rt.now() - before > 0.019
    await together(rt, {})


def test_a_task_cancelled_before_its_start_never_runs_and_nobody_is_warned(run):
    async def main(rt):
        story: list[str] = []
        task = rt.spawn(work(rt, story), name="work")
        rt.spawn(work(rt, story), name="unjoined").cancel()
        task.cancel()
        with pytest.raises(Cancelled):
            await task.join()
        assert (story, task.done()) == ([], True)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(main)
        gc.collect()
    assert caught == []


async def test_cancelling_twice_at_once_is_cancelling_once_and_later_is_again(rt):
    story: list[str] = []
    task = rt.spawn(stubborn(rt, story, LONG, 0, LONG), name="stubborn")
    await rt.sleep(0)
    task.cancel()
    task.cancel()
    await rt.sleep(TICK)
    task.cancel()
    assert await task.join() == "ended well"
    assert story == ["cancelled", "slept", "cancelled"]


@pytest.mark.parametrize("awaits", [True, False])
async def test_a_task_that_cancels_itself_ends_as_cancelled(rt, awaits):
    story: list[str] = []

    async def of_itself():
        task.cancel()
        story.append("still running")
        if awaits:
            await work(rt, story)
        return 42

    task = rt.spawn(of_itself(), name="of-itself")
    with pytest.raises(Cancelled):
        await task.join()
    assert story == ["still running", "work began", "work CancelledError"][: 3 if awaits else 1]


async def test_a_timeout_interrupts_the_body_and_raises_the_builtin_error(rt):
    story: list[str] = []
    with pytest.raises(TimeoutError):
        async with rt.timeout(TICK):
            await work(rt, story)
    assert story == ["work began", "work CancelledError"]


async def test_a_timeout_that_does_not_fire_leaves_no_trace(rt):
    async with rt.timeout(TICK):
        pass
    with pytest.raises(KeyError):
        async with rt.timeout(TICK):
            raise KeyError
    await rt.sleep(3 * TICK)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_timeout_of_no_time_lets_pass_only_what_need_not_wait(rt, seconds):
    signal = rt.signal()
    signal.set()
    async with rt.timeout(seconds):
        await signal.wait()
    with pytest.raises(TimeoutError):
        async with rt.timeout(seconds):
            await rt.sleep(LONG)


async def test_an_inner_timeout_leaves_the_outer_one_running(rt):
    story: list[str] = []
    with pytest.raises(TimeoutError):
        async with rt.timeout(0.03):
            with pytest.raises(TimeoutError):
                async with rt.timeout(TICK):
                    await rt.sleep(LONG)
            story.append("inner")
            await work(rt, story)
    assert story == ["inner", "work began", "work CancelledError"]


@pytest.mark.parametrize(("outer", "inner"), [(TICK, LONG), (TICK, TICK), (0, 0)])
async def test_an_outer_timeout_passes_through_the_inner_one(rt, outer, inner):
    story: list[str] = []
    with pytest.raises(TimeoutError):
        async with rt.timeout(outer):
            try:
                async with rt.timeout(inner):
                    await rt.sleep(LONG)
            except BaseException as error:
                story.append(type(error).__name__)
                raise
    assert story == ["CancelledError"]
    await rt.sleep(2 * TICK)


@pytest.mark.parametrize("later", [0, 1])
async def test_a_cancellation_at_the_instant_of_a_timeout_wins(rt, later):
    async def limited():
        async with rt.timeout(0), rt.timeout(0):
            await rt.sleep(LONG)

    task = rt.spawn(limited(), name="limited")
    # The timeouts fire in the instant in which the task starts: before (0) or after (1) we cancel it.
    for _ in range(1 + later):
        await rt.sleep(0)
    assert task.cancel()
    with pytest.raises(Cancelled):
        await task.join()


async def test_a_cancellation_that_was_ignored_does_not_confuse_later_timeouts(rt):
    story: list[str] = []

    async def limited():
        await stubborn(rt, story, LONG)
        with pytest.raises(TimeoutError):
            async with rt.timeout(TICK):
                await rt.sleep(LONG)
        async with rt.timeout(0):  # it fires, and is ignored
            await stubborn(rt, story, LONG)
        await rt.sleep(TICK)
        return "ended well"

    task = rt.spawn(limited(), name="limited")
    await rt.sleep(0)
    task.cancel()
    assert await task.join() == "ended well"
    assert story == ["cancelled", "cancelled"]


async def test_an_error_of_the_interrupted_body_is_not_hidden_by_the_timeout(rt):
    with pytest.raises(OSError, match="disk"):
        async with rt.timeout(0):
            try:
                await rt.sleep(LONG)
            except Cancelled:
                raise OSError("disk") from None


async def test_a_signal_wakes_all_in_the_order_in_which_they_came(rt):
    signal, woken = rt.signal(), []

    async def waiter(name):
        await signal.wait()
        woken.append(name)

    tasks = [rt.spawn(waiter(name), name=name) for name in "cabd"]
    await rt.sleep(TICK)
    tasks[1].cancel()
    signal.set()
    signal.clear()  # too late to keep them asleep
    await rt.sleep(TICK)
    assert woken == ["c", "b", "d"]


async def test_a_signal_stays_set_until_it_is_cleared(rt):
    signal = rt.signal()
    signal.set()
    await signal.wait()
    assert signal.is_set()
    signal.clear()
    assert not signal.is_set()
    with pytest.raises(TimeoutError):
        async with rt.timeout(TICK):
            await signal.wait()


async def test_slots_are_granted_in_order_and_never_exceed_the_limit(rt):
    slots, order, inside = Slots(rt, 2), [], []

    async def user(number):
        await slots.acquire()
        with slots.returned():
            order.append(number)
            inside.append(slots.count - slots.free)
            await rt.sleep(TICK)

    await gather(rt, *[user(n) for n in range(6)], name="user")
    assert (order, max(inside), slots.free) == ([0, 1, 2, 3, 4, 5], 2, 2)


@pytest.mark.parametrize("granted", [True, False])
async def test_a_cancelled_waiter_leaves_its_slot_to_the_next(rt, granted):
    slots, order = Slots(rt, 1), []

    async def user(name):
        await slots.acquire()
        order.append(name)

    await slots.acquire()
    waiters = [rt.spawn(user(name), name=name) for name in ("leaves", "next", "last")]
    await rt.sleep(TICK)
    if granted:
        slots.release()
    waiters[0].cancel()
    rt.spawn(user("newcomer"), name="newcomer")
    await rt.sleep(TICK)
    for _ in range(2 if granted else 3):
        slots.release()
        await rt.sleep(TICK)
    assert order == ["next", "last", "newcomer"]


async def test_an_inbox_keeps_order_and_refuses_what_does_not_fit(rt):
    inbox: Inbox[str] = Inbox(rt, bound=2)
    inbox.put("a")
    inbox.put("b")
    with pytest.raises(Refused, match="2 items wait"):
        inbox.put("c")
    assert len(inbox) == 2
    assert [await inbox.get(), await inbox.get()] == ["a", "b"]


async def test_the_reader_of_an_inbox_waits_and_loses_nothing_by_leaving(rt):
    inbox: Inbox[str] = Inbox(rt, bound=2)
    with pytest.raises(TimeoutError):
        async with rt.timeout(TICK):
            await inbox.get()
    reader = rt.spawn(inbox.get(), name="reader")
    await rt.sleep(TICK)
    inbox.put("a")
    reader.cancel()
    assert await inbox.get() == "a"
