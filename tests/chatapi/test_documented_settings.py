"""docs/operating.md documents the environment variables that the code reads."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from chatapi import storage_settings
from chatapi.env import ROOT
from tests.support.running_server import OUR_PACKAGES

READERS = {"env", "env_choice", "env_flag", "env_int", "env_list", "env_mail_server", "env_nano_usd"}


def names_read(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READERS:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield str(first.value)


def test_every_variable_that_is_read_is_documented_and_no_other() -> None:
    sources = [path for folder in OUR_PACKAGES for path in (ROOT / folder).rglob("*.py")]
    read = {name for source in sources for name in names_read(source)} | {*storage_settings.VARIABLES}
    table = [
        line.split("|")[1] for line in (ROOT / "docs/operating.md").read_text().splitlines() if "| `" in line
    ]
    documented = {name for cell in table for name in re.findall(r"`([A-Z0-9_]+)`", cell)}
    assert "CHATAPI_DATA_DIR" in read
    assert documented == read
