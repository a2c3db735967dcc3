"""How a test that used the plugin ends: everything that decides why it fails, in one object.

pytest's hooks ask it, in this order: `before_call`, `after_call`, `complete_report` (for every report of the call,
of which subtests have one each, and those of set-up and teardown), `after_teardown`. The failure of a `TestCase`, of a subtest or of a
soft assertion is known in the reports only; fixtures go on sending while they clear up.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from pytest_spidra.settings import END_OF_TEST, RuleWarning
from pytest_spidra.traffic import timeline
from pytest_spidra.traffic.paragraphs import paragraph
from pytest_spidra.verdicts.messages import rules_report, rules_summary

if TYPE_CHECKING:
    from pytest_spidra.sessions.session import Session
    from pytest_spidra.verdicts.rules.base import Accusation

SWALLOWED = "Something swallowed this: the code under test went on, and the test fails all the same."


class EndOfTest:
    """The end of one test.

    Args:
        item: The test.

        session: What it used.
    """

    def __init__(self, item: pytest.Item, session: Session) -> None:
        self.session = session
        self._item = item
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
        if self.session.refusal:
            raise pytest.fail.Exception(self.session.refusal, pytrace=False)

    def after_call(self, error: BaseException | None) -> None:
        """Judge the test, while it can still fail as a test.

        Args:
            error: How it has ended by itself, None when it returned.

        Raises:
            pytest.fail.Exception: It fails, or fails with something else than `error`.
        """
        self._called = False
        failures = self.session.failures
        self._reported = len(failures)
        self._accusations = self.session.accusations()
        if error is not None:
            hidden = isinstance(error, pytest.skip.Exception) or (
                isinstance(error, BaseExceptionGroup) and error.subgroup(pytest.fail.Exception)
            )
            if hidden and failures:
                raise pytest.fail.Exception("\n\n".join(failures), pytrace=False) from None
            return
        if failures:
            raise pytest.fail.Exception("\n\n".join([*failures, paragraph(SWALLOWED)]), pytrace=False)
        if missed := self.session.missed():
            raise pytest.fail.Exception(missed, pytrace=False)
        self._report_accusations(self._accusations)

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
            if report.failed:
                self._show(report, self._accusations)
        if call.when == "teardown" or (call.when == "call" and self._accusations):
            # An attribute of a report travels with it from xdist's workers; it must be JSON.
            told = [(one.rule, one.claim) for one in self._accusations]
            vars(report)["spidra_accusations"] = told
            self._accusations = []
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
        text = report.longreprtext
        log = self.session.wiring.log
        sections = []
        if untold := [failure for failure in self.session.failures if failure not in text]:
            sections.append(("spidra", "\n\n".join(untold)))
        if (unreached := self.session.unreached()) and unreached not in text:
            sections.append(("spidra", unreached))
        if log and timeline.HEADING not in text:
            guilty = {number for accusation in accusations for number in accusation.numbers}
            parts = [timeline.render(log, guilty), rules_summary(accusations)]
            sections.append(("spidra timeline", "\n\n".join(part for part in parts if part)))
        report.sections += sections

    def _report_accusations(self, accusations: list[Accusation]) -> None:
        """Warn of what the rules found, or fail the test for it."""
        if not accusations:
            return
        message = rules_report(accusations, self.session.wiring.log)
        if self.session.settings.rules != "error":
            path, line, _ = self._item.location
            try:
                warnings.warn_explicit(f"\n{message}", RuleWarning, path, (line or 0) + 1)
            except RuleWarning:
                pass  # warnings are errors here; an error of ours would be shown with a traceback into the plugin
            else:
                return
        raise pytest.fail.Exception(message, pytrace=False)
