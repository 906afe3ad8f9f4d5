"""The systemd units keep what the service writes to itself."""

from pathlib import Path

import pytest

from chatapi.env import ROOT

UNITS = sorted((ROOT / "deploy").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_lets_nobody_else_read(unit: Path) -> None:
    lines = unit.read_text().splitlines()

    assert {"UMask=0077", "StateDirectoryMode=0700"} <= set(lines)
