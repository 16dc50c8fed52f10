"""Jobs as a tree: a Leader and below it its Followers; those under way first, then the newest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tui.ages import age
from tui.columns import Column, Row, Span, bar, state_cell
from tui.glyphs import sign
from tui.views.base import Docs, Lines, Place, counted, events_of, heading, pair

ENDED = ("done", "failed", "cancelled")
TASK = "task:"  # how the key of a Follower begins
UNFOLDED_MOST = 40  # Followers of a Job that nobody has unfolded
GAUGE = 12
_TASK_SHARE = {"done": 1.0, "running": 0.5}  # of a Follower nobody tells more than its state


class Jobs(Docs):
    """``unfolded``: by those who looked; a Job under way is unfolded unless somebody has folded it."""

    noun = "job"
    order = ("", False)

    def __init__(self, context: Any, place: Place) -> None:
        self.unfolded: set[str] = set()
        self.folded: set[str] = set()
        super().__init__(context, place)

    def made_columns(self) -> Sequence[Column]:
        return (
            Column("JOB", 32, self._name, lambda row: row["id"], "N"),
            Column("PROGRESS", GAUGE, self._progress, None, stays=2),
            Column("DONE", 9, self._done, None, stays=1),
            Column(
                "STATE",
                11,
                lambda row: state_cell("job", row["state"]),
                lambda row: -sign("job", row["state"]).trouble,
                "S",
                stays=5,
            ),
            Column("TIME", 7, self._time, self._seconds, "T", stays=3, ages=True),
            Column("HOST", 10, lambda row: (row["host"], "dim"), None, stays=6),
            Column("WHY", 20, _why, None, stays=4, grows=True),
        )

    def seen(self) -> Any:
        counts = self.model.counts
        return counts["job"], counts["task"], len(self.unfolded), len(self.folded), self.model.resets

    def keys(self) -> Sequence[str]:
        jobs = [job for job in self.model.docs["job"].values() if self.meant(job)]
        jobs.sort(key=lambda job: (job["state"] in ENDED, -job["submitted"], job["id"]))
        found: list[str] = []
        for job in jobs:
            found.append(job["id"])
            if self.open(job):
                found += [TASK + task["id"] for task in self.model.parts(job["id"])]
        return found

    def meant(self, doc: Mapping[str, Any]) -> bool:
        vm = self.place.of("vm")
        if vm:
            return vm in doc["results"] or any(task["resource"] == vm for task in self.model.parts(doc["id"]))
        return super().meant(doc)

    def open(self, job: Mapping[str, Any]) -> bool:
        id = job["id"]
        if id in self.unfolded:
            return True
        if id in self.folded or job["state"] in ENDED:
            return False
        return len(self.model.parts(id)) <= UNFOLDED_MOST

    def fold(self, key: str, unfold: bool | None = None) -> str:
        """The Job of that row, or of the row's Follower; None: the other way. The key on which the cursor stands then."""
        id = self.thing(key)[1]
        job = self.model.docs["job"].get(id)
        if job is None:
            return key
        wanted = not self.open(job) if unfold is None else unfold
        (self.unfolded if wanted else self.folded).add(id)
        (self.folded if wanted else self.unfolded).discard(id)
        return id

    def row(self, key: str) -> Row | None:
        if key.startswith(TASK):
            return self.model.docs["task"].get(key.removeprefix(TASK))
        return self.model.docs["job"].get(key)

    def stamp(self, key: str) -> Any:
        if key.startswith(TASK):
            id = key.removeprefix(TASK)
            return self.model.stamp["task"].get(id, 0), self._last(id)
        job = self.model.docs["job"].get(key)
        if job is None:
            return 0
        busy = job["state"] not in ENDED
        return self.model.stamp["job"].get(key, 0), self.open(job), self.model.counts["task"] if busy else 0

    def thing(self, key: str) -> tuple[str, str]:
        row = self.row(key)
        if key.startswith(TASK):
            return "job", str(row["job"]) if row is not None else ""
        return "job", key

    def panel(self, key: str) -> Lines:
        row = self.row(key)
        if row is None:
            return []
        return self._told_task(row) if key.startswith(TASK) else told(self, row)

    def _last(self, id: str) -> bool:
        task = self.model.docs["task"].get(id)
        parts = self.model.parts(task["job"]) if task is not None else []
        return bool(parts) and parts[-1]["id"] == id

    def _name(self, row: Row) -> list[Span]:
        if "job" in row:
            branch = "└─" if self._last(row["id"]) else "├─"
            return [(f"{branch} ", "faint"), _glyph(row), (f"{row['function']} {row['resource']}", _tone(row))]
        parts = self.model.parts(row["id"])
        fold = ("▾ " if self.open(row) else "▸ ") if parts else "  "
        busy = row["state"] not in ENDED
        return [(fold, "dim"), _glyph(row), (title(row, parts), "strong" if busy else _tone(row))]

    def _progress(self, row: Row) -> list[Span]:
        share = _TASK_SHARE.get(row["state"], 0.0) if "job" in row else row["progress"]
        return bar(share, GAUGE, _bar_tone(row["state"]))

    def _done(self, row: Row) -> Span:
        if "job" in row:
            return ("" if row["attempt"] < 2 else f"try {row['attempt']}", "warn")
        parts = self.model.parts(row["id"])
        ended = sum(1 for task in parts if task["state"] in ENDED)
        return (
            f"{ended}/{len(parts)}" if parts else f"{row['progress']:.0%}",
            "dim" if row["state"] in ENDED else "info",
        )

    def _seconds(self, row: Row) -> float:
        began = row["started"] or row["submitted"]
        return float((row["finished"] or self.context.now()) - began)

    def _time(self, row: Row) -> Span:
        return age(self._seconds(row)), "dim"

    def _told_task(self, task: Row) -> Lines:
        return [
            [*state_cell("job", task["state"])],
            [],
            pair("step", task["step"]),
            pair("what", task["function"]),
            pair("of", task["resource"] or "–"),
            pair("host", task["host"]),
            pair("attempt", f"{task['attempt']}"),
            pair("job", task["job"]),
            pair("took", age(self._seconds(task))),
            [],
            heading("Said last"),
            [(task["why"] or "nothing", "text")],
        ]


def told(view: Jobs, job: Any) -> Lines:
    """A Job in words."""
    moment = view.context.moment
    parts = view.model.parts(job["id"])
    lines: Lines = [
        [
            *state_cell("job", job["state"]),
            (", being cancelled" if job["stop"] and job["state"] not in ENDED else "", "warn"),
        ],
        [],
        pair("job", job["id"]),
        pair("operation", job["operation"]),
        pair("by", job["user"] or ("the cluster itself", "dim")),
        pair("leader", job["host"] or "–"),
        pair("submitted", moment(job["submitted"])),
        pair("took", age(view._seconds(job))),
    ]
    if job["waits"]:
        lines.append(pair("waits for", (job["waits"], "warn")))
    if job["queue"]:
        lines.append(pair("queue", job["queue"]))
    if job["why"]:
        lines += [[], heading("Said last"), [(job["why"], "text")]]
    if job["results"]:
        lines += [[], heading("Results")]
        for id, result in list(job["results"].items())[:30]:
            lines.append(
                [
                    ("✓ " if result["ok"] else "✕ ", "good" if result["ok"] else "bad"),
                    (id, "text"),
                    (f"  {result['why']}" if result["why"] else "", "dim"),
                ]
            )
    bad = [task for task in parts if task["state"] == "failed"]
    if bad:
        lines += [[], heading("Failed")]
        lines += [[("✕ ", "bad"), (task["step"], "text"), (f"  {task['why']}", "dim")] for task in bad[:10]]
    if said := events_of(view.context, [("job", job["id"])], 8):
        lines += [[], heading("Events"), *said]
    return lines


def title(job: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> str:
    """ "start web-1", "create 16 vms"."""
    noun, _, verb = job["operation"].partition(".")
    if noun == "jobs":
        return f"{verb} the Jobs"
    about = list(dict.fromkeys([*job["results"], *(task["resource"] for task in parts if task["resource"])]))
    noun = {"ha": "vm"}.get(noun, noun)
    if not about:
        about = list(dict.fromkeys(task["host"] for task in parts))
        noun = "host" if about else noun
    if len(about) == 1:
        return f"{verb} {about[0]}"
    return f"{verb} {counted(len(about), noun)}" if about else f"{verb} {noun}"


def _glyph(row: Row) -> Span:
    each = sign("job", row["state"])
    return f"{each.glyph} ", each.tone


def _tone(row: Row) -> str:
    return "dim" if row["state"] in ENDED else "text"


def _bar_tone(state: str) -> str:
    return "bad" if state == "failed" else "dim" if state in ENDED else "accent"


def _why(row: Row) -> Span:
    text = row["why"]
    _, colon, reason = text.partition(": ")
    if row.get("waits"):
        return f"waits for {row['waits']}", "warn"
    return reason if colon else text, "bad" if row["state"] == "failed" else "dim"
