"""Which fixture answers a test, in which mode, and what is said when it cannot be."""

from hashlib import sha256

import pytest

CASSETTE = """interactions: []
version: 1
"""


@pytest.fixture
def cassette(pytester):
    """Write a cassette of a test that sends nothing."""

    def cassette(name):
        path = pytester.path / "cassettes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CASSETTE)

    return cassette


def test_a_test_runs_once_for_each_mode_and_its_id_shows_it(run_tests, cassette):
    """Without a marker it is mocked and replayed."""
    cassette("test_a_test_runs_once_for_each_mode_and_its_id_shows_it/test_it.yaml")
    result = run_tests("def test_it(spidra_api): print(f'<{spidra_api.mode}>')", "-v", "-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_it?mock? <mock>*", "*::test_it?replay? <replay>*"])


@pytest.mark.parametrize(
    ("marked", "ini", "ids"),
    [
        ('modes=("mock",)', "", ["mock"]),
        ('modes="mock"', "", ["mock"]),
        ('modes=["replay"]', "", ["replay"]),
        ("", "spidra_modes = mock", ["mock"]),
        ("", "spidra_modes = replay, mock", ["replay", "mock"]),
        ('modes=("replay",)', "spidra_modes = mock", ["replay"]),
    ],
)
def test_the_marker_goes_before_the_ini_option(run_tests, marked, ini, ids):
    source = f"import pytest\n@pytest.mark.spidra({marked})\ndef test_it(spidra_api): pass"
    result = run_tests(source, "--collect-only", "-q", ini=ini)
    shown = [line.partition("[")[2].rstrip("]") for line in result.outlines if "::test_it" in line]
    assert shown == ids


@pytest.mark.parametrize(
    ("modes", "told"),
    [
        ('("mock", "reply")', "*'reply' is no mode. Did you mean 'replay'? It takes *"),
        (
            '("record",)',
            "'record' is no mode. Recording is asked for on the command line, with --spidra-record. *",
        ),
        ("()", "*each mode once, and at least one. It takes*"),
        ('("mock", "mock")', "*each mode once, and at least one. It takes*"),
    ],
)
def test_a_wrong_mode_is_a_sentence_when_tests_are_collected(run_tests, modes, told):
    source = f"import pytest\n@pytest.mark.spidra(modes={modes})\ndef test_it(spidra_api): pass"
    result = run_tests(source)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*::test_it: @pytest.mark.spidra(modes=…): {told}"])


@pytest.mark.parametrize("record", ["none", "once", "all"])
def test_a_test_has_the_same_id_mocked_recorded_and_replayed(run_tests, record):
    result = run_tests("def test_it(spidra_api): pass", "--collect-only", "-q", f"--spidra-record={record}")
    shown = [line.partition("[")[2].rstrip("]") for line in result.outlines if "::test_it" in line]
    assert shown == ["mock", "replay"]


def test_each_parameter_and_each_class_has_a_cassette_of_its_own(run_tests, cassette):
    folder = "test_each_parameter_and_each_class_has_a_cassette_of_its_own"
    for name in (
        "test_it[a].yaml",
        f"test_it[b_c]-{sha256(b'test_it[b/c]').hexdigest()[:8]}.yaml",
        "TestX.TestY.test_it.yaml",
        "named.yaml",
        "x/deep.json",
    ):
        cassette(f"{folder}/{name}" if "test_it" in name else name)
    result = run_tests(
        """
        import pytest
        pytestmark = pytest.mark.spidra(modes="replay")
        @pytest.mark.parametrize("word", ["a", "b/c"])
        def test_it(spidra_api, word): pass
        class TestX:
            class TestY:
                def test_it(self, spidra_api): pass
        @pytest.mark.spidra(cassette="named")
        def test_named(spidra_api): pass
        @pytest.mark.spidra(cassette="x/deep.json")
        def test_deep(spidra_api): pass
        """
    )
    result.assert_outcomes(passed=5)


def test_a_name_too_long_for_a_file_is_cut_and_still_its_own(run_tests):
    source = f"""
        import pytest
        @pytest.mark.parametrize("end", "ab")
        @pytest.mark.spidra(modes="replay")
        def test_{"x" * 250}(spidra_api, end): pass
    """
    result = run_tests(source)
    result.assert_outcomes(failed=2)
    named = {line for line in result.outlines if line.endswith(".yaml") and "/cassettes/" in line}
    assert len(named) == 2


@pytest.mark.parametrize(
    ("fixtures", "told"),
    [
        ("spidra_server, spidra_mock", "spidra_mock cannot start: this test has another of *"),
        ("spidra_mock, spidra_server", "spidra_server cannot start: this test has another of *"),
        ("spidra_server, spidra_api", "spidra_api cannot start: this test has another of *"),
    ],
)
def test_two_that_cannot_both_answer_are_refused(run_tests, fixtures, told):
    result = run_tests(f"def test_it({fixtures}): pass", ini="spidra_modes = mock")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([told])


def test_mocked_spidra_api_and_spidra_mock_are_the_same(run_tests, cassette):
    """In a replay there is no fake, and asking for it is refused."""
    cassette("test_mocked_spidra_api_and_spidra_mock_are_the_same/test_it.yaml")
    result = run_tests("def test_it(spidra_api, spidra_mock): assert spidra_api is spidra_mock")
    result.assert_outcomes(passed=1, errors=1)


def test_the_factory_works_on_whatever_answers(run_tests):
    result = run_tests(
        """
        def test_alone(spidra_batch_factory): assert len(spidra_batch_factory(2).urls) == 2
        def test_mock(spidra_batch_factory, spidra_mock):
            assert [spidra_batch_factory(failed=1)] == spidra_mock.batches
            assert spidra_mock.batches[0].failed_urls == ["https://example.com/3"]
        def test_api(spidra_batch_factory, spidra_api):
            assert [spidra_batch_factory(failed=1)] == spidra_api.batches
            assert spidra_api.batches[0].failed_urls == ["https://unresolvable-1.invalid/"]
        def test_server(spidra_batch_factory, spidra_server):
            assert [spidra_batch_factory(failed=1)] == spidra_server.batches
            assert spidra_server.batches[0].failed_urls == ["https://example.com/3"]
        def test_late(request):
            assert request.getfixturevalue("spidra_api").mode == "mock"
        """,
        ini="spidra_modes = mock",
    )
    result.assert_outcomes(passed=5)


@pytest.mark.parametrize(
    "name", ["account", "credits", "batches", "router", "assert_credits", "batch.outcomes"]
)
def test_what_only_the_fake_has_is_refused_in_a_replay_with_a_sentence(run_tests, cassette, name):
    cassette("named.yaml")
    result = run_tests(
        f"""
        import pytest
        @pytest.mark.spidra(cassette="named")
        def test_it(spidra_api): spidra_api.{name}
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [f"E * AttributeError: {name} belongs to the fake service, *modes=('mock',)*"]
    )


def test_a_misspelt_name_is_no_matter_of_the_fake(run_tests, cassette):
    cassette("named.yaml")
    result = run_tests(
        """
        import pytest
        @pytest.mark.spidra(modes="replay", cassette="named")
        def test_it(spidra_api): spidra_api.exchange
        """
    )
    result.stdout.fnmatch_lines(["E * AttributeError: 'SpidraApi' object has no attribute 'exchange'*"])


def test_a_scripted_step_that_was_not_reached_fails_a_served_test_too(run_tests):
    result = run_tests(
        """
        from pytest_spidra import failed
        def test_step(spidra_server): spidra_server.batch.submit.script(503)
        def test_outcome(spidra_server): spidra_server.batch.outcomes({"https://a.example/": failed()})
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "    batch.submit: http_error(503) (step 1 of 1)",
            "    batch.outcomes: no batch had the URL https://a.example/*",
        ]
    )


def test_the_extra_is_named_when_h11_is_missing(run_tests):
    result = run_tests(
        """
        import sys, pytest
        @pytest.fixture
        def without(monkeypatch):
            monkeypatch.setitem(sys.modules, "h11", None)
            for name in ("pytest_spidra.sessions.server", "pytest_spidra.server.listener", "pytest_spidra.server.connection"):
                monkeypatch.delitem(sys.modules, name, raising=False)
        def test_it(without, spidra_server): pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["spidra_server cannot start: *h11*pip install 'pytest-spidra?server?'*"])
