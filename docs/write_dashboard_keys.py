"""Writes the tables of keys in dashboard.md from the one that the dashboard is made of."""

from __future__ import annotations

from pathlib import Path

from tui.app import all_keys
from tui.keys import markdown

FILE = Path(__file__).with_name("dashboard.md")
COMMAND = ".venv/bin/python -m docs.write_dashboard_keys"
BEGIN, END = "<!-- keys -->", "<!-- /keys -->"


def page(now: str) -> str:
    """The page with the tables as they should be."""
    before, _, rest = now.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{markdown(all_keys())}\n{END}{after}"


if __name__ == "__main__":
    FILE.write_text(page(FILE.read_text(encoding="utf-8")), encoding="utf-8")
