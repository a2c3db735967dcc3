"""The house keeps its floors: a room imports only from floors below it, and no circle is anywhere."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pytest_spidra

HOME = Path(pytest_spidra.__file__).parent

# A room is a sub-package, or a file of the root. Rooms of one floor import nothing from each other.
FLOORS = {
    1: "traffic clock",
    2: "fake scripting verdicts verdicts.rules clients server secrets",
    3: "fixtures interception cassettes settings",
    4: "sessions",
    5: "__init__ plugin cli",
    6: "__main__ conformance",
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms.split()}
BELOW = {("verdicts", "verdicts.rules")}  # the one room within a room


def module_of(path):
    """Return the dotted name of a file, below the package: ``fake.batch``; of a package its own: ``fake``."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(module):
    """Return the room that a module is in, as the table names it."""
    for room in sorted(FLOOR, key=len, reverse=True):
        if module == room or module.startswith(f"{room}."):
            return room
    return None


def imported(source, path, modules):
    """Yield the modules of ours that a file imports, anywhere and for type checking too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            package = ("pytest_spidra", *path.parts[: -node.level])
            names = [".".join([*package, *filter(None, [node.module]), alias.name]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            ours, _, rest = name.partition(".")
            if ours != "pytest_spidra":
                continue
            while rest and rest not in modules:
                rest = rest.rpartition(".")[0]
            yield rest or "__init__"


def offences(home):
    """Return a sentence for each import that goes up or sideways, each module without a floor, each circle."""
    paths = {module_of(path.relative_to(home)): path.relative_to(home) for path in home.rglob("*.py")}
    found = []
    graph = {}
    for module, path in paths.items():
        mine = room_of(module)
        if mine is None:
            found.append(f"{path} is in no room: add it to the table")
            continue
        graph[module] = set()
        for other in imported((home / path).read_text(), path, paths):
            theirs = room_of(other)
            if theirs is None:
                found.append(f"{path} imports {other}, which is in no room")
            elif theirs != mine and (mine, theirs) not in BELOW and FLOOR[theirs] >= FLOOR[mine]:
                found.append(f"{path} (floor {FLOOR[mine]}) imports {other} (floor {FLOOR[theirs]})")
            elif other != module:
                graph[module].add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"a circle: {' imports '.join(reversed(error.args[1]))}")
    return found


def test_no_import_goes_up_or_sideways_and_none_goes_in_a_circle():
    assert offences(HOME) == []


@pytest.mark.parametrize(
    ("path", "source", "offence"),
    [
        ("verdicts/rules/judge.py", "from pytest_spidra.traffic.exchanges import Exchange", None),
        ("verdicts/messages.py", "from pytest_spidra.verdicts.rules import judge", None),
        ("verdicts/messages.py", "import httpx, json", None),
        (
            "verdicts/rules/judge.py",
            "from pytest_spidra.verdicts import messages",
            "verdicts/rules/judge.py (floor 2) imports verdicts (floor 2)",
        ),
        (
            "traffic/exchanges.py",
            "from pytest_spidra.scripting import steps",
            "traffic/exchanges.py (floor 1) imports scripting (floor 2)",
        ),
        (
            "scripting/steps.py",
            "from pytest_spidra.fake.batch import Item",
            "scripting/steps.py (floor 2) imports fake (floor 2)",
        ),
        (
            "scripting/steps.py",
            "if TYPE_CHECKING:\n    from pytest_spidra.fixtures.mock import SpidraMock",
            "scripting/steps.py (floor 2) imports fixtures (floor 3)",
        ),
        (
            "interception/upstreams.py",
            "def late():\n    import pytest_spidra.plugin",
            "interception/upstreams.py (floor 3) imports plugin (floor 5)",
        ),
        (
            "clients/httpx.py",
            "from ..sessions.session import Session",
            "clients/httpx.py (floor 2) imports sessions (floor 4)",
        ),
        ("clients/httpx.py", "from . import network_guard", None),
        ("attic/chest.py", "", "attic/chest.py is in no room: add it to the table"),
        (
            "fixtures/mock.py",
            "import pytest_spidra",
            "fixtures/mock.py (floor 3) imports __init__ (floor 5)",
        ),
    ],
)
def test_an_import_is_judged_by_its_floors(tmp_path, path, source, offence):
    for room in FLOOR:
        file = tmp_path.joinpath(*room.split("."))
        (file.with_suffix(".py") if room in FILES else file / "__init__.py").parent.mkdir(
            parents=True, exist_ok=True
        )
        (file.with_suffix(".py") if room in FILES else file / "__init__.py").write_text("")
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(source)
    assert offences(tmp_path) == ([offence] if offence else [])


FILES = {"__init__", "plugin", "__main__"}


def test_a_circle_inside_a_room_is_an_offence(tmp_path):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "batch.py").write_text("from pytest_spidra.fake import service")
    (tmp_path / "fake" / "service.py").write_text(
        "if TYPE_CHECKING:\n    from pytest_spidra.fake.batch import Item"
    )
    (offence,) = offences(tmp_path)
    assert offence.startswith("a circle: fake.")


def test_the_fake_service_knows_no_http_library_no_pytest_and_no_clock():
    """Values in, values out: what it imports from elsewhere neither asks nor waits."""
    allowed = {
        *("__future__", "collections", "copy", "dataclasses", "datetime", "difflib", "enum", "functools"),
        *("hashlib", "ipaddress", "itertools", "json", "math", "re", "types", "typing", "urllib", "uuid"),
        *("io", "zipfile"),  # an archive in memory
        "abc",  # what every kind of job has to say
        "socket",  # inet_aton reads addresses, without asking anybody
    }
    used = set()
    for path in (HOME / "fake").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                used.add(node.module.partition(".")[0])
    assert used - allowed - {"pytest_spidra"} == set()


def test_no_file_is_long_and_few_are_longer_than_300_lines():
    lengths = {path: len(path.read_text().splitlines()) for path in HOME.rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > 450} == {}
    assert len([path for path, length in lengths.items() if length > 300]) <= 4


def test_the_root_holds_five_files_at_most():
    assert len(list(HOME.glob("*.py"))) <= 5


def test_the_rooms_are_few_and_know_few_others():
    """A room within a room counts as one with it."""
    paths = {module_of(path.relative_to(HOME)): path.relative_to(HOME) for path in HOME.rglob("*.py")}
    outer = {room: room.partition(".")[0] for room in FLOOR}
    arrows = {
        (outer[room_of(module)], outer[room_of(other)])
        for module, path in paths.items()
        for other in imported((HOME / path).read_text(), path, paths)
    }
    arrows -= {(room, room) for room in outer.values()}
    assert len(set(outer.values())) <= 18
    assert len(arrows) <= 50
    assert len(FLOORS) <= 6
