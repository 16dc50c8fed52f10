"""The architecture as pure functions: a file's path and text in, complaints out.

The tables come first; they are what one edits. Paths are relative to the repository and written with slashes.
"""

import ast
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

# Who may import whom among our packages, besides itself.
PACKAGES = {
    "ave": (),
    "drivers": ("ave",),
    "sim": ("ave", "drivers"),
    "tui": ("ave",),
    "tests": ("ave", "drivers", "sim", "tui"),
}

# What of the command line the dashboard shares: how a client finds a cluster, and speaks with it.
CLIENT = "ave.cli.remote."

# Who may import whom inside ave/, besides itself. The command line stands above all of them and is in no row.
_GROUND = ("errors", "runtime", "sync")
_WORDS = (*_GROUND, "model", "operations", "ports", "kinds")
_SERVICES = ("scheduler", "storage", "network", "guest", "console")
_NODE = (*_WORDS, "projection", "placement", "jobs", *_SERVICES, "hosts", "groups", "vms", "ha", "verbs")
INSIDE_AVE = {
    "__init__": (),
    "errors": (),
    "runtime": ("errors",),
    "sync": ("errors", "runtime"),
    "model": ("errors",),
    "operations": (*_GROUND, "model"),
    "placement": (*_GROUND, "model"),
    "ports": (*_GROUND, "model"),
    "kinds": (*_GROUND, "model", "ports"),
    "projection": (*_GROUND, "model", "ports", "kinds"),
    "jobs": _WORDS,
    "scheduler": (*_WORDS, "jobs", "placement"),
    "storage": (*_WORDS, "jobs"),
    "network": (*_WORDS, "jobs"),
    "guest": (*_WORDS, "jobs"),
    "console": (*_WORDS, "jobs"),
    "vms": (*_WORDS, "jobs", "placement", *_SERVICES),
    "ha": (*_WORDS, "jobs", "placement", *_SERVICES),
    "hosts": (*_WORDS, "jobs", "placement", *_SERVICES),
    "groups": (*_WORDS, "jobs", "placement", *_SERVICES, "hosts"),
    "verbs": _NODE,
    "node": _NODE,
    "guard": _NODE,
    "api": _NODE,
}

# What ave/ (but its command line) may import of others: nothing that knows the time, draws, waits or does I/O.
# fmt: off
STANDARD_LIBRARY = (
    "__future__", "base64", "binascii", "bisect", "collections", "collections.abc", "contextlib", "dataclasses", "difflib",
    "enum", "fractions", "functools", "hashlib", "heapq", "hmac", "itertools", "math", "operator", "re", "string", "textwrap",
    "types", "typing",
)
# fmt: on
THIRD_PARTY = ("msgspec", "networkx", "numpy")
LET_IN_ONCE = {
    ("ave/runtime.py", "asyncio.CancelledError"): "a cancelled task must look the same to the library and to us",
    ("ave/runtime.py", "random.Random"): "the type of runtime.random",
}

# What a simulated world may not import: it has its own time and chance.
REAL_TIME_AND_CHANCE = ("asyncio", "datetime", "random", "secrets", "threading", "time", "uuid")
FACES_THE_MACHINE: dict[str, tuple[tuple[str, ...], str]] = {
    "sim/explore/limit.py": (("time",), "bounds what a seed may cost, and no seed sees it"),
}

# Where SimPy's own events are handled.
KNOW_SIMPY = ("drivers/sim/runtime.py", "tests/bench/")

MODULE_LINES = 400
FUNCTION_LINES = 70

# Spelled so that this file does not hold them.
_UNFINISHED = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3))
_BANNED_WORDS = {
    re.compile(rf"\b({_UNFINISHED})\b"): "write a decision or an issue, or do it",
    re.compile(r"(?<![\w.~})-])/(work|root|home|Users)/"): "an absolute path of one machine",
}

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_WAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)

Complaint = tuple[int, str]
Rule = Callable[[str, ast.Module], Iterator[Complaint]]


def complaints(path: str, source: str) -> list[str]:
    """What is wrong with this file, one line each."""
    found = list(banned_words(source))
    if path.endswith(".py"):
        tree = ast.parse(source)
        found += [complaint for rule in RULES for complaint in rule(path, tree)]
    return [f"{path}:{line}: {what}" for line, what in sorted(found)]


def sizes(path: str, source: str) -> list[str]:
    """What has grown long: for a reader to look at, not to fail."""
    lines = source.count("\n")
    long = [f"{path}: {lines} lines"] if lines > MODULE_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _FUNCTIONS) and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES:
            long.append(f"{path}:{node.lineno}: {node.name} has {length} lines")
    return long


def banned_words(source: str) -> Iterator[Complaint]:
    for number, line in enumerate(source.splitlines(), start=1):
        for pattern, why in _BANNED_WORDS.items():
            if found := pattern.search(line):
                yield number, f"{found[0]}: {why}"


def in_control_plane(path: str) -> bool:
    return path.startswith("ave/") and not path.startswith("ave/cli/")


def in_simulation(path: str) -> bool:
    return path.startswith(("sim/", "drivers/sim/"))


def replayed(path: str) -> bool:
    """Runs in the simulator, so it may lose power anywhere and must do the same again for the same seed."""
    return in_control_plane(path) or in_simulation(path)


class Import(NamedTuple):
    line: int
    module: str
    name: str  # empty for `import module`
    lazy: bool  # happens only when a function runs, or only for the type checker

    @property
    def target(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module

    @property
    def package(self) -> str:
        return self.module.split(".")[0]


def imports(path: str, node: ast.AST, lazy: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(child.lineno, alias.name, "", lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = _absolute(path, child)
            yield from (Import(child.lineno, module, alias.name, lazy) for alias in child.names)
        else:
            yield from imports(path, child, lazy or isinstance(child, _FUNCTIONS) or _for_types_only(child))


def _absolute(path: str, node: ast.ImportFrom) -> str:
    parents = path.split("/")[: -node.level] if node.level else []
    return ".".join([*parents, *([node.module] if node.module else [])])


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def packages_point_one_way(path: str, tree: ast.Module) -> Iterator[Complaint]:
    package = path.split("/")[0]
    if package not in PACKAGES or path.startswith("ave/cli/"):
        return
    for found in imports(path, tree):
        if found.package in PACKAGES and found.package not in (package, *PACKAGES[package]):
            yield found.line, f"{package} must not import {found.package}"
        shared = package == "tui" and f"{found.target}.".startswith(CLIENT)
        if package != "tests" and f"{found.target}.".startswith("ave.cli.") and not shared:
            yield found.line, "nobody imports ave.cli"


def command_line_is_lazy(path: str, tree: ast.Module) -> Iterator[Complaint]:
    """`ave --version` must not wait for a simulator, a server or a screen."""
    if not path.startswith("ave/cli/"):
        return
    for found in imports(path, tree):
        if found.package in ("drivers", "sim", "tui") and not found.lazy:
            yield found.line, f"import {found.package} inside the function that needs it"


def ave_points_one_way(path: str, tree: ast.Module) -> Iterator[Complaint]:
    if not in_control_plane(path):
        return
    part = path.split("/")[1].removesuffix(".py")
    if part not in INSIDE_AVE:
        yield 1, f"add a row for {part} to INSIDE_AVE in tests/tidy.py"
        return
    for found in imports(path, tree):
        ours = found.target.split(".")[1:2] if found.package == "ave" else []
        if ours and ours[0] not in (part, *INSIDE_AVE[part]):
            yield found.line, f"ave.{part} must not import ave.{ours[0]}"


def ave_knows_no_world(path: str, tree: ast.Module) -> Iterator[Complaint]:
    if not in_control_plane(path):
        return
    for found in imports(path, tree):
        allowed = found.module in STANDARD_LIBRARY or found.package in (*PACKAGES, *THIRD_PARTY)
        if not allowed and (path, found.target) not in LET_IN_ONCE:
            yield found.line, f"{found.target} is not for ave/: take it from a port, or add it to STANDARD_LIBRARY"


def simulation_has_its_own_time_and_chance(path: str, tree: ast.Module) -> Iterator[Complaint]:
    if not in_simulation(path):
        return
    excepted, _why = FACES_THE_MACHINE.get(path, ((), ""))
    for found in imports(path, tree):
        if found.package in REAL_TIME_AND_CHANCE and found.target != "random.Random" and found.package not in excepted:
            yield found.line, f"{found.target} is not for a simulated world: see FACES_THE_MACHINE in tests/tidy.py"


def only_one_module_knows_simpy(path: str, tree: ast.Module) -> Iterator[Complaint]:
    for found in imports(path, tree):
        if found.package == "simpy" and not path.startswith(KNOW_SIMPY):
            yield found.line, "only drivers/sim/runtime.py imports simpy"


def finally_never_waits(path: str, tree: ast.Module) -> Iterator[Complaint]:
    """Power loss skips it and cancellation interrupts it: undo work belongs to leases and Jobs."""
    if not replayed(path):
        return
    for block in ast.walk(tree):
        if isinstance(block, ast.Try | ast.TryStar):
            for node in _inside(block.finalbody):
                if isinstance(node, _WAITS):
                    yield node.lineno, "finally must not await"


def no_async_generators(path: str, tree: ast.Module) -> Iterator[Complaint]:
    """One that was left half-way is closed by whoever collects the garbage."""
    if not replayed(path):
        return
    for node in ast.walk(tree):
        match node:
            case ast.AsyncFunctionDef(body=body):
                generates = any(isinstance(inner, ast.Yield) for inner in _inside(body))
            case ast.GeneratorExp(elt=made, generators=parts):
                awaits = any(isinstance(inner, ast.Await) for inner in ast.walk(made))
                generates = awaits or any(part.is_async for part in parts)
            case _:
                continue
        if generates:
            yield node.lineno, "no async generators: return an object with next() and close()"


def order_is_the_same_in_every_run(path: str, tree: ast.Module) -> Iterator[Complaint]:
    if not replayed(path):
        return
    for node in ast.walk(tree):
        for iterated in _iterated(node):
            if _is_set(iterated):
                yield iterated.lineno, "a set has another order in each run: iterate a list, a dict or sorted(...)"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("id", "hash"):
            yield node.lineno, f"{node.func.id}() differs from run to run"


def errors_are_not_swallowed(path: str, tree: ast.Module) -> Iterator[Complaint]:
    if path.startswith("tests/"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            catches_all = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            if catches_all and all(ast.unparse(statement) in ("pass", "...") for statement in node.body):
                yield node.lineno, "swallows every error"


def _inside(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """These statements and all in them, but not the bodies of functions defined there: those run another time."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def _iterated(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.For(iter=iterated) | ast.AsyncFor(iter=iterated) | ast.comprehension(iter=iterated):
            return [iterated]
        case ast.Starred(value=iterated) | ast.YieldFrom(value=iterated):
            return [iterated]
        case ast.Call(func=ast.Name(id="list" | "tuple" | "iter" | "enumerate" | "zip" | "map" | "filter"), args=args):
            return args
    return []


def _is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, right=right):
            return _is_set(left) or _is_set(right)
    return False


RULES: tuple[Rule, ...] = (
    packages_point_one_way,
    command_line_is_lazy,
    ave_points_one_way,
    ave_knows_no_world,
    simulation_has_its_own_time_and_chance,
    only_one_module_knows_simpy,
    finally_never_waits,
    no_async_generators,
    order_is_the_same_in_every_run,
    errors_are_not_swallowed,
)
