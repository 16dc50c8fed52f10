"""Reading YAML: what is refused before anything is built, what a scalar means, and where everything stands."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.nodes import Mapping, Scalar, Sequence, parse, read
from sim.scenario.problem import Invalid

LAUGHS = "\n".join(
    ["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    + [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
)


def refusal(text: str | bytes) -> str:
    with pytest.raises(Invalid) as refused:
        parse(text.encode() if isinstance(text, str) else text, "x.yaml")
    return str(refused.value)


def value(text: str) -> object:
    root = parse(f"key: {text}".encode(), "x.yaml").root
    assert isinstance(root, Mapping)
    node = root.entries["key"][1]
    assert isinstance(node, Scalar)
    return node.value


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", None),
        ("null", None),
        ("~", None),
        ("true", True),
        ("False", False),
        ("7", 7),
        ("-7", -7),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("12:30", "12:30"),
        ("no", "no"),
        ("on", "on"),
        ("2026-01-31", "2026-01-31"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("'7'", "7"),
        ('"true"', "true"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_only_null_booleans_and_numbers_are_more_than_text(text: str, meaning: object) -> None:
    found = value(text)

    assert found == meaning
    assert type(found) is type(meaning)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml:1:1: the file is empty"),
        ("# nothing\n", "x.yaml:1:1: the file is empty"),
        (LAUGHS, 'x.yaml:1:4: anchor "&a": anchors are not read'),
        ("a: 1\nb: *a", 'x.yaml:2:4: alias "*a": write the value again; aliases are not read'),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: a second document begins here; a file holds one"),
        (
            "a: !!python/name:os.system x",
            'x.yaml:1:4: tag "tag:yaml.org,2002:python/name:os.system": tags are not read',
        ),
        ("a: !!str 1", 'x.yaml:1:4: tag "tag:yaml.org,2002:str": tags are not read'),
        ("[a]: 1", "x.yaml:1:1: a key must be a word"),
        ("[" * 50, "x.yaml:1:33: nested deeper than 32 levels"),
        ("[" * (1 << 20), "x.yaml:1:33: nested deeper than 32 levels"),
        ("- a\n" * 20_000, "x.yaml:20000:3: more than 20000 values"),
        ("a: \x01", "x.yaml:1:4: control character U+0001"),
        (b"a: 1\nb: \xff", "x.yaml:2:4: not UTF-8: invalid start byte"),
        (
            "a: [1, 2",
            "x.yaml:2:1: not YAML: while parsing a flow sequence (begun at 1:4), did not find expected ',' or ']'",
        ),
        (
            "a: 1\n\tb: 2",
            "x.yaml:2:1: not YAML: while scanning a plain scalar (begun at 1:4), "
            "found a tab character that violates indentation",
        ),
        (" " * (1 << 20) + "a: 1", "x.yaml:1:1: larger than 1048576 bytes, which no such file needs"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_a_scenario_does_not_need_is_refused_with_its_place(
    text: str | bytes, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)

    with pytest.raises(Invalid) as refused:
        read(file)

    assert str(refused.value).replace(str(file), "x.yaml") == message


def test_a_file_of_100_megabytes_is_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(100 << 20)

    with pytest.raises(Invalid, match="larger than 1048576 bytes"):
        read(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"x\.yaml:1:1: cannot be read: No such file or directory"):
        read(tmp_path / "x.yaml")


def test_every_repeated_key_is_named_with_both_its_places_and_hides_nothing() -> None:
    document = parse(b"a: 1\nb: {c: 1, c: 2}\na: 3\na: 4", "x.yaml")

    assert [str(problem) for problem in document.repeated] == [
        'x.yaml:2:11: key "c" occurs twice, first at 2:5',
        'x.yaml:3:1: key "a" occurs twice, first at 1:1',
        'x.yaml:4:1: key "a" occurs twice, first at 1:1',
    ]
    assert isinstance(document.root, Mapping)


def test_a_control_character_in_a_name_does_not_break_the_line() -> None:
    assert parse(b'"a\\nb": 1\n"a\\nb": 2', "x\n.yaml").repeated[0].__str__() == (
        'x\\n.yaml:2:1: key "a\\nb" occurs twice, first at 1:1'
    )


def plain(node: object) -> object:
    match node:
        case Scalar(value=found):
            return found
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Mapping(entries=entries):
            return {key: plain(item) for key, (_, item) in entries.items()}
    raise AssertionError(node)


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc", "Cs"]), max_size=8)
SIMPLE = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | WORDS
TREES = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4))


@given(TREES)
def test_json_means_what_it_means_in_json(tree: object) -> None:
    assert plain(parse(json.dumps(tree, ensure_ascii=False).encode(), "x.yaml").root) == tree


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_invalid(content: bytes) -> None:
    with contextlib.suppress(Invalid):
        parse(content, "x.yaml")


def test_a_refusal_of_a_huge_value_is_short() -> None:
    assert len(refusal("a: &" + "x" * 100_000 + " 1")) < 200
