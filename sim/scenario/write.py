"""Scenario files written by the simulator itself: what is drawn, and what is left of it when it has been cut down."""

from __future__ import annotations

from typing import Any

import yaml

COLUMNS = 120


class _Line(dict[str, Any]):
    """Written on one line, with all that is in it."""


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # a scenario has none


_Dumper.add_representer(
    _Line, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=True)
)


def write(document: dict[str, Any], comment: str = "") -> str:
    """As YAML that reads well: one line for each host shape, fleet, event and the like. What is empty is left out."""
    spec = {key: _lines(value) for key, value in document["spec"].items() if value not in ([], {}, "")}
    head = {key: _lines(value) for key, value in document.items() if key != "spec"}
    text = yaml.dump(
        head | {"spec": spec},
        Dumper=_Dumper,
        sort_keys=False,
        width=COLUMNS,
        default_flow_style=False,
        allow_unicode=True,
    )
    return "".join(f"# {line}\n" for line in comment.splitlines()) + text


def _lines(value: Any) -> Any:
    if isinstance(value, list):
        return [_lines(item) for item in value]
    return _Line(value) if isinstance(value, dict) else value
