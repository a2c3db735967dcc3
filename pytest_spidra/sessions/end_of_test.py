"""How a test that used the plugin ends: everything that decides why it fails, in one object.

pytest's hooks ask it, in this order: `before_call`, `after_call`, `complete_report` (for every report of the call,
of which subtests have one each, and those of set-up and teardown), `after_teardown`. The failure of a `TestCase`, of a subtest or of a
soft assertion is known in the reports only; fixtures go on sending while they clear up.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pytest_spidra.sessions.conclusion import beside, failure, warn, warn_or_fail
from pytest_spidra.settings import END_OF_TEST, POLICY, OldCassetteWarning

if TYPE_CHECKING:
    from pytest_spidra.sessions.session import Session
    from pytest_spidra.verdicts.rules.base import Accusation


class EndOfTest:
    """The end of one test.

    Args:
        item: The test.

        session: What it used.
    """

    def __init__(self, item: pytest.Item, session: Session) -> None:
        self.session = session
        self._item = item
        self._called_off = ExitStack()
        self._called = False  # whether the test function is under way
        self._passed = False  # whether pytest reports the test as passed, up to now
        self._failed_subtests = False
        self._reported = 0  # how many of the session's failures the test itself has been failed for
        self._accusations: list[Accusation] = []
        item.stash[END_OF_TEST] = item.config.stash[END_OF_TEST] = self
        if session.records:
            item.config.pluginmanager.register(self)  # for `pytest_runtest_logreport`

    def before_call(self) -> None:
        """Stand in front, as the last fixture may have patched something.

        Raises:
            pytest.fail.Exception: The test cannot even begin.
        """
        self._called = True
        self.session.repatch()
        self._judge_examples()
        if self.session.refusal:
            raise pytest.fail.Exception(self.session.refusal, pytrace=False)
        if old := self.session.old_recording:
            message = warn(old, OldCassetteWarning, self._place)
            if message is not None:
                raise pytest.fail.Exception(message, pytrace=False)

    @property
    def _place(self) -> tuple[str, int]:
        """File and line of the test."""
        path, line, _ = self._item.location
        return path, (line or 0) + 1

    def _judge_examples(self) -> None:
        """Let each example of hypothesis be a chapter: one that is judged by itself."""
        hypothesis, chapters = (
            getattr(getattr(self._item, "obj", None), "hypothesis", None),
            self.session.chapters,
        )
        if hypothesis is None or chapters is None:
            return
        inner = hypothesis.inner_test
        if inspect.iscoroutinefunction(inner):

            @functools.wraps(inner)
            async def asynchronous(*args: Any, **kwargs: Any) -> None:
                __tracebackhide__ = True
                chapters.begin_example()
                await inner(*args, **kwargs)
                chapters.begin()

            hypothesis.inner_test = asynchronous
        else:

            @functools.wraps(inner)
            def synchronous(*args: Any, **kwargs: Any) -> None:
                __tracebackhide__ = True
                chapters.begin_example()
                inner(*args, **kwargs)
                chapters.begin()

            hypothesis.inner_test = synchronous
        self._called_off.callback(setattr, hypothesis, "inner_test", inner)

    def after_call(self, error: BaseException | None) -> None:
        """Judge the test, while it can still fail as a test.

        Args:
            error: How it has ended by itself, None when it returned.

        Raises:
            pytest.fail.Exception: It fails, or fails with something else than `error`.
        """
        self._called = False
        self._called_off.close()
        failures = self.session.failures
        self._reported = len(failures)
        self._accusations = self.session.accusations()
        message = failure(self.session, error)
        if error is None and message is None:
            message = warn_or_fail(self.session, self._accusations, self._place)
        if message is not None:
            raise pytest.fail.Exception(message, pytrace=False) from None

    def complete_report(self, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Add to a report what the plugin knows; a test whose recording cannot be kept fails by it."""
        if call.when == "call" and self._called:  # a subtest's, in the middle of the test
            self._failed_subtests = self._failed_subtests or report.failed
            if report.failed:
                self._show(report, self.session.accusations())
            return
        if call.when == "setup" and report.failed:
            self._reported = len(self.session.failures)
        if call.when == "call":
            self._passed = report.passed and not self._failed_subtests and not hasattr(report, "wasxfail")
            if self._passed and (wrong := self._saved()):
                self._passed = False
                report.outcome, report.longrepr = "failed", wrong
            vars(report)["spidra_recorded"] = self._passed and self.session.records
            if report.failed:
                self._show(report, self._accusations)
        if call.when == "call" and (line := self._item.stash.get(POLICY, None)):
            vars(report)["spidra_policy"] = line
        if call.when == "teardown" or (call.when == "call" and (self.session.told or self._accusations)):
            # An attribute of a report travels with it from xdist's workers; it must be JSON.
            found = [(one.rule, one.claim) for one in (*self.session.told, *self._accusations)]
            told = list(dict.fromkeys(found))  # hypothesis shows the same example many times
            vars(report)["spidra_accusations"] = told
            self._accusations = self.session.told = []
        if call.when == "teardown":
            del self._item.stash[END_OF_TEST]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of what is made known of the test after all: plugins change reports, too."""
        if (
            report.nodeid == self._item.nodeid
            and report.when == "call"
            and not report.passed
            and self._passed
        ):
            self._passed = False
            self.session.discard()

    def after_teardown(self) -> None:
        """Close the session, when the last fixture has cleared up.

        Raises:
            pytest.fail.Exception: Something was wrong since the test itself has been reported.
        """
        self.close()
        wrong = self.session.failures[self._reported :]
        if not wrong and self._passed:
            found = self.session.failure_after_teardown() or self.session.save()
            wrong = [found] if found else []
        if wrong:
            raise pytest.fail.Exception("\n\n".join(wrong), pytrace=False)

    def _saved(self) -> Any:
        """Keep what was recorded; return why it cannot be kept, as pytest shows a failure, or None."""
        try:
            return self.session.save()
        except Exception:  # noqa: BLE001 - a hook of the user's may raise any error, and none may end the run
            return self._item.repr_failure(pytest.ExceptionInfo.from_current())

    def close(self) -> None:
        """Close the session, also of a test that was interrupted."""
        self.session.close()
        del self._item.config.stash[END_OF_TEST]
        if self.session.records:
            self._item.config.pluginmanager.unregister(self)

    def _show(self, report: pytest.TestReport, accusations: list[Accusation]) -> None:
        """Add sections to the report of a failure: what is not in it yet."""
        report.sections += beside(self.session, accusations, report.longreprtext)
