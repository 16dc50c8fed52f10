"""A configuration as its operator sees it: every value with where it comes from, and of a secret only whether it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec.structs import fields

from drivers.config import Config, HaConfig, box_of, node_of, timing_of
from drivers.layers import Layers, Origin, struct_of
from drivers.toml_lines import Key
from drivers.urls import MONGODB, shown

Role = Literal["node", "storage"]
ROLES: tuple[Role, ...] = get_args(Role)
PASSWORD = "AVE_MONGO_PASSWORD"


class Row(msgspec.Struct, frozen=True):
    key: str
    value: Any  # as in the file; None where nothing is set
    origin: Origin
    secret: bool = False  # then the value is true or false: whether it is set


def role_of(layers: Layers) -> Role:
    """Whose configuration this is, as nobody says it: a storage box has nothing but [storage], and a pool in it."""
    box = layers.tree.get("storage", {})
    return "storage" if "node" not in layers.tree and ("pool" in box or "listen" in box) else "node"


def rows(layers: Layers, role: Role, environment: Mapping[str, str]) -> list[Row]:
    """Refused as ``ave node`` or ``ave storage`` refuses it."""
    if role == "storage":
        box = box_of(layers)
        return [*_rows(layers, box, ()), _in_file(("storage", "secret"), box.storage.secret_file)]
    config = node_of(layers)
    found = [_in_effect(row, config) for row in _rows(layers, config, ())]
    if config.storage is not None:
        found.append(_in_file(("storage", "secret"), config.storage.secret_file))
    if config.store.url.startswith(MONGODB):
        found.append(_password(config, environment))
    return found


def _rows(layers: Layers, struct: msgspec.Struct, above: Key) -> Iterator[Row]:
    for field in fields(struct):
        key, value = (*above, field.encode_name), getattr(struct, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _rows(layers, value, key)
        elif value is None and (inner := struct_of(field.type)) is not None:
            yield from (Row(".".join((*key, name)), None, Origin("default")) for name in inner.__struct_encode_fields__)
        elif isinstance(value, dict) and value:
            for name, entry in value.items():
                if isinstance(entry, msgspec.Struct):
                    yield from _rows(layers, entry, (*key, name))
                else:
                    yield _row(layers, (*key, name), entry)
        else:
            yield _row(layers, key, value)


def _row(layers: Layers, key: Key, value: Any) -> Row:
    return Row(".".join(key), shown(value) if isinstance(value, str) else value, layers.origin(key))


def _in_effect(row: Row, config: Config) -> Row:
    """Times that are not given are those of the profile."""
    section, _, name = row.key.partition(".")
    if section != "ha" or config.ha != HaConfig():
        return row
    return Row(row.key, getattr(timing_of(config), name), Origin("profile", config.node.profile))


def _password(config: Config, environment: Mapping[str, str]) -> Row:
    key = ("store", "password")
    if config.store.password_file:
        return _in_file(key, config.store.password_file)
    there = bool(environment.get(PASSWORD))
    return Row(".".join(key), there, Origin("environment", PASSWORD) if there else Origin("default"), secret=True)


def _in_file(key: Key, file: str) -> Row:
    """It is not read: who may not read it, may know that it is there."""
    try:
        there = os.stat(Path(file)).st_size > 0
    except OSError:
        there = False
    return Row(".".join(key), there, Origin("file", file), secret=True)
