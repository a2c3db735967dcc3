"""Names of cassettes: one for each test, whatever runs it, and none for two."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_spidra.cassettes.naming import cassette_name, own_id

FILE = "tests/unit/test_shop.py"


def name(nodeid, **parameters):
    return str(cassette_name(own_id(nodeid, parameters)))


@pytest.mark.parametrize(
    ("nodeid", "path"),
    [
        ("test_shop.py::test_it", "test_shop/test_it"),
        (f"{FILE}::test_it", "tests/unit/test_shop/test_it"),
        (f"{FILE}::TestCart::TestFull::test_it", "tests/unit/test_shop/TestCart.TestFull.test_it"),
        (f"{FILE}::test_it[2]", "tests/unit/test_shop/test_it[2]"),
        (f"{FILE}::test_it[a-b]", "tests/unit/test_shop/test_it[a-b]"),
    ],
)
def test_a_plain_name_is_the_id_below_the_folder_of_its_module(nodeid, path):
    assert name(nodeid) == path


@pytest.mark.parametrize("mode", ["mock", "replay"])
def test_the_mode_is_no_part_of_the_name(mode):
    assert name(f"{FILE}::test_it[{mode}]", spidra_api=mode) == "tests/unit/test_shop/test_it"
    assert name(f"{FILE}::test_it[2-{mode}]", n=2, spidra_api=mode) == "tests/unit/test_shop/test_it[2]"
    assert (
        name(f"{FILE}::test_it[{mode}-{mode}]", n=mode, spidra_api=mode)
        == f"tests/unit/test_shop/test_it[{mode}]"
    )


def test_a_parameter_that_reads_like_a_mode_stays():
    assert name(f"{FILE}::test_it[replay]", how="replay") == "tests/unit/test_shop/test_it[replay]"


@pytest.mark.parametrize("step", range(3))
def test_a_repetition_is_no_other_test(step):
    """As pytest-repeat, pytest-flakefinder and pytest-xdist's groups make their ids."""
    repeat = {"__pytest_repeat_step_number": step}
    assert name(f"{FILE}::test_it[{step + 1}-3]", **repeat) == name(f"{FILE}::test_it")
    assert name(f"{FILE}::test_it[1-2-replay-{step + 1}-3]", n="1-2", spidra_api="replay", **repeat) == name(
        f"{FILE}::test_it[1-2]"
    )
    flake = {"__flakefinder_test_it": step}
    assert name(f"{FILE}::test_it[{step}-{step}-mock]", n=step, spidra_api="mock", **flake) == name(
        f"{FILE}::test_it[{step}]"
    )
    assert name(f"{FILE}::test_it[a]@group", n="a") == name(f"{FILE}::test_it[a]")
    assert name(f"{FILE}::test_it@group") == name(f"{FILE}::test_it")


ALIKE = [
    f"{FILE}::test_it",
    *(
        f"{FILE}::test_it[{ids}]"
        for ids in ("a/b", "a:b", "a b", "a_b", "a\\b", "A", "a", "é", "e", "a.", "a-b", ".")
    ),
    *(f"{FILE}::test_it[{'x' * n}]" for n in (140, 200, 201, 5000)),
    *(
        f"{FILE}::{test}"
        for test in ("test_It", "TestA::test_it", "TestA.test_it", "test_it[con]", "test_it[a]b]")
    ),
    "tests/live/test_shop.py::test_it",
    "tests/unit.test_shop.py::test_it",
    "../test_shop.py::test_it",
    "up/test_shop.py::test_it",
    "con/test_shop.py::test_it",
    "a:b/test_shop.py::test_it",
    "test_shop.py::test_it[a::b]",
    "test_shop.py::test_it[..]",
]


def test_no_two_tests_have_one_name_in_any_file_system():
    names = [name(one).lower() for one in ALIKE if one != f"{FILE}::TestA.test_it"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("nodeid", ALIKE, ids=range(len(ALIKE)))
def test_a_name_is_one_that_every_file_system_has(nodeid):
    path = PurePosixPath(name(nodeid))
    assert not path.is_absolute()
    for part in path.parts:
        assert not re.search(r'[<>:"|?*\\\x00-\x1f]', part)
        assert len(part.encode()) <= 150
        assert part not in {".", "..", "con"}


ids = st.text(st.characters(exclude_characters="]@"), min_size=1, max_size=12)


@given(ids, ids)
def test_two_ids_have_one_name_only_when_they_are_one(one, other):
    same = name(f"{FILE}::test_it[{one}]").lower() == name(f"{FILE}::test_it[{other}]").lower()
    assert same == (one == other)
