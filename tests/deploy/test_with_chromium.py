"""deploy/with_chromium.py: which browser it finds, and what it says where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from chatapi.env import ROOT

VARIABLE = "CHATAPI_TEST_CHROMIUM"
PRINT = f"import os; print(os.environ['{VARIABLE}'])"


def run(path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run it with nothing but these programs on the path."""
    return subprocess.run(
        [sys.executable, ROOT / "deploy" / "with_chromium.py", "-c", PRINT],
        env={"PATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def program(folder: Path, name: str, script: str = "") -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_a_browser_on_the_path_is_used(name: str, tmp_path: Path) -> None:
    browser = program(tmp_path, name)
    assert run(tmp_path).stdout == f"{browser}\n"


def test_the_one_that_the_environment_names_goes_first(tmp_path: Path) -> None:
    program(tmp_path, "chromium")
    own = program(tmp_path, "my-browser")
    assert run(tmp_path, **{VARIABLE: str(own)}).stdout == f"{own}\n"


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "these tests need a browser"),
        ({VARIABLE: "/nowhere/chromium"}, f"{VARIABLE} names /nowhere/chromium, which is no program"),
    ],
)
def test_without_one_a_line_says_what_to_do(environment: dict[str, str], reason: str, tmp_path: Path) -> None:
    refused = run(tmp_path, **environment)
    assert refused.returncode == 1
    advice = f"Install a Chromium (Debian: apt install chromium), or name one in {VARIABLE}."
    assert (refused.stdout, refused.stderr) == ("", f"chatapi: {reason}. {advice}\n")
