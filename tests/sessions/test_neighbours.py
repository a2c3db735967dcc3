"""Other plugins, and other styles of tests, live beside this one in the same test."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

beside_httpx_mock = pytest.mark.skipif(
    find_spec("pytest_httpx") is None, reason="pytest-httpx does not go with the lowest httpx that we support"
)

OTHER = "https://other.example/"

ORDERS = ["spidra_mock, {}", "{}, spidra_mock"]


@pytest.mark.parametrize("order", ORDERS)
def test_respx_mock_answers_other_hosts_in_either_order(run_tests, order):
    run_tests(
        f"""
        import asyncio, httpx

        def test_both({order.format("respx_mock")}):
            route = respx_mock.get("{OTHER}").respond(201)
            assert httpx.get("{OTHER}").status_code == 201
            assert httpx.get(spidra_mock.base_url + "/batch/scrape").status_code == 401

            async def both():
                async with httpx.AsyncClient() as client:
                    return [
                        (await client.get(url)).status_code
                        for url in ("{OTHER}", spidra_mock.base_url + "/batch/scrape")
                    ]

            assert asyncio.run(both()) == [201, 401]
            assert route.call_count == 2
            assert len(spidra_mock.exchanges) == 2
        """
    ).assert_outcomes(passed=1)


@beside_httpx_mock
@pytest.mark.parametrize("order", ORDERS)
def test_httpx_mock_answers_other_hosts_in_either_order(run_tests, order):
    run_tests(
        f"""
        import asyncio, httpx

        def test_both({order.format("httpx_mock")}):
            httpx_mock.add_response(url="{OTHER}", status_code=201, is_reusable=True)
            assert httpx.get("{OTHER}").status_code == 201
            assert httpx.get(spidra_mock.base_url + "/batch/scrape").status_code == 401

            async def both():
                async with httpx.AsyncClient() as client:
                    return [
                        (await client.get(url)).status_code
                        for url in ("{OTHER}", spidra_mock.base_url + "/batch/scrape")
                    ]

            assert asyncio.run(both()) == [201, 401]
            assert len(httpx_mock.get_requests()) == 2
            assert len(spidra_mock.exchanges) == 2
        """
    ).assert_outcomes(passed=1)


@beside_httpx_mock
@pytest.mark.parametrize("order", ORDERS)
def test_a_request_in_a_users_fixture_is_answered_beside_httpx_mock(run_tests, order):
    """A fixture of the user's that submits at setup meets the fake, whichever fixture came first."""
    run_tests(
        f"""
        import httpx, pytest

        @pytest.fixture
        def status({order.format("httpx_mock")}):
            return httpx.get(spidra_mock.base_url + "/batch/scrape").status_code

        def test_it(status):
            assert status == 401
        """
    ).assert_outcomes(passed=1)


@beside_httpx_mock
def test_httpx_mock_still_fails_a_test_that_asks_an_unknown_host(run_tests):
    result = run_tests(
        """
        import httpx

        def test_it(spidra_mock, httpx_mock):
            httpx.get("https://unknown.example/")
        """
    )
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["*No response can be found for GET request on https://unknown.example/*"])


@pytest.mark.parametrize("order", ORDERS)
def test_a_greedy_respx_router_gets_none_of_our_requests(run_tests, order):
    run_tests(
        f"""
        import httpx, pytest, respx

        @pytest.fixture
        def greedy():
            with respx.mock(assert_all_mocked=False) as router:
                yield router

        def test_it({order.format("greedy")}):
            spidra_mock.batch.list.script(503)
            assert httpx.get(spidra_mock.base_url + "/batch/scrape").status_code == 503
            assert httpx.get("https://unknown.example/").status_code == 200
        """
    ).assert_outcomes(passed=1)


def test_monkeypatching_a_transport_inside_a_test_is_undone_with_it(run_tests):
    run_tests(
        """
        import httpx

        def test_patched(spidra_mock, monkeypatch):
            answer = httpx.Response(299)
            monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda self, request: answer)
            assert httpx.get(spidra_mock.base_url + "/batch/scrape").status_code == 299

        def test_not_patched(spidra_mock):
            assert httpx.get(spidra_mock.base_url + "/batch/scrape").status_code == 401
        """
    ).assert_outcomes(passed=2)


ASYNC = """
import asyncio, httpx, pytest

{mark}
async def test_async(spidra_mock, spidra_batch_factory):
    spidra_mock.batch.get.script(503)
    url = spidra_mock.base_url + "/batch/scrape/" + spidra_batch_factory().id
    async with httpx.AsyncClient(headers={{"x-api-key": "k"}}) as client:
        assert [(await client.get(url)).status_code for _ in range(2)] == [503, 200]

{mark}
async def test_unknown(spidra_mock):
    async with httpx.AsyncClient() as client:
        await client.get(spidra_mock.base_url + "/batch")

{mark}
async def test_unused(spidra_mock):
    spidra_mock.batch.get.script(503)

def test_sync(spidra_mock):
    assert httpx.get(spidra_mock.base_url + "/batch/scrape").status_code == 401
"""


@pytest.mark.parametrize(
    ("mark", "ini"),
    [
        ("", "asyncio_mode = auto"),
        ("@pytest.mark.asyncio", "asyncio_mode = strict"),
        ("@pytest.mark.anyio", "asyncio_mode = strict"),
    ],
    ids=["pytest-asyncio auto", "pytest-asyncio strict", "anyio"],
)
def test_async_plugins_run_tests_with_the_synchronous_fixtures(run_tests, mark, ini):
    backend = '@pytest.fixture\ndef anyio_backend():\n    return "asyncio"\n' if "anyio" in mark else ""
    result = run_tests(ASYNC.format(mark=mark) + backend, ini=ini)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["FAILED *::test_unknown - Failed: *", "FAILED *::test_unused - Failed: *"])


def test_an_async_fixture_uses_the_mock(run_tests):
    run_tests(
        """
        import httpx, pytest

        @pytest.fixture
        async def listed(spidra_mock):
            async with httpx.AsyncClient() as client:
                yield (await client.get(spidra_mock.base_url + "/batch/scrape")).status_code

        async def test_it(listed, spidra_mock):
            assert listed == 401
            assert len(spidra_mock.exchanges) == 1
        """,
        ini="asyncio_mode = auto",
    ).assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.usefixtures("xdist")
def test_workers_of_xdist_each_have_their_own_service(pytester):
    pytester.makepyfile(
        """
        import httpx, pytest

        @pytest.mark.parametrize("number", range(8))
        def test_own(spidra_mock, spidra_batch_factory, number):
            batch = spidra_batch_factory()
            assert batch.id.startswith("00000001-")
            assert httpx.get(spidra_mock.base_url + "/batch/scrape").status_code == 401
            assert len(spidra_mock.exchanges) == 1

        def test_unused(spidra_mock):
            spidra_mock.batch.get.script(503)

        def test_swallowed(spidra_mock):
            try:
                httpx.get(spidra_mock.base_url + "/nothing")
            except BaseException:
                pass
        """
    )
    result = pytester.runpytest_subprocess("-n", "2", "-p", "no:hypothesispytest", timeout=100)
    result.assert_outcomes(passed=8, failed=2)
    result.stdout.fnmatch_lines(["*A scripted step was never reached:*"])
    result.stdout.fnmatch_lines(["*No endpoint of the fake Spidra answers GET /nothing.*"])


@pytest.mark.slow
@pytest.mark.usefixtures("xdist")
@pytest.mark.parametrize("isolated", ["-n0", "-n1"])
def test_repeated_tests_start_from_nothing(pytester, isolated):
    pytester.makepyfile(
        """
        import httpx, pytest

        @pytest.mark.parametrize("again", range(3))
        def test_fresh(spidra_mock, again):
            assert len(spidra_mock.exchanges) == 0
            assert spidra_mock.batches == []
            assert spidra_mock.account.credits == 10_000
            assert (spidra_mock.credits.reserved, spidra_mock.credits.charged) == (0, 0)
            httpx.post(spidra_mock.base_url + "/batch/scrape", json={"urls": ["https://a.example"]},
                       headers={"x-api-key": "k"})
            spidra_mock.batch.get.always(503)
            httpx.get(spidra_mock.base_url + "/batch/scrape/" + spidra_mock.batches[0].id)
        """
    )
    pytester.runpytest_subprocess(isolated, "-p", "no:hypothesispytest", timeout=100).assert_outcomes(
        passed=3
    )


@pytest.mark.slow
def test_no_library_is_imported_for_a_mocked_test(pytester, monkeypatch):
    """A recorder that is not asked for patches nothing, nor does a client; other plugins, which import some, are left out."""
    pytester.makepyfile(
        """
        import sys
        import httpx

        def test_it(spidra_mock, spidra_batch_factory):
            spidra_mock.batch.get.script(503)
            httpx.get(spidra_mock.base_url + "/batch/scrape/" + spidra_batch_factory().id)
            others = {"vcr", "respx", "requests", "spidra", "urllib3", "aiohttp", "httpx2"}
            assert not others & set(sys.modules)
            assert "pytest_spidra.clients.aiohttp" not in sys.modules
        """
    )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = pytester.runpytest_subprocess("-p", "pytest_spidra.plugin", timeout=100)
    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_httpx_is_not_imported_for_a_client_of_another_library(pytester, monkeypatch):
    pytester.makepyfile(
        """
        import sys
        import requests

        def test_it(spidra_mock):
            assert requests.get(spidra_mock.base_url + "/batch/scrape", timeout=5).status_code == 401
            assert not {"httpx", "aiohttp"} & set(sys.modules)
        """
    )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = pytester.runpytest_subprocess("-p", "pytest_spidra.plugin", timeout=100)
    result.assert_outcomes(passed=1)


# -- other styles of tests -----------------------------------------------------------------------------


def test_a_unittest_case_uses_the_mock(run_tests):
    result = run_tests(
        """
        import unittest
        import httpx, pytest

        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _spidra(self, spidra_mock, spidra_batch_factory):
                self.spidra = spidra_mock
                self.batch = spidra_batch_factory()

            def ask(self, path):
                return httpx.get(self.spidra.base_url + path, headers={"x-api-key": "k"})

            def test_passes(self):
                self.spidra.batch.get.script(503)
                self.assertEqual(self.ask("/batch/scrape/" + self.batch.id).status_code, 503)

            def test_unused(self):
                self.spidra.batch.get.script(503)

            def test_unknown(self):
                self.ask("/nothing")

            def test_swallowed(self):
                try:
                    self.ask("/nothing")
                except BaseException:
                    pass

            def test_skipped(self):
                self.spidra.batch.get.script(503)
                self.skipTest("not today")

            def test_own_failure(self):
                self.spidra.batch.get.script(503)
                self.assertEqual(1, 2)

            @unittest.expectedFailure
            def test_expected(self):
                self.assertEqual(1, 2)
        """,
        "-rA",
    )
    result.assert_outcomes(passed=1, failed=4, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "FAILED *::test_own_failure - AssertionError: 1 != 2",
            "FAILED *::test_swallowed - Failed: No endpoint of the fake Spidra answers*",
            "FAILED *::test_unknown - Failed: No endpoint of the fake Spidra answers*",
            "FAILED *::test_unused - Failed: A scripted step was never reached:*",
        ]
    )


def test_a_unittest_case_that_asserts_after_a_swallowed_failure_shows_both(run_tests):
    result = run_tests(
        """
        import unittest
        import httpx, pytest

        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _spidra(self, spidra_mock):
                self.spidra = spidra_mock

            def test_both(self):
                try:
                    httpx.get(self.spidra.base_url + "/nothing")
                except BaseException:
                    pass
                self.assertEqual(1, 2)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*AssertionError: 1 != 2*", "*No endpoint of the fake Spidra answers GET /nothing.*"]
    )


def test_class_fixtures_and_setup_methods_use_the_mock(run_tests):
    run_tests(
        """
        import httpx, pytest

        @pytest.mark.spidra(allow_unused_steps=True)
        class TestRunner:
            @pytest.fixture(autouse=True)
            def scripted(self, spidra_mock):
                spidra_mock.batch.list.script(503)
                self.mock = spidra_mock

            @pytest.fixture
            def listed(self):
                return httpx.get(self.mock.base_url + "/batch/scrape")

            def test_uses_it(self, listed):
                assert listed.status_code == 503
                assert len(self.mock.exchanges) == 1

            def test_does_not(self):
                assert len(self.mock.exchanges) == 0

        @pytest.mark.usefixtures("spidra_mock")
        class TestMarked:
            def test_it(self):
                assert httpx.get("https://api.spidra.io/api/batch/scrape").status_code == 401
        """
    ).assert_outcomes(passed=3)


def test_a_request_of_a_finalizer_is_answered(run_tests):
    """A user's fixture that cleans up at the end still meets the fake, for spidra_mock goes last."""
    run_tests(
        """
        import httpx, pytest

        @pytest.fixture
        def batch(spidra_mock):
            headers = {"x-api-key": "k"}
            url = spidra_mock.base_url + "/batch/scrape"
            made = httpx.post(url, json={"urls": ["https://a.example"]}, headers=headers).json()["batchId"]
            yield made
            assert httpx.delete(f"{url}/{made}", headers=headers).json()["cancelledItems"] == 1

        def test_it(batch):
            pass
        """
    ).assert_outcomes(passed=1)


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="subtests came with pytest 9")
def test_subtests_of_pytest_keep_their_own_failures(run_tests):
    """Each subtest reports itself; the mock's last word comes once, at the end."""
    result = run_tests(
        """
        import httpx

        def test_it(spidra_mock, subtests):
            for status in (503, 502):
                with subtests.test(status=status):
                    spidra_mock.batch.list.script(status)
                    assert httpx.get(spidra_mock.base_url + "/batch/scrape").status_code == status
        """
    )
    assert result.ret == 0
    assert "failed" not in result.parseoutcomes()
