"""Whoever repeats a test, in one process or in several, records it once."""

from __future__ import annotations

import threading

import pytest

from pytest_spidra.cassettes.locks import alone_with

REPEATED = """
@pytest.mark.parametrize("__pytest_repeat_step_number", range(3), ids=["1-3", "2-3", "3-3"])
@pytest.mark.spidra(modes="replay")
def test_prices(spidra_api, __pytest_repeat_step_number):
    with plain(spidra_api) as client:
        submit(client)
"""

ONE = """
def test_prices(spidra_api):
    with plain(spidra_api) as client:
        submit(client)
"""


@pytest.mark.parametrize("how", ["once", "all"])
def test_what_this_run_has_recorded_is_replayed_when_the_test_is_repeated(how, suite, record, api, cassettes):
    suite(REPEATED)(*record(how)).assert_outcomes(passed=3)
    assert len(api.requests()) == 1
    assert cassettes.names == ["test_shop/test_prices.yaml"]


@pytest.mark.slow
def test_workers_that_repeat_a_test_record_it_once(suite, record, api, cassettes, pytester):
    suite(REPEATED)
    result = pytester.runpytest_subprocess(
        "-p", "no:hypothesispytest", "-n", "2", *record("all"), timeout=100
    )
    result.assert_outcomes(passed=3)
    assert len(api.requests()) == 1


def test_a_recorded_test_says_so_under_the_id_that_it_has_when_it_is_replayed(suite, record):
    run = suite(ONE, ini="spidra_modes = replay\n")
    run("-v", *record()).stdout.fnmatch_lines(["test_shop.py::test_prices?replay? RECORDED*"])
    run("-v").stdout.fnmatch_lines(["test_shop.py::test_prices?replay? PASSED*"])


def test_one_waits_until_the_other_has_recorded_the_same_test_and_nobody_for_another(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path, order = tmp_path / "a.yaml", []

    def second():
        with alone_with(path, "a"):
            order.append("second")

    thread = threading.Thread(target=second)
    with alone_with(path, "a"):
        thread.start()
        with alone_with(path, "b"):
            thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []
