"""Named clusters: the file, who is chosen, and secrets that are neither shown nor sent in clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from ave.cli.remote import contexts
from ave.cli.remote.contexts import Context, Known
from ave.cli.remote.failures import Usage

LAB = Context(urls=("http://127.0.0.1:1", "http://127.0.0.1:2"))
SECRET = "ave_1_5ec2e7"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("AVE_CONTEXT", "AVE_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def token_file(folder: Path, mode: int = 0o600) -> str:
    path = folder / "token"
    path.write_text(f"{SECRET}\n")
    path.chmod(mode)
    return str(path)


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    odd = Context(urls=("https://[::1]:8460",), token_file='a "quoted" \\ file\t', ca_file="ünïcode.pem")
    known = Known(current="lab", contexts={"lab": LAB, "other.one": odd})
    contexts.save(known)
    assert contexts.load() == known
    assert contexts.file() == tmp_path / "ave" / "config.toml"


@pytest.mark.parametrize("text", ["[contexts", "current = 1", "unknown = 1", "[contexts.a]\nurls = 1", "\0"])
def test_a_damaged_file_is_named(text: str) -> None:
    contexts.folder().mkdir()
    contexts.file().write_text(text)
    with pytest.raises(Usage, match=r"config\.toml: "):
        contexts.load()


def test_who_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert contexts.chosen() == contexts.LOCAL
    contexts.save(Known(current="lab", contexts={"lab": LAB}))
    assert contexts.chosen() == "lab"
    monkeypatch.setenv("AVE_CONTEXT", "sim:3-host")
    assert contexts.chosen() == "sim:3-host"
    assert contexts.chosen("said") == "said"


def test_a_name_is_resolved_or_the_one_that_was_meant_is_told() -> None:
    known = Known(contexts={"lab": LAB})
    assert contexts.resolve("lab", known) == LAB
    assert contexts.resolve("local", known).urls == (contexts.LOCAL_URL,)
    assert contexts.resolve("http://127.0.0.1:9", known).urls == ("http://127.0.0.1:9",)
    with pytest.raises(Usage) as told:
        contexts.resolve("lap", known)
    assert told.value.hint == "did you mean lab?"


@pytest.mark.parametrize("url", ["", "127.0.0.1:1", "ftp://h", "http://", "http://h?x=1", f"http://u:{SECRET}@h"])
def test_an_address_that_cannot_be_is_refused_without_what_is_secret_in_it(url: str) -> None:
    with pytest.raises(Usage) as refused:
        contexts.checked(Context(urls=(url,)))
    assert SECRET not in str(refused.value) + refused.value.hint


@pytest.mark.parametrize(("name", "simulated"), [("sim:6-host", True), ("sim:0-host", False), ("sim:6", False)])
def test_simulated_ones_are_built_in(name: str, simulated: bool) -> None:
    assert bool(contexts.SIMULATED.match(name)) is simulated
    with pytest.raises(Usage):
        contexts.named(name)


def test_a_token_is_read_from_a_file_that_nobody_else_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context(urls=LAB.urls, token_file=token_file(tmp_path))
    assert contexts.token(context) == SECRET
    monkeypatch.setenv("AVE_TOKEN", "ave_2_b")
    assert contexts.token(context) == "ave_2_b"
    monkeypatch.delenv("AVE_TOKEN")
    for mode in (0o640, 0o604, 0o666):
        token_file(tmp_path, mode)
        with pytest.raises(Usage) as refused:
            contexts.token(context)
        assert refused.value.hint.startswith("chmod 600 ")
        assert SECRET not in str(refused.value)
    with pytest.raises(Usage, match="cannot be read"):
        contexts.token(Context(urls=LAB.urls, token_file=str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("url", "sent"), [("http://10.0.0.1:1", False), ("https://10.0.0.1:1", True), ("http://[::1]:1", True)]
)
def test_a_token_is_not_sent_in_clear(url: str, sent: bool, tmp_path: Path) -> None:
    context = Context(urls=(url,), token_file=token_file(tmp_path))
    if sent:
        assert contexts.token(context) == SECRET
        return
    with pytest.raises(Usage, match="for all to read"):
        contexts.token(context)
    assert contexts.token(Context(urls=(url,))) == ""


@pytest.mark.parametrize("text", ["two words", "two\nlines", "naïve", "nul\0"])
def test_what_is_no_token_is_refused(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    (tmp_path / "token").chmod(0o600)
    with pytest.raises(Usage, match="not one line of plain characters"):
        contexts.token(Context(urls=LAB.urls, token_file=str(tmp_path / "token")))
