"""What the package shows to the world is complete, sorted, lazy and described."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pytest_spidra

HOME = Path(pytest_spidra.__file__).parent


def test_the_names_are_sorted_and_unique():
    assert pytest_spidra.__all__ == sorted(set(pytest_spidra.__all__))


@pytest.mark.parametrize("name", pytest_spidra.__all__)
def test_a_public_name_is_imported_from_the_package(name):
    value = getattr(pytest_spidra, name)
    assert value.__name__ == name
    assert value.__module__.startswith("pytest_spidra")


@pytest.mark.parametrize("name", pytest_spidra.__all__)
def test_a_public_name_is_described(name):
    value = getattr(pytest_spidra, name)
    assert len(inspect.getdoc(value) or "") > 10
    if not inspect.isclass(value):
        return
    for word, member in vars(value).items():
        if not word.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
            assert inspect.getdoc(member), f"{name}.{word} is not described"


def test_a_star_import_brings_every_name():
    space = {}
    exec("from pytest_spidra import *", space)  # noqa: S102 - the statement under test
    assert set(pytest_spidra.__all__) <= set(space)


def test_type_checkers_see_the_same_names():
    """What is imported for type checkers is what ``__all__`` lists, and each comes from where they are told."""
    tree = ast.parse((HOME / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {
        alias.name: node.module.removeprefix("pytest_spidra.") for node in block.body for alias in node.names
    }
    assert sorted(told) == pytest_spidra.__all__
    for name, home in told.items():
        assert getattr(pytest_spidra, name) is getattr(import_module(f"pytest_spidra.{home}"), name)


def test_every_function_that_returns_a_step_is_public():
    modules = [import_module(f"pytest_spidra.scripting.{name}") for name in ("steps", "lost", "known_errors")]
    steps = {
        name
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and value.__annotations__.get("return") == "Step"
        and name != "step_of"
    }
    assert steps <= set(pytest_spidra.__all__)
    assert len(steps) >= 10


@pytest.mark.parametrize("name", ["nothing", "Scripts", "HttpError"])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"^module 'pytest_spidra' has no attribute '{name}'$"):
        getattr(pytest_spidra, name)


def test_dir_lists_the_names():
    assert dir(pytest_spidra) == sorted([*pytest_spidra.__all__, "__version__"])


def test_a_name_is_imported_when_it_is_first_used():
    code = (
        "import sys, pytest_spidra\n"
        "assert 'pytest_spidra.scripting.steps' not in sys.modules\n"
        "pytest_spidra.ok()\n"
        "assert 'pytest_spidra.scripting.steps' in sys.modules\n"
        "assert 'pytest_spidra.fixtures.mock' not in sys.modules\n"
        "assert 'httpx' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - our own code


def test_writing_a_script_imports_no_http_library():
    """Steps and outcomes cost a test module nothing at collection."""
    code = (
        "import sys\n"
        "from pytest_spidra import Account, completed, failed, http_error, reply_lost, stuck\n"
        "print({'httpx', 'respx', 'vcr', 'asyncio', 'ssl', 'anyio'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own code
    assert done.stdout == "set()\n"


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version  # noqa: PLC0415 - only here

    assert pytest_spidra.__version__ == version("pytest-spidra")


def test_the_package_says_that_it_is_typed():
    assert (HOME / "py.typed").exists()
