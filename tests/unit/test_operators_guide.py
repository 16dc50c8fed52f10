"""The operator's guide leaves no command out of the test that runs it on a bed (tests/real/guide)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.real.guide.page import GUIDE, BadGuide, Block, Power, fits, items, unrun
from tests.real.guide.stand_ins import STAND_INS

TEXT = GUIDE.read_text()
UNITS = Path(__file__).parents[2] / "packaging/systemd"
PROGRAMS = frozenset(
    {"ave", "systemctl", "journalctl", "virsh", "apt-get", "tgtadm", "mongosh", "qemu-img", "scp", "openssl"}
)


def test_every_command_that_the_prose_names_is_in_a_block_that_is_run() -> None:
    services = {
        found[1] for unit in UNITS.glob("*.service") for found in re.finditer(r"/(ave \w+) --config", unit.read_text())
    }
    assert {"ave node", "ave guard", "ave storage"} == services
    assert [code for code in unrun(TEXT, PROGRAMS) if code not in services] == []


def test_what_is_not_run_says_why() -> None:
    left_out = [item for item in items(TEXT) if isinstance(item, Block) and item.not_run]
    assert len(left_out) == 4, "one more is one more that nobody tests: think twice"
    assert all(len(block.not_run) > 20 for block in left_out)


def test_what_stands_in_for_something_on_the_bed_is_told() -> None:
    table = TEXT.partition("## How this page is tested")[2]
    told = {
        name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`([\w-]+)`", row)
    }
    assert told == set(STAND_INS)


def test_the_guide_is_read_in_its_order() -> None:
    text = """
```sh
# on h2, box; again, for up to 9 s
one
```
```text
…
```
<!-- on the bed: h2 loses its power -->
```sh
# on h1
# not run by the test: it is late
two
```
<!-- on the bed: h2 has its power again -->
"""
    assert items(text) == [
        Block(2, "# on h2, box; again, for up to 9 s\none\n", ("h2", "box"), 9.0, "", "…\n"),
        Power(9, "h2", on=False),
        Block(10, "# on h1\n# not run by the test: it is late\ntwo\n", ("h1",), 0.0, "it is late"),
        Power(15, "h2", on=True),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```bash\n# on h1\nls\n```", "a fence is of sh"),
        ("```\n# on h1\nls\n```", "a fence is of sh"),
        ("```sh skip\n# on h1\nls\n```", "a fence is of sh"),
        ("```text\nls\n```", "text of no block"),
        ("```sh\n# on h1\nls\n```\n```text\na\n```\n```text\nb\n```", "text of no block"),
        ("```sh\n# on h1\n# not run by the test: no\nls\n```\n```text\na\n```", "text of no block"),
        ("```sh\nls\n```", "a block begins with"),
        ("```sh\n# on h4\nls\n```", "a block begins with"),
        ("```sh\n# on h1, skip\nls\n```", "a block begins with"),
        ("```sh\n# not run by the test: so\nls\n```", "a block begins with"),
        ("```sh\n# on h1\n```", "a block begins with"),
        ("```sh\n# on h1\nls", "not closed"),
        ("<!-- on the bed: h2 falls over -->", "no event"),
    ],
)
def test_what_nobody_would_run_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadGuide, match=why):
        items(text)


def test_a_command_in_the_prose_that_no_block_runs_is_found() -> None:
    block = "```sh\n# on h1\nave vm ls -o json\n```\n"
    assert unrun(f"{block}`ave vm ls`, `ave` and `web-1`", PROGRAMS) == []
    assert unrun(f"{block}`ave vm lsx`", PROGRAMS) == ["ave vm lsx"]
    assert unrun("```sh\n# on h1\n# not run by the test: so\nave vm ls\n```\n`ave vm ls`", PROGRAMS) == ["ave vm ls"]


@pytest.mark.parametrize(
    ("said", "wanted", "fit"),
    [
        ("a  b\n", "a b", True),
        ("a b\nc\n", "a b", False),
        ("a b\nc\n", "a b\n…", True),
        ("x\ny\na b\n", "…\na b", True),
        ("", "…", True),
        ("", "a", False),
        ("web-1  running  h3   started\n", "web-1 running h1|h3 …", True),
        ("web-1  running  h2   started\n", "web-1 running h1|h3 …", False),
        ("web-1 running h3\n", "web-1 running h1|h3 …", True),
        ("a.b\n", "axb", False),
        ("\n", "", True),
    ],
)
def test_what_is_printed_fits_or_not(said: str, wanted: str, fit: bool) -> None:
    assert fits(said, wanted) is fit
