"""Writes the JSON Schema of scenario files from the rules that read them and the tables of faults, actions and invariants."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sim.scenario.json_schema import document
from sim.tables import CATALOGUE

FILE = Path(__file__).with_name("scenario.schema.json")
COMMAND = ".venv/bin/python -m docs.write_scenario_schema"


def schema() -> str:
    return msgspec.json.format(msgspec.json.encode(document(CATALOGUE)), indent=1).decode() + "\n"


if __name__ == "__main__":
    FILE.write_text(schema(), encoding="utf-8")
