"""The judge of the real faults sees what it is for; and the two sides of the probe writer's format agree."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.real.faults import records
from tests.real.faults.judge import judge
from tests.real.faults.records import Record
from tests.real.faults.words import BEAT, ETHERTYPE, KEPT, MAGIC, WORD, Life, Word, heard

FIRST, SECOND = Life(1, 1, 11), Life(1, 2, 22)


def said(life: Life, host: str, first: int, last: int, *, at: float, nonce: int = 0) -> list[Word]:
    """Records first to last, kept five times a second."""
    return [Word(at + 0.2 * n, host, KEPT, life, seq, nonce or seq) for n, seq in enumerate(range(first, last + 1))]


def beats(life: Life, host: str, *, at: float, until: float) -> list[Word]:
    return [Word(at + 0.2 * n, host, BEAT, life) for n in range(round((until - at) / 0.2) + 1)]


def log(*lives: tuple[Life, int]) -> list[Record]:
    """So many records of each life, one after the other."""
    all_of_them = [life for life, many in lives for _ in range(many)]
    return [Record(life, seq, seq) for seq, life in enumerate(all_of_them, 1)]


def test_what_is_as_it_was_said_is_right_also_over_a_boot_and_a_migration() -> None:
    words = said(FIRST, "h1", 1, 5, at=0.0) + said(FIRST, "h2", 6, 9, at=1.0) + said(SECOND, "h3", 11, 20, at=9.0)
    verdict = judge(words, {1: log((FIRST, 10), (SECOND, 10))})
    assert (verdict.kept, verdict.wrongs, verdict.twice) == (19, (), ())


def test_a_record_that_is_gone_or_another_is_lost() -> None:
    words = said(FIRST, "h1", 1, 5, at=0.0)
    assert judge(words, {1: log((FIRST, 4))}).lost == 1
    assert judge(words, {1: log((FIRST, 4), (SECOND, 3))}).lost == 1
    assert judge(said(FIRST, "h1", 1, 5, at=0.0, nonce=7), {1: log((FIRST, 5))}).lost == 5


def test_what_an_older_boot_writes_after_a_younger_one_is_stale() -> None:
    disk = log((FIRST, 5), (SECOND, 3), (FIRST, 1))
    words = said(FIRST, "h1", 1, 5, at=0.0) + said(SECOND, "h2", 6, 8, at=5.0) + said(FIRST, "h1", 9, 9, at=7.0)
    verdict = judge(words, {1: disk})
    assert (verdict.lost, verdict.stale) == (0, 2), "as it was heard, and on the disk"


def test_two_copies_of_one_boot_that_both_write_are_stale() -> None:
    words = said(FIRST, "h1", 1, 5, at=0.0) + said(FIRST, "h2", 5, 5, at=5.0)
    assert judge(words, {1: log((FIRST, 5))}).stale == 1


@pytest.mark.parametrize("other", [FIRST, SECOND])
def test_who_runs_on_two_hosts_at_once_runs_twice(other: Life) -> None:
    verdict = judge(beats(FIRST, "h1", at=0.0, until=4.0) + beats(other, "h2", at=3.0, until=8.0), {1: []})
    ((_, seconds),) = verdict.twice
    assert seconds == pytest.approx(1.0)


def test_who_stood_still_while_another_ran_did_not_run_twice() -> None:
    words = beats(FIRST, "h1", at=0.0, until=4.0) + beats(FIRST, "h2", at=4.1, until=8.0)
    words += beats(FIRST, "h1", at=9.5, until=12.0)
    assert judge(words, {1: []}).twice == ()


def test_a_word_is_read_as_the_guest_says_it() -> None:
    frame = WORD.pack(b"\xff" * 6, b"\x02" * 6, ETHERTYPE, MAGIC, b"A", 1, 2, 22, 7, 99, 5)
    assert heard(frame, "h1", 1.5) == Word(1.5, "h1", KEPT, SECOND, 7, 99)
    assert heard(frame[:14] + b"else" + frame[18:], "h1", 1.5) is None
    assert heard(frame[:40], "h1", 1.5) is None


def test_a_log_is_read_up_to_what_is_missing_torn_or_of_another_place(tmp_path: Path) -> None:
    boots, volume = tmp_path / "boots", tmp_path / "volume"
    boots.write_bytes(b"boot")
    with volume.open("wb") as file:
        file.truncate(records.BEGIN + 100 * records.BLOCK)
    records.prepare(volume, boots, 1)
    whole = [records.block(records.RECORD, FIRST, seq, 1000 + seq) for seq in range(1, 7)]

    def write(seq: int, text: bytes) -> None:
        with volume.open("r+b") as file:
            file.seek(records.BEGIN + seq * records.BLOCK)
            file.write(text)

    assert records.read(volume) == []
    for seq, text in enumerate(whole, 1):
        write(seq, text)
    assert records.read(volume) == [Record(FIRST, seq, 1000 + seq) for seq in range(1, 7)]
    write(4, whole[3][:2000] + b"?" + whole[3][2001:])
    assert len(records.read(volume)) == 3
    write(3, whole[1])
    assert len(records.read(volume)) == 2
    assert struct.unpack_from(">Q", records.block(records.MARK, Life(1, 0, 0), 99, 0), 32) == (99,)
