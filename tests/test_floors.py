"""The house keeps its floors: imports go down only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pytest_spidra

HOME = Path(pytest_spidra.__file__).parent

# A package's floor is that of all its modules.
FLOORS = {
    1: "fake exchanges log redaction clock messages batches mermaid words network_errors virtual_time",
    2: "clients scripts timeline cassettes rules verdicts",
    3: "interceptor upstreams assertions conformance",
    4: "mock factory recorded_factory stage session cassette_sessions server",
    5: "plugin cli __init__ __main__",
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names.split()}


def modules(home):
    return sorted(path.relative_to(home) for path in home.rglob("*.py"))


def top(path):
    """Return the module or the package directly below ours to which a file belongs."""
    return path.parts[0].removesuffix(".py")


def imported(source, path):
    """Yield the parts of ours that a file imports, anywhere and for type checking too: ``fake.batch``."""
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
            if ours == "pytest_spidra":
                yield rest or "__init__"


def offences(home):
    """Return a sentence for each import that goes up, and for each module without a floor."""
    found = []
    for path in modules(home):
        mine = top(path)
        if mine not in FLOOR:
            found.append(f"{path} has no floor: add it to the table")
            continue
        for name in imported((home / path).read_text(), path):
            theirs = name.partition(".")[0]
            if theirs not in FLOOR:
                found.append(f"{path} imports {name}, which has no floor")
            elif FLOOR[theirs] > FLOOR[mine]:
                found.append(f"{path} (floor {FLOOR[mine]}) imports {name} (floor {FLOOR[theirs]})")
            elif mine == "fake" and theirs not in {"fake", "messages"}:
                found.append(f"{path} imports {name}: the fake service knows nothing but messages")
    return found


def test_no_import_goes_up():
    assert offences(HOME) == []


def test_there_is_a_house():
    assert {top(path) for path in modules(HOME)} >= {"fake", "clients", "interceptor", "session", "plugin"}


@pytest.mark.parametrize(
    ("path", "source", "offence"),
    [
        ("rules.py", "from pytest_spidra.exchanges import Exchange", None),
        ("rules.py", "import httpx, json", None),
        ("scripts.py", "from pytest_spidra import timeline", None),
        (
            "exchanges.py",
            "from pytest_spidra import scripts",
            "exchanges.py (floor 1) imports scripts (floor 2)",
        ),
        (
            "scripts.py",
            "if TYPE_CHECKING:\n    from pytest_spidra.mock import SpidraMock",
            "scripts.py (floor 2) imports mock.SpidraMock (floor 4)",
        ),
        (
            "upstreams.py",
            "def late():\n    import pytest_spidra.plugin",
            "upstreams.py (floor 3) imports plugin (floor 5)",
        ),
        (
            "clients/httpx.py",
            "from ..session import Session",
            "clients/httpx.py (floor 2) imports session.Session (floor 4)",
        ),
        ("clients/httpx.py", "from . import network_guard", None),
        (
            "fake/batch.py",
            "from pytest_spidra.exchanges import Exchange",
            "fake/batch.py imports exchanges.Exchange: the fake service knows nothing but messages",
        ),
        ("fake/batch.py", "from pytest_spidra.messages import Reply", None),
        ("attic.py", "", "attic.py has no floor: add it to the table"),
        ("mock.py", "import pytest_spidra.attic", "mock.py imports attic, which has no floor"),
        ("mock.py", "import pytest_spidra", "mock.py (floor 4) imports __init__ (floor 5)"),
    ],
)
def test_an_import_is_judged_by_its_floors(tmp_path, path, source, offence):
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(source)
    assert offences(tmp_path) == ([offence] if offence else [])


def test_the_fake_service_knows_no_http_library_no_pytest_and_no_clock():
    """Values in, values out: what it imports from elsewhere neither asks nor waits."""
    allowed = {
        *("__future__", "collections", "copy", "dataclasses", "datetime", "difflib", "enum", "functools"),
        *("hashlib", "ipaddress", "itertools", "json", "math", "re", "types", "typing", "urllib", "uuid"),
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
