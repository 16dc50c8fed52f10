"""What few hosts cannot promise."""

from __future__ import annotations

import pytest

from ave.ha.promise import not_promised
from ave.model.host import Host


def cluster(masters: int, others: int = 0) -> list[Host]:
    return [Host(id=f"h{number}", master=number < masters, cpus=1, memory_mib=1) for number in range(masters + others)]


@pytest.mark.parametrize(
    ("masters", "others", "words"),
    [
        (1, 0, ["no VM is started elsewhere", "of one master host none may be missing"]),
        (2, 0, ["of 2 master hosts none may be missing"]),
        (1, 5, ["of one master host none may be missing"]),
        (3, 0, []),
        (5, 10, []),
    ],
)
def test_a_cluster_says_what_it_cannot_promise(masters: int, others: int, words: list[str]) -> None:
    said = not_promised(cluster(masters, others))
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True))
