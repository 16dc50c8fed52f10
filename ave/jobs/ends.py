"""Recording how tasks ended: those of one plan that end while a commit for it is under way go together into the next.

So a Job of a thousand tasks costs this worker a commit per batch, not one per task, and its siblings do not run into each
other. If nobody else is at this plan, a batch and its folding are one commit; else the tasks are recorded alone, and folded
with whatever else has ended by then.
"""

from __future__ import annotations

from ave.errors import Refused, Stale, Unavailable, UnknownOutcome
from ave.jobs.crew import Crew
from ave.jobs.folding import FINISHED, ended_group, fold, folding
from ave.model.work import Work, WorkState
from ave.ports.store import Conflict, Replace, Write
from ave.ports.together import Ports
from ave.runtime import Signal

BATCH_MAX = 100  # as many as one worker executes


class _End:
    """One task's end on its way into the store."""

    def __init__(self, ended: Work, also: tuple[Write, ...], over: Signal) -> None:
        self.ended, self.also, self.over = ended, also, over
        self.error: BaseException | None = None


class Ends:
    def __init__(self, ports: Ports, crew: Crew) -> None:
        self._ports, self._crew = ports, crew
        self._waiting: dict[str, list[_End]] = {}  # carrier -> those that came while a commit for it was under way
        self._carriers: dict[str, Work] = {}  # what our last commit made of it
        self._shared: dict[str, None] = {}  # carriers at which somebody else is at work too

    async def record(self, ended: Work, *also: Write) -> None:
        """Returns when the end is in the store. Raises what the store raises; a Conflict names this task, or it is
        worth trying again."""
        end = _End(ended, also, self._ports.runtime.signal())
        carrier = ended.parent
        if carrier in self._waiting:
            self._waiting[carrier].append(end)
            await end.over.wait()
        else:
            self._waiting[carrier] = [end]
            try:
                while waiting := self._waiting[carrier]:
                    batch, waiting[:] = waiting[:BATCH_MAX], waiting[BATCH_MAX:]
                    await self._batch(carrier, batch)
            finally:
                for left in self._waiting.pop(carrier):
                    left.error = Stale("its recorder was stopped")
                    left.over.set()
                self._carriers.pop(carrier, None)
                self._shared.pop(carrier, None)
        if end.error is not None:
            raise end.error

    async def _batch(self, carrier: str, batch: list[_End]) -> None:
        error: BaseException | None = None
        try:
            await self._commit(carrier, batch)
        except Conflict as conflict:
            lost = [end for end in batch if end.ended.id == conflict.id]
            if lost and len(batch) > 1:  # one that is no longer ours does not hold up the others
                self._waiting[carrier][:0] = [end for end in batch if end is not lost[0]]
                batch = lost
            error = conflict
        except Refused as refusal:
            if len(batch) > 1:  # neither does one that is too large to be stored
                for end in batch:
                    await self._batch(carrier, [end])
                return
            error = refusal
        except Exception as trouble:
            error = trouble
        for end in batch:
            end.error = error
            end.over.set()

    async def _commit(self, carrier_id: str, batch: list[_End]) -> None:
        store = self._ports.store
        ends: list[Write] = []
        for end in batch:
            ends += [Replace(end.ended, FINISHED), *end.also]
        carrier = (
            None if carrier_id in self._shared else self._carriers.get(carrier_id) or await store.get(Work, carrier_id)
        )
        if carrier is not None and carrier.plan is not None and carrier.state is WorkState.WAITING:
            try:
                writes = await folding(carrier, carrier.plan, [end.ended for end in batch], self._crew)
                docs = await store.commit(*ends, *writes)
            except Conflict as conflict:
                self._carriers.pop(carrier_id, None)
                if any(conflict.id == end.ended.id for end in batch):
                    raise
                self._shared[carrier_id] = None
            except (Unavailable, UnknownOutcome):
                raise
            except Exception as trouble:  # no reason not to record the ends; ``fold`` knows what to do with the plan
                self._ports.runtime.log(
                    "plan is not folded", carrier=carrier_id, why=f"{type(trouble).__name__}: {trouble}"
                )
            else:
                self._carriers[carrier_id] = docs[len(ends)]
                await self._fold(ended_group(writes))
                return
        await store.commit(*ends)
        await self._fold(carrier_id)

    async def _fold(self, carrier_id: str) -> None:
        try:
            if carrier_id:
                await fold(self._ports, self._crew, carrier_id)
        except (Unavailable, UnknownOutcome):
            pass  # the ends are recorded: whoever looks after this plan folds them
