"""Writes the JSON Schema of snapshot files from the structs that read them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ave.placement.snapshot import Document

FILE = Path(__file__).with_name("snapshot.schema.json")
COMMAND = ".venv/bin/python -m docs.write_schema"


def schema() -> str:
    made = msgspec.json.schema(Document)
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "AVE snapshot", **made}
    return msgspec.json.format(msgspec.json.encode(made), indent=1).decode() + "\n"


if __name__ == "__main__":
    FILE.write_text(schema(), encoding="utf-8")
