"""``ave explain``: why a VM is where it is, or would go where it would go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ave.cli.screen import complain
from ave.errors import Refused
from ave.model.vm import VMState
from ave.placement.explanation import Explanation
from ave.placement.purpose import Purpose


def placement(
    vm: str,
    /,
    *,
    snapshot: Path | None = None,
    run: Path | None = None,
    at: float | None = None,
    purpose: Purpose | None = None,
    all: Annotated[bool, Parameter(name="--all", negative="")] = False,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
    context: str = "",
) -> int:
    """Why this host, and why none of the others? Exit 0 it has a host, 1 it fits nowhere, 2 bad input.

    A live cluster is asked, unless it is one on paper or a recorded run.

    Parameters
    ----------
    vm
        Its name.
    snapshot
        A cluster on paper which has this VM: where would it go now?
    run
        The directory of a recorded run: why was it placed where it was?
    at
        With --run: the last decision up to so many seconds, instead of the last of all.
    purpose
        Not with --run: start, live or rescue, instead of what its state suggests.
    all
        Show every host.
    output
        What to print.
    context
        Which live cluster, instead of AVE_CONTEXT or the current one: ave context ls.
    """
    try:
        if snapshot is None and run is None:
            if at is not None:
                raise Refused("--at is for --run: a cluster that lives has no other moment")
            return _live(context, vm, purpose, all, output)
        if snapshot is not None and run is not None:
            raise Refused("which cluster? --snapshot FILE or --run RUN_DIR, not both")
        if run is not None:
            if purpose is not None:
                raise Refused("--purpose is for --snapshot: a run has recorded what was asked")
            explained, note = _recorded(run, vm, at)
        else:
            if at is not None:
                raise Refused("--at is for --run: a snapshot is of one moment")
            assert snapshot is not None
            explained, note = _on_paper(snapshot, vm, purpose), ""
    except Refused as problem:
        return complain(problem)
    if output == "json":
        import msgspec

        from ave.cli.placement_table import plain

        print(msgspec.json.format(msgspec.json.encode(plain(explained)), indent=1).decode())
        if note:
            print(note, file=sys.stderr)
    else:
        from ave.cli.listing import console
        from ave.cli.placement_table import show

        if note:
            console().print(note, markup=False, style="dim")
        show(explained, every_host=all)
    return 0 if explained.choice else 1


def _live(context: str, id: str, purpose: Purpose | None, every_host: bool, output: str) -> int:
    from ave.api.nouns import NOUNS
    from ave.cli.remote.failures import Exit
    from ave.cli.remote.output import Look
    from ave.cli.remote.parameters import Where, conversation, ending
    from ave.cli.remote.reading import explain

    def work() -> Exit:
        body = {} if purpose is None else {"purpose": purpose.value}
        with conversation(Where(context)) as client:
            return explain(client, NOUNS["vm"], id, body, Look(output), every_host=every_host)

    return ending(work)


def _on_paper(file: Path, id: str, purpose: Purpose | None) -> Explanation:
    from ave.cli import snapshot_file
    from ave.placement.explain import explain
    from drivers.plugins import plugged

    cluster = snapshot_file.load(file)
    vm = cluster.vm(id)
    if purpose is None:
        usual = {VMState.RUNNING: Purpose.LIVE, VMState.UNKNOWN: Purpose.RESCUE}
        purpose = usual.get(vm.state, Purpose.START)
    return explain(cluster.view(), vm, purpose, plugged=plugged())


def _recorded(run: Path, id: str, at: float | None) -> tuple[Explanation, str]:
    """The decision as it was made, with what it was; should it come out otherwise today, that is said too.

    Without the rules of other packages: a simulated cluster has none.
    """
    from ave.placement.explain import explain_batch
    from sim import hindsight

    recording = hindsight.recording_of(run)
    decision = hindsight.last_decision(recording, id, at)
    past = hindsight.before(recording, decision)
    asked = past.asked
    vms = [vm for vm in past.cluster.vms if vm.id in asked.vms]
    batch, found = explain_batch(
        past.cluster.view(),
        vms,
        asked.purpose,
        [id],
        by_priority=asked.by_priority,
        only=asked.host,
        leave=asked.leave,
    )
    explained = found[id]
    with_others = f", with {len(vms) - 1:,} others ({batch.plan})" if len(vms) > 1 else ""
    note = f"decided at {decision.t:.3f} s, to {decision.purpose}{with_others}"
    if recording.damage:
        print(recording.damage, file=sys.stderr)
    now = explained.choice.host if explained.choice else ""
    if now != decision.host:
        then = decision.host or "no host"
        note += f"; the recording has {then}: the scheduler saw the cluster a little earlier than it was recorded"
    return explained, note
