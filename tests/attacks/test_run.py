"""The runner itself: an attack that succeeds, or that cannot be made, is never reported as held."""

import inspect
import sys
from typing import cast

import pytest

from tests.attacks import registry
from tests.attacks.checks import check, check_all
from tests.attacks.run import name_of, run_attacks
from tests.attacks.stage import Stage

NO_STAGE = cast("Stage", None)


def vain(stage: Stage) -> None:
    """Gain nothing."""


def successful(stage: Stage) -> None:
    """Gain everything."""
    check(False, "the server gave it all")


def impossible(stage: Stage) -> None:
    """Gain what nobody knows."""
    raise ConnectionError("nobody answers")


def test_what_succeeds_or_cannot_be_made_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_attacks([vain, successful, impossible], NO_STAGE) == 2
    output = capsys.readouterr().out
    outcomes = [line.split() for line in output.splitlines() if line.startswith(("held", "BROKEN"))]
    assert [outcome[0] for outcome in outcomes] == ["held", "BROKEN", "BROKEN"]
    assert "Gain everything.\n        -> the server gave it all\n" in output
    assert "nobody answers" in output


def test_nothing_that_holds_hides_what_does_not() -> None:
    check_all({"one": None, "two": None})
    with pytest.raises(Exception, match=r"^2 of 3: one \+ two: too cheap$"):
        check_all({"one": "too cheap", "two": "too cheap", "three": None})


def test_each_attack_is_made_and_says_what_is_gained() -> None:
    modules = {sys.modules[attack.__module__] for attack in registry.ATTACKS}
    written = {
        name_of(function)
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert sorted(written) == sorted(map(name_of, registry.ATTACKS))
    assert all(attack.__doc__ for attack in registry.ATTACKS)
