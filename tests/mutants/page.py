"""docs/mutants.md: the tables and what came of each row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sim.report import table
from tests.mutants.asked import ROWS as ASKED
from tests.mutants.asked import Asked
from tests.mutants.directed import Directed
from tests.mutants.hunt import Hunt
from tests.mutants.table import LATER

PAGE_FILE = Path(__file__).parents[2] / "docs" / "mutants.md"
HEAD = ("#", "what is broken", "caught by", "directed scenario", "seeds of random exploration")
GOAL = 0.9  # of the mutants that random exploration alone must catch

TEXT = """\
# Mutants: who watches the oracle

An oracle that never complains may be right, or blind. So bugs are put in on purpose, each by a small patch at run time that
asserts what it replaces (`tests/mutants/`), and somebody must complain:

- **a scenario that ships**, within five seeds. Each mutant is a test of that, and the same scenario without it is clean.
- **a test**, for what people meet at the API: no scenario asks it anything.
- **random exploration alone** ([explore](explore.md)), which knows nothing of the mutant: seeds 1, 2, 3 … until an invariant
  breaks that the same seed without the mutant does not break.

```sh
.venv/bin/python -m tests.mutants --only 4 --seeds 20        # one of them
make mutants                                                 # all, up to 500 seeds each; goes on where it was stopped
```

`make mutants` writes this page. The numbers are those of the project's list of mutants; rows without one are further bugs of
the same kind. In brackets stands the invariant that random exploration found broken. Some seeds break by themselves while a
bug is open: there only an invariant that watches for the mutant counts, and not the one that breaks without it.
"""


def row(hunt: Hunt, directed: Directed) -> tuple[str, ...]:
    mutant = hunt.mutant
    found = dict.fromkeys(directed.broken[scenario] or "**nobody**" for scenario in mutant.scenarios)
    files = ", ".join(f"[{name.removesuffix('.yaml')}](../scenarios/{name})" for name in mutant.scenarios)
    trial = hunt.caught
    seeds = f"{trial.seed} ({trial.broken})" if trial is not None else f"not caught in {hunt.played}"
    return str(mutant.number or "–"), mutant.broken, ", ".join(found), files, seeds


def asked_row(mutant: Asked) -> tuple[str, ...]:
    """What people ask is in no scenario, drawn or shipped."""
    return str(mutant.number or "–"), mutant.broken, "its test", "[asked](../tests/mutants/asked.py)", "–"


def share(hunted: Sequence[Hunt]) -> float:
    """Of the project's list; further bugs are no excuse for missing one of those."""
    listed = [hunt for hunt in hunted if hunt.mutant.number] or hunted
    return sum(hunt.caught is not None for hunt in listed) / len(listed)


def verdict(hunted: Sequence[Hunt], directed: Sequence[Directed], seeds: int) -> str:
    listed = sum(1 for hunt in hunted if hunt.mutant.number)
    sure = sum(all(one.broken.values()) for one in directed)
    left = sum(hunt.wants for hunt in hunted)
    text = (
        f"{sure} of {len(hunted)} mutants are caught by their scenarios; random exploration catches {share(hunted):.0%} of "
        f"the {listed} with a number within {seeds} seeds each."
    )
    return f"{text} It has not ended: {left} are still looked for." if left else text


def page(hunted: Sequence[Hunt], directed: Sequence[Directed], seeds: int) -> str:
    rows = [(hunt.mutant.number, row(hunt, one)) for hunt, one in zip(hunted, directed, strict=True)]
    later = [(number, (str(number), what, "–", f"later, with {code}", "–")) for number, (what, code) in LATER.items()]
    asked = [(mutant.number, asked_row(mutant)) for mutant in ASKED]
    ordered = sorted((*rows, *asked, *later), key=lambda pair: (not pair[0], pair[0]))
    return f"{TEXT}\n**{verdict(hunted, directed, seeds)}**\n\n{table(HEAD, [cells for _, cells in ordered])}\n"
