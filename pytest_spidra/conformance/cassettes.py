"""`CassetteDrift`: a test for each cassette, which shows that the fake is true."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from pytest_spidra.cassettes.drift.mirror import drift_of
from pytest_spidra.cassettes.errors import CassetteError
from pytest_spidra.cassettes.format import Format
from pytest_spidra.traffic.paragraphs import paragraph

if TYPE_CHECKING:
    from pathlib import Path


class CassetteDrift:
    """One test for each cassette below `cassette_dir`: the fake answers as it was recorded.

        from pytest_spidra.conformance import CassetteDrift

        class TestCassettes(CassetteDrift):
            pass

    Whoever records them anew with a key learns from it whether Spidra has changed.

    Attributes:
        cassette_dir: Their folder, from the root of the test run; empty: what the ini option spidra_cassette_dir says.
    """

    cassette_dir: ClassVar[str] = ""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test for each cassette; without any there is one that fails."""
        config = metafunc.config
        folder = config.rootpath / (self.cassette_dir or config.getini("spidra_cassette_dir"))
        files = sorted(file for suffix in ("yaml", "yml", "json") for file in folder.rglob(f"*.{suffix}"))
        shown = [file for file in files if not file.name.startswith(".")]
        metafunc.parametrize(
            "spidra_cassette",
            shown or [folder],
            ids=[file.relative_to(folder).as_posix() for file in shown] or ["none"],
        )

    def test_the_fake_answers_as_recorded(self, spidra_cassette: Path) -> None:
        """Every recorded exchange is put to the fake, driven into the recorded state."""
        if not spidra_cassette.is_file():
            pytest.fail(
                f"There is no cassette in {spidra_cassette}: a test of nothing shows nothing.", pytrace=False
            )
        try:
            recording = Format({"serializer": "json"} if spidra_cassette.suffix == ".json" else {}).read(
                spidra_cassette
            )
        except CassetteError as error:
            pytest.fail(str(error), pytrace=False)
        if found := drift_of(recording):
            lines = "\n".join(f"    {one}" for one in found)
            pytest.fail(
                f"{spidra_cassette}: the API was recorded to answer otherwise than the fake does:\n{lines}\n\n"
                + paragraph(
                    "What is green on the fake may fail in production. If the cassette was changed by hand, record it "
                    "anew; if Spidra has changed, the fake is to follow: please report it."
                ),
                pytrace=False,
            )
