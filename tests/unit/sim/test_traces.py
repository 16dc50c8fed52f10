"""Recorded workloads: what is read, what is refused and where, and how bins become seconds."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.traces import BadRow, BadTrace, Trace, Workload, expand, read

HEADER = "vm,arrive_s,batch,vcpu,mem_gib,life_lo_s,life_hi_s,censored\n"
# One batch of three over two shapes, a VM gone at once, one in a wide bin, one that outlived the recording.
GOOD = (
    HEADER
    + "0,1800000,0,8,14,300,300,0\n"
    + "1,1800000,1,1,0.75,0,0,0\n"
    + "2,1800300,2,2,3.5,3900,7200,0\n"
    + "3,1800300,2,2,3.5,900,900,0\n"
    + "4,1800300,2,1,1.75,900,900,1\n"
)
SHORT = "vm,arrive_s,batch,vcpu,mem_gib\n0,300,0,2,3.5\n1,600,1,1,1.75\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "t.csv"


def refusal(file: Path, content: str | bytes) -> list[str]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadTrace) as bad:
        read(file)
    return [line.removeprefix(f"{file}: ") for line in str(bad.value).split("\n")]


def trace_of(file: Path, content: str) -> Trace:
    file.write_text(content)
    return read(file)


def test_a_trace_is_read_column_by_column(file: Path) -> None:
    assert trace_of(file, GOOD) == Trace(
        ids=("0", "1", "2", "3", "4"),
        arrive=(1800000.0, 1800000.0, 1800300.0, 1800300.0, 1800300.0),
        batch=(0, 1, 2, 2, 2),
        vcpu=(8, 1, 2, 2, 1),
        memory_mib=(14336, 768, 3584, 3584, 1792),
        life_low=(300.0, 0.0, 3900.0, 900.0, 900.0),
        life_high=(300.0, 0.0, 7200.0, 900.0, 900.0),
        censored=(False, False, False, False, True),
    )


def test_lifetimes_may_be_missing(file: Path) -> None:
    trace = trace_of(file, SHORT)

    assert (trace.life_low, trace.life_high, trace.censored) == ((), (), ())
    assert expand(trace, seed=1).life == (None, None)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(GOOD.encode()),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.rstrip("\n").encode(),
        GOOD.replace("\n2,", "\n\n2,").encode(),
        GOOD.replace("\n2,", '\n"2",').encode(),
        "".join(f"{line},x\n" for line in GOOD.splitlines()).encode(),
        "".join(",".join(reversed(line.split(","))) + "\n" for line in GOOD.splitlines()).encode(),
    ],
    ids=["gzip", "bom", "crlf", "no last newline", "empty line", "quotes", "one more column", "other order"],
)
def test_the_same_trace_written_otherwise_is_the_same(file: Path, content: bytes) -> None:
    expected = trace_of(file, GOOD)
    file.write_bytes(content)

    assert read(file) == expected


NUMBERED = "must be a number between"


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("0,8,14", "0,nan,14", ['row 2, column vcpu: must be a whole number between 1 and 1024, not "nan"']),
        ("0,8,14", "0,0,14", ['row 2, column vcpu: must be a whole number between 1 and 1024, not "0"']),
        ("0,8,14", "0,1.5,14", ['row 2, column vcpu: must be a whole number between 1 and 1024, not "1.5"']),
        ("0,8,14", "0,8,-14", [f'row 2, column mem_gib: {NUMBERED} 0.000976562 and 65536, not "-14"']),
        ("0,8,14", "0,8,inf", [f'row 2, column mem_gib: {NUMBERED} 0.000976562 and 65536, not "inf"']),
        ("0,8,14", "0,8,lots", ['row 2, column mem_gib: "lots" is not a number']),
        ("0,8,14", "0,8,", ['row 2, column mem_gib: "" is not a number']),
        ("0,1800000,0", "0,-5,0", [f'row 2, column arrive_s: {NUMBERED} 0 and 3.1536e+09, not "-5"']),
        ("3900,7200", "7200,3900", ['row 4, column life_hi_s: "3900" is less than life_lo_s']),
        ("900,900,1", "900,900,2", ['row 6, column censored: must be a whole number between 0 and 1, not "2"']),
        ("\n2,", "\n0,", ['row 4, column vm: "0" is already in row 2']),
        ("\n2,", "\n,", ['row 4, column vm: "" is no id']),
        ("\n2,1800300,2", "\n2,1800300,", ['row 4, column batch: "" is no id']),
        ("\n2,1800300,2", "\n2,1800300", ["row 4: has 7 fields, the header 8"]),
        ("\n2,1800300,2", "\n2,1800300,2,2", ["row 4: has 9 fields, the header 8"]),
        ("\n2,", '\n"2,', ["row 4: is not CSV: unexpected end of data"]),
        (
            "0,8,14,300,300,0",
            "0,x,-1,300,y,0",
            [
                'row 2, column vcpu: "x" is not a number',
                f'row 2, column mem_gib: {NUMBERED} 0.000976562 and 65536, not "-1"',
                'row 2, column life_hi_s: "y" is not a number',
            ],
        ),
        (HEADER, HEADER.replace("mem_gib", "mem_gb"), ['row 1, column mem_gib: is missing, did you mean "mem_gb"?']),
        (HEADER, HEADER.replace("life_hi_s", "x"), ["row 1, column life_hi_s: is missing"]),
        (HEADER, HEADER.replace("life_hi_s", "vm"), ["row 1, column vm: is there twice"]),
        (HEADER, '"', ["row 1: is not CSV: unexpected end of data"]),
    ],
)
def test_a_mistake_is_named_by_row_and_column(file: Path, old: str, new: str, lines: list[str]) -> None:
    assert old in GOOD

    assert refusal(file, GOOD.replace(old, new, 1)) == lines


def test_of_many_mistakes_the_first_20_are_listed_and_all_are_counted(file: Path) -> None:
    lines = refusal(file, HEADER + "".join(f"{n},0,0,zero,1,0,0,0\n" for n in range(50)))

    assert len(lines) == 21
    assert lines[0] == 'row 2, column vcpu: "zero" is not a number'
    assert lines[-1] == "and 30 more"


def test_bad_rows_are_skipped_on_request_and_counted(file: Path) -> None:
    broken = GOOD.replace("\n1,", "\n0,").replace("\n2,1800300,2,2", "\n2,1800300,2,x")
    file.write_text(broken + "".join(f"bad{n}\n" for n in range(30)))
    trace = read(file, skip_bad_rows=True)

    assert trace.ids == ("0", "3", "4")
    assert trace.batch == (0, 1, 1)
    assert trace.skipped == 32
    assert trace.bad[:3] == (
        BadRow(3, "vm", '"0" is already in row 2'),
        BadRow(4, "vcpu", '"x" is not a number'),
        BadRow(7, "", "has 1 fields, the header 8"),
    )
    assert len(trace.bad) == 20


def test_a_row_after_a_skipped_one_of_the_same_id_is_good(file: Path) -> None:
    file.write_text(SHORT.replace("0,300,0,2", "0,300,0,x") + "0,900,2,1,1.75\n")

    assert read(file, skip_bad_rows=True).ids == ("1", "0")


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", ["row 1: there are no VMs"]),
        (HEADER.encode(), ["row 2: there are no VMs"]),
        (b"\n", [f"row 1, column {name}: is missing" for name in ("vm", "arrive_s", "batch", "vcpu", "mem_gib")]),
        (b"x" * 70_000, ["row 1: cannot be read from here on: a row of more than 65536 characters"]),
        (gzip.compress(GOOD.encode())[:-20], None),
        (b"\x1f\x8bnonsense", None),
        (b"vm\xff", None),
    ],
    ids=["empty", "header only", "empty header", "one long row", "cut gzip", "bad gzip", "not utf-8"],
)
def test_what_is_no_trace_is_refused(file: Path, content: bytes, lines: list[str] | None) -> None:
    found = refusal(file, content)

    assert found == lines if lines else found[0].startswith("row 1: cannot be read from here on: ")


def test_a_file_that_unpacks_without_end_is_refused_early(file: Path) -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))

    assert refusal(file, bomb) == ["row 1: cannot be read from here on: a row of more than 65536 characters"]


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(BadTrace, match=r"cannot be read from here on: .*No such file"):
        read(file)


def test_only_bad_rows_are_no_trace(file: Path) -> None:
    file.write_text(HEADER + "x\n")

    with pytest.raises(BadTrace, match="there are no VMs"):
        read(file, skip_bad_rows=True)


def test_progress_counts_bytes_up_to_the_whole_file(file: Path) -> None:
    file.write_bytes(gzip.compress((HEADER + "".join(f"{n},0,{n},1,1,0,0,0\n" for n in range(100_000))).encode()))
    told: list[tuple[int, int]] = []
    read(file, progress=lambda done, total: told.append((done, total)))

    size = file.stat().st_size
    assert len(told) > 2
    assert told == sorted(told)
    assert all(total == size for _, total in told)
    assert told[-1] == (size, size)


def test_mistakes_far_into_a_file_have_their_row(file: Path) -> None:
    rows = [f"{n},0,{n},1,1,0,0,0" for n in range(150_000)]
    rows[120_000] = rows[120_000].replace(",1,1,", ",1,-,")
    rows[140_000] = rows[7]

    assert refusal(file, HEADER + "\n".join(rows)) == [
        'row 120002, column mem_gib: "-" is not a number',
        'row 140002, column vm: "7" is already in row 9',
    ]


def test_vms_of_a_batch_arrive_at_one_moment_of_their_bin(file: Path) -> None:
    workload = expand(trace_of(file, GOOD), seed=3, name="old")
    rows = {row[0]: row for row in workload.rows()}

    assert len(workload) == 5
    assert sorted(rows) == ["old-0", "old-1", "old-2", "old-3", "old-4"]
    assert 0.0 <= rows["old-0"][1] < 300.0
    assert 0.0 <= rows["old-1"][1] < 300.0
    assert rows["old-0"][1] != rows["old-1"][1]
    assert 300.0 <= rows["old-2"][1] < 600.0
    assert rows["old-2"][1] == rows["old-3"][1] == rows["old-4"][1]
    assert list(workload.arrive) == sorted(workload.arrive)


@given(st.integers(0, 2**32))
def test_a_life_lies_in_its_bin_whatever_the_seed(seed: int) -> None:
    trace = Trace(
        ids=("instant", "point", "short", "wide", "alive"),
        arrive=(0.0,) * 5,
        batch=(0,) * 5,
        vcpu=(1,) * 5,
        memory_mib=(1024,) * 5,
        life_low=(0.0, 900.0, 100.0, 3900.0, 900.0),
        life_high=(0.0, 900.0, 100.0, 7200.0, 900.0),
        censored=(False, False, False, False, True),
    )
    instant, point, short, wide, alive = expand(trace, seed=seed).life

    assert instant is not None
    assert point is not None
    assert short is not None
    assert wide is not None
    assert 0.0 < instant <= 300.0
    assert 600.0 < point <= 900.0
    assert 0.0 < short <= 100.0
    assert 3900.0 < wide <= 7200.0
    assert alive is None


def many(file: Path) -> Trace:
    return trace_of(file, HEADER + "".join(f"{n},{n // 40 * 300},{n // 4},1,1.75,300,300,0\n" for n in range(8000)))


def test_the_same_seed_and_name_give_the_same_seconds(file: Path) -> None:
    trace = many(file)

    assert expand(trace, seed=1) == expand(trace, seed=1)
    assert expand(trace, seed=1).arrive != expand(trace, seed=2).arrive
    assert expand(trace, seed=1, name="a").life != expand(trace, seed=1, name="b").life


def test_a_scale_keeps_whole_batches_unchanged(file: Path) -> None:
    trace = many(file)
    whole = {row[0]: row for row in expand(trace, seed=1).rows()}
    part = expand(trace, seed=1, scale=0.25)

    assert len(part) == pytest.approx(2000, rel=0.1)
    assert all(whole[row[0]] == row for row in part.rows())
    assert {part.batch.count(batch) for batch in part.batch[:400]} == {4}
    assert isinstance(part, Workload)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_trace_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "junk.csv"
    for start in (b"", HEADER.encode()):
        file.write_bytes(start + content)
        try:
            expand(read(file, skip_bad_rows=True), seed=1)
        except BadTrace as bad:
            assert str(bad) == str(BadTrace(*bad.args))  # noqa: PT017
