"""A recording shows every moment as it was, and as much as is left of it when it is damaged."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ave.kinds
from ave.ports.store import Commit, Kind
from ave.projection import Projection
from sim import record, recorder, recording
from sim.record import Line, State, index_path
from sim.recorder import Recorder
from sim.recording import Recording


class VM(msgspec.Struct, frozen=True):
    id: str
    version: int = 1
    story: tuple[str, ...] = ()


class Beat(msgspec.Struct, frozen=True):
    id: str


KINDS = (Kind("vm", VM), Kind("host", VM), Kind("beat", Beat, shown=False))
END = float("inf")
LOG_TAIL = 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl.gz"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh path for each example, and limits so small that a few lines make many members."""
    for name, value in {"LEAST_LINES": 4, "PIECE": 2}.items():
        monkeypatch.setattr(recorder, name, value)
    for name, value in {"BUFFER_BYTES": 100, "LOG_TAIL": LOG_TAIL}.items():
        monkeypatch.setattr(recorder, name, value)
        monkeypatch.setattr(recording, name, value)
    return (tmp_path / f"{number}.jsonl.gz" for number in count())


examples = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
more_examples = settings(examples, max_examples=300)

changes = st.tuples(st.sampled_from(["vm", "host", "beat"]), st.sampled_from("abcdef"), st.integers(0, 3))
steps = st.one_of(
    st.tuples(st.just("commit"), st.lists(changes, max_size=3)),
    st.tuples(st.just("log"), st.dictionaries(st.sampled_from(["vm", "why", "who"]), st.text(max_size=5), max_size=2)),
    st.tuples(st.just("mark"), st.text(max_size=5)),
    st.tuples(st.just("sample"), st.dictionaries(st.sampled_from(["vms", "jobs"]), st.integers(0, 9), max_size=2)),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 3.0])),
)
scripts = st.lists(steps, min_size=10, max_size=80)


class Run:
    """A small world that is recorded: it does what the script says."""

    def __init__(self, path: Path, script: Sequence[tuple[str, Any]] = ()) -> None:
        self.path, self.now, self.revision = path, 0.0, 0
        self.projection = Projection(KINDS)
        self.recorder = Recorder(path, KINDS, lambda: self.now)
        for what, value in script:
            getattr(self, what)(value)

    def commit(self, changes: list[tuple[str, str, int]]) -> None:
        self.revision += 1
        made = tuple((kind, id, VM(id, self.revision, ("x" * size,)) if size else None) for kind, id, size in changes)
        commit = Commit(self.revision, self.now - 1000.0, made)  # the store's time is another
        self.recorder.apply(commit)
        self.projection.apply(commit)

    def log(self, fields: dict[str, Any]) -> None:
        self.recorder.log("host-1", "said", fields)

    def mark(self, text: str) -> None:
        self.recorder.mark(self.now, text)

    def sample(self, values: dict[str, float]) -> None:
        self.recorder.sample(self.now, values)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def close(self, *, partial: bool = False) -> Path:
        self.recorder.close(partial=partial)
        return self.path


def builtin(thing: Any) -> Any:
    return json.loads(msgspec.json.encode(thing))


def happened(packed: bytes) -> list[Any]:
    """Every line that tells of a change or a word: keyframes, marks and samples aside."""
    lines = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    return [line for line in lines if isinstance(line, list) and line[2] not in ("mark", "sample")]


def replayed(lines: list[Any], t: float) -> tuple[dict[str, list[Any]], list[Any]]:
    """What the plainest reader shows: everything from the beginning, one after the other."""
    docs: dict[str, dict[str, Any]] = {}
    log = []
    for line in lines:
        _, when, kind, doc = line
        if when > t:
            break
        if kind == "log":
            log.append(line)
        else:
            docs.setdefault(kind, {}).pop(doc["id"], None)
            if doc != {"id": doc["id"], "gone": True}:
                docs[kind][doc["id"]] = doc
    return {kind: list(of_kind.items()) for kind, of_kind in docs.items() if of_kind}, log[-LOG_TAIL:]


def shown(state: State) -> tuple[dict[str, list[Any]], list[Any]]:
    return {kind: list(docs.items()) for kind, docs in state.docs.items() if docs}, builtin(state.log)


def moments(lines: list[Any]) -> list[float]:
    times = sorted({line[1] for line in lines})
    return [0.0, *times, *[t + 0.25 for t in times]]


@given(scripts)
@examples
def test_every_moment_is_what_replaying_all_lines_up_to_it_gives(paths, script):
    path = Run(next(paths), script).close()
    read, lines = Recording(path), happened(path.read_bytes())
    for t in moments(lines):
        assert shown(read.seek(t)) == replayed(lines, t)
    assert builtin(list(read.lines())) == lines
    assert read.damage is None


@given(scripts)
@examples
def test_the_last_moment_is_what_a_projection_of_the_same_commits_shows(paths, script):
    run = Run(next(paths), script)
    state = Recording(run.close()).seek(END)
    assert state.docs == builtin(run.projection.docs)
    assert list(state.docs["vm"]) == list(run.projection.docs["vm"])


@given(scripts, st.floats(0, 30), st.floats(0, 30))
@examples
def test_the_lines_between_two_moments_lead_from_one_to_the_other(paths, script, one, other):
    from_t, to_t = sorted([one, other])
    path = Run(next(paths), script).close()
    lines = happened(path.read_bytes())
    between = builtin(list(Recording(path).lines(from_t, to_t)))
    assert between == [line for line in lines if from_t < line[1] <= to_t]


@given(scripts)
@examples
def test_a_recording_that_is_played_into_a_projection_shows_the_same(paths, script):
    run = Run(next(paths), script)
    again = Projection(KINDS)
    for line in Recording(run.close()).lines():
        if line.kind != "log":
            again.apply(Commit(line.rev, line.t, ((line.kind, line.id, None if line.gone else line.doc),)))
    assert again.docs == builtin(run.projection.docs)
    assert again.revisions == run.projection.revisions


@given(scripts)
@examples
def test_the_same_run_writes_the_same_bytes(paths, script):
    first, second = Run(next(paths), script).close(), Run(next(paths), script).close()
    assert first.read_bytes() == second.read_bytes()
    assert index_path(first).read_bytes() == index_path(second).read_bytes()


@given(scripts)
@examples
def test_members_stand_by_themselves_and_together_are_one_gzip_file_without_name_or_date(paths, script):
    path = Run(next(paths), script).close()
    packed, whole = path.read_bytes(), b""
    offsets = members(path)
    for begin, end in zip(offsets, [*offsets[1:], len(packed)], strict=True):
        assert packed[begin : begin + 8] == b"\x1f\x8b\x08" + bytes(5)
        member = gzip.decompress(packed[begin:end])
        assert list(json.loads(member.split(b"\n")[0])) == ["keyframe", "rev", "t", "log"]
        whole += member
    assert whole == gzip.decompress(packed)


def members(path: Path) -> list[int]:
    return [member["offset"] for member in json.loads(index_path(path).read_bytes())["members"]]


@given(scripts, st.integers(0, 10**6), st.booleans(), st.booleans())
@more_examples
def test_wherever_the_file_is_cut_off_all_that_is_before_can_be_played(paths, script, where, between, indexed):
    path = Run(next(paths), script).close()
    packed, lines, offsets = path.read_bytes(), happened(path.read_bytes()), members(path)
    length = offsets[where % len(offsets)] if between else where % len(packed)
    whole = happened(packed[: max([offset for offset in offsets if offset <= length])])
    path.write_bytes(packed[:length])
    if not indexed:
        index_path(path).unlink()
    read = Recording(path)
    left = builtin(list(read.lines()))
    assert left == lines[: len(left)]
    assert len(left) >= len(whole)
    for t in moments(left):
        assert shown(read.seek(t)) == replayed(left, t)
    assert shown(read.seek(END)) == replayed(left, END)
    # Without the index, nothing tells that there were more members.
    assert read.damage is not None or (length in offsets[1:] and not indexed)


@given(scripts, st.integers(0, 10**6), st.integers(1, 255), st.booleans())
@more_examples
def test_whatever_byte_is_wrong_all_before_its_member_can_be_played(paths, script, where, flip, indexed):
    path = Run(next(paths), script).close()
    packed, lines, offsets = bytearray(path.read_bytes()), happened(path.read_bytes()), members(path)
    where %= len(packed)
    whole = happened(bytes(packed[: max([offset for offset in offsets if offset <= where])]))
    packed[where] ^= flip
    path.write_bytes(packed)
    if not indexed:
        index_path(path).unlink()
    read = Recording(path)
    left = builtin(list(read.lines()))
    assert left == lines[: len(left)]
    assert len(left) >= len(whole)
    if len(left) < len(lines):
        assert read.damage is not None
    assert shown(read.seek(END)) == replayed(left, END)


def test_text_that_is_no_text_ends_what_can_be_played_of_a_member_without_its_checksum(path):
    keyframe = Run(path).close().read_bytes()
    line = b'[1,1.0,"vm",{"id":"\xc2"}]\n'
    packer = zlib.compressobj(wbits=31)
    cut_short = packer.compress(zlib.decompress(keyframe, wbits=31) + line) + packer.flush(zlib.Z_SYNC_FLUSH)
    path.write_bytes(cut_short)
    index_path(path).unlink()
    read = Recording(path)
    assert list(read.lines()) == []
    assert read.damage is not None


def test_damage_says_where_it_is_and_how_far_one_can_play(paths):
    run = Run(next(paths))
    for number in range(40):
        run.wait(1.0)
        run.commit([("vm", f"vm-{number % 3}", 2)])
    path = run.close()
    packed, offset = bytearray(path.read_bytes()), members(path)[2]
    packed[offset + 40] ^= 255
    path.write_bytes(packed)
    read = Recording(path)
    assert read.damage is None  # what nobody has looked at is not known
    assert read.end == 40.0
    last = list(read.lines())[-1]
    assert read.damage is not None
    assert read.damage.startswith(f"{path.name} at byte {offset}: the member that begins here is damaged: ")
    assert last.t <= read.end < 40.0
    assert read.damage.endswith(f"it can be played up to t = {read.end:.3f}")
    assert read.seek(END).docs == read.seek(read.end).docs


@pytest.mark.parametrize(
    "content", [b"", b"vm,arrive_s\n", gzip.compress(b"vm,arrive_s\n", mtime=0), gzip.compress(b"", mtime=0)]
)
def test_of_what_is_no_recording_nothing_is_played(path, content):
    path.write_bytes(content)
    read = Recording(path)
    assert read.damage is not None
    assert list(read.lines()) == []
    assert read.seek(1.0) == State(1.0, 0, {}, [])


@given(scripts)
@examples
def test_without_its_index_a_recording_says_the_same(paths, script):
    path = Run(next(paths), script).close()
    lines = happened(path.read_bytes())
    read = Recording(path)
    index_path(path).unlink()
    again = Recording(path)
    assert (again.start, again.marks, again.series) == (read.start, read.marks, read.series)
    assert again.partial
    assert again.damage is None
    for t in moments(lines):
        assert again.seek(t) == read.seek(t)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"schema":2,"partial":false,"end":1,"size":1}'])
def test_an_index_that_cannot_be_read_is_not_missed(path, content):
    run = Run(path, [("commit", [("vm", "a", 1)])])
    index_path(run.close()).write_bytes(content)
    assert list(Recording(path).seek(END).docs["vm"]) == ["a"]


def test_the_index_of_an_earlier_run_is_not_believed(path):
    Run(path, [("commit", [("vm", "a", 1)])]).close()
    run = Run(path, [("commit", [("vm", "b", 1)])])
    assert not index_path(path).exists()
    run.close()


def test_an_interrupted_run_is_marked_as_partial(path):
    with pytest.raises(KeyboardInterrupt), Recorder(path, KINDS, lambda: 3.0) as recorder:
        recorder.apply(Commit(1, 0.0, (("vm", "a", VM("a")),)))
        raise KeyboardInterrupt
    read = Recording(path)
    assert read.partial
    assert read.damage is None
    assert read.seek(3.0).docs["vm"] == {"a": {"id": "a", "version": 1, "story": []}}


def test_a_run_that_breaks_off_while_it_is_written_can_be_played_up_to_there(path):
    odd: list[Any] = []
    run = Run(path)
    with pytest.raises(TypeError), run.recorder:
        run.recorder.apply(Commit(1, 0.0, (("vm", "odd", VM("odd", story=odd)),)))  # type: ignore[arg-type]
        odd.append(object())  # the next keyframe cannot be written
        for _ in range(1000):
            run.wait(1.0)
            run.commit([("vm", "a", 1)])
    read = Recording(path)
    assert read.seek(400.0).docs["vm"]["a"]["version"] == 400
    assert read.seek(END).docs["vm"]["a"]["version"] == len(list(read.lines())) - 1 == 499
    assert read.partial
    assert read.damage is not None


def test_a_run_that_ended_is_not_partial_and_closing_again_changes_nothing(path):
    with Recorder(path, KINDS, lambda: 3.0) as recorder:
        recorder.log("host-1", "host joins", {})
        recorder.close()
    assert not Recording(path).partial
    assert Recording(path).end == 3.0


@given(scripts)
@examples
def test_while_the_run_goes_on_its_past_can_be_played(paths, script):
    run = Run(next(paths))
    for number, (what, value) in enumerate(script):
        getattr(run, what)(value)
        if number % 7 == 5:
            run.recorder.flush()
            read = Recording(run.path)
            assert read.seek(run.now).docs == builtin(run.projection.docs)
            assert (read.end, read.partial, read.damage) == (run.now, True, None)
    unseen = Run(next(paths), script).close()
    assert gzip.decompress(run.close().read_bytes()) == gzip.decompress(unseen.read_bytes())


def test_a_keyframe_comes_when_the_lines_after_the_last_one_weigh_as_much_and_are_many(path):
    run = Run(path)
    for number in range(20_000):
        run.commit([("vm", f"vm-{number % 3000}", 1)])
    packed, offsets = run.close().read_bytes(), members(path)
    assert len(offsets) > 5
    for begin, end in pairwise(offsets):
        keyframe, *lines = gzip.decompress(packed[begin:end]).splitlines(keepends=True)
        assert len(lines) == 500 or sum(map(len, lines)) - len(lines[-1]) < len(keyframe)
        assert len(lines) >= 500
        assert sum(map(len, lines)) >= len(keyframe)


def test_a_keyframe_brings_the_last_log_lines(path):
    run = Run(path)
    for number in range(600):
        run.wait(1.0)
        run.log({"number": number})
    assert len(members(run.close())) == 2
    log = Recording(path).seek(550.0).log
    assert [line.doc["number"] for line in log] == list(range(350, 550))
    assert log[-1] == Line(0, 550.0, "log", {"who": "host-1", "event": "said", "number": 549})


def test_time_is_the_clock_of_the_run_and_not_that_of_the_store(path):
    run = Run(path, [("wait", 5.0), ("commit", [("vm", "a", 1)])])
    assert [line.t for line in Recording(run.close()).lines()] == [5.0]


def test_no_field_of_a_log_line_speaks_for_somebody_else(path):
    run = Run(path, [("log", {"who": "host-2", "event": "forged", "why": "x"})])
    (line,) = Recording(run.close()).lines()
    assert line.doc == {"who": "host-1", "event": "said", "why": "x"}


def test_kinds_that_nobody_wants_to_see_are_not_recorded(path):
    run = Run(path, [("commit", [("beat", "h", 1), ("vm", "a", 1)])])
    assert [line.kind for line in Recording(run.close()).lines()] == ["vm"]


def test_marks_and_samples_are_found_without_playing(path):
    run = Run(path, [("wait", 7.0), ("mark", "host-3 dies"), ("sample", {"vms": 4}), ("wait", 10.0)])
    run.sample({"vms": 3, "jobs": 1})
    read = Recording(run.close())
    assert [(mark.t, mark.text) for mark in read.marks] == [(7.0, "host-3 dies")]
    assert read.series["hosts.total"] == [0, 0]  # and the other points that the API has
    assert {name: read.series[name] for name in ("t", "vms", "jobs")} == {
        "t": [7.0, 17.0],
        "vms": [4, 3],
        "jobs": [None, 1],
    }
    assert list(read.lines()) == []


def test_of_many_samples_those_are_kept_that_show_the_whole_run_evenly(path, monkeypatch):
    monkeypatch.setattr(record, "MOST_SAMPLES", 8)
    run = Run(path)
    for _ in range(100):
        run.sample({"vms": run.now})
        run.wait(10.0)
    assert Recording(run.close()).series["t"] == [0.0, 160.0, 320.0, 480.0, 640.0, 800.0, 960.0]


def test_no_kind_of_the_cluster_is_called_like_a_line_of_another_sort():
    assert not {kind.name for kind in ave.kinds.KINDS} & {"log", "mark", "sample"}


def test_what_the_cluster_stores_can_be_recorded(path):
    texts = {
        "id": "x",
        "what": "w",
        "job": "j",
        "function": "start",
        "lane": "l",
        "rule": "must-zone",
        "user": "u",
        "digest": "d",
    }
    needed = texts | dict.fromkeys(["cpus", "memory_mib", "vcpus", "size_gib"], 1)
    docs = [(kind.name, "x", msgspec.convert(needed, kind.type)) for kind in ave.kinds.KINDS if kind.shown]
    with Recorder(path, ave.kinds.KINDS, lambda: 1.0) as recorder:
        recorder.apply(Commit(1, 0.0, tuple(docs)))
    state = Recording(path).seek(1.0)
    for kind, id, doc in docs:
        assert msgspec.convert(state.docs[kind][id], type(doc)) == doc
