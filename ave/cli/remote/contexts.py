"""Where a command goes: named clusters, in ``~/.config/ave/config.toml`` (XDG). A token is in a file of its own, or in
AVE_TOKEN."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ave.cli.remote.failures import Usage, meant

LOCAL, LOCAL_URL = "local", "http://127.0.0.1:8460"
SIMULATED = re.compile(r"^sim:[1-9][0-9]*-host$")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


class Context(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``urls``: any host of the cluster answers; the first one that does is asked. Files are relative to the configuration."""

    urls: tuple[str, ...]
    token_file: str = ""
    ca_file: str = ""  # who signed the hosts' certificates, if that is nobody whom this machine knows


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    current: str = ""
    contexts: dict[str, Context] = {}


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    home = environment.get("XDG_CONFIG_HOME", "")
    return Path(home if os.path.isabs(home) else Path.home() / ".config") / "ave"


def file() -> Path:
    return folder() / "config.toml"


def load() -> Known:
    """Raises Usage: it is there, and wrong."""
    try:
        return msgspec.convert(tomllib.loads(file().read_text()), Known)
    except FileNotFoundError:
        return Known()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Usage(f"{file()}: {error}", "mend it, or take it away") from None


def save(known: Known) -> None:
    lines = [f"current = {_text(known.current)}"] if known.current else []
    for name, context in known.contexts.items():
        lines += ["", f"[contexts.{_text(name)}]"]
        lines += [f"{key} = {_text(value)}" for key, value in msgspec.to_builtins(context).items() if value]
    folder().mkdir(parents=True, exist_ok=True)
    new = file().with_suffix(".new")
    new.write_text("\n".join(lines).lstrip("\n") + "\n")
    new.replace(file())


def _text(value: Any) -> str:
    """As TOML writes it, which is as JSON does."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def chosen(said: str = "", known: Known | None = None) -> str:
    """The name of the context: what is said, else AVE_CONTEXT, else the current one, else the host on this machine."""
    return said or os.environ.get("AVE_CONTEXT", "") or (known or load()).current or LOCAL


def resolve(name: str, known: Known) -> Context:
    """Raises Usage: there is none of that name."""
    if "://" in name:
        return checked(Context(urls=(name,)))
    if name in known.contexts:
        return checked(known.contexts[name])
    if name == LOCAL:
        return Context(urls=(LOCAL_URL,))
    hint = meant(name, [*known.contexts, LOCAL]) or "ave context ls shows them, ave context add makes one"
    raise Usage(f"there is no context {name}", hint)


def checked(context: Context) -> Context:
    """Raises Usage: an address that cannot be, or that would give a secret away."""
    if not context.urls:
        raise Usage("a context needs the URL of a host", "as http://127.0.0.1:8460")
    for url in context.urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise Usage(
                f"{_without_secret(url)} is no URL of a host", "as http://127.0.0.1:8460 or https://host-1:8460"
            )
        if parts.username is not None:
            raise Usage(f"{_without_secret(url)} has a user in it", "put the token into a file: --token-file")
    return context


def _without_secret(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)


def token(context: Context) -> str:
    """AVE_TOKEN, or what is in the context's file; "": none. Raises Usage: others could read it, on disk or on the wire."""
    secret = os.environ.get("AVE_TOKEN", "").strip()
    if not secret and context.token_file:
        path = folder() / Path(context.token_file).expanduser()
        try:
            with path.open() as opened:
                if os.fstat(opened.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise Usage(f"others may read the token in {path}", f"chmod 600 {path}")
                secret = opened.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Usage(f"the token in {path} cannot be read: {error}") from None
    if secret and not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise Usage("the token is not one line of plain characters", "as ave_<id>_<secret>")
    if secret:
        for url in context.urls:
            if url.startswith("http://") and urlsplit(url).hostname not in LOOPBACK:
                raise Usage(f"the token would go to {url} for all to read", "use https://")
    return secret


def named(name: str) -> str:
    """Raises Usage: a context cannot have this name."""
    if not _NAME.match(name):
        raise Usage(f"{name} is no name for a context", "letters, digits, dots, dashes; sim:N-host are built in")
    return name
