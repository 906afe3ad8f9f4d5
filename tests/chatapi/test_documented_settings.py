"""docs/operating.md documents the environment variables that the code reads, and how much runs at once."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from django.conf import settings

from chatapi import sign_in_providers, storage_settings
from chatapi.env import ROOT
from tests.support.running_server import OUR_PACKAGES

OPERATING = (ROOT / "docs/operating.md").read_text()
SOURCES = [path for folder in OUR_PACKAGES for path in (ROOT / folder).rglob("*.py")]
READERS = {
    "env",
    "env_choice",
    "env_flag",
    "env_int",
    "env_list",
    "env_mail_server",
    "env_nano_usd",
    "env_secret",
    "env_url",
    "env_web_url",
}


def names_read(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READERS:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield str(first.value)


def test_every_variable_that_is_read_is_documented_and_no_other() -> None:
    read = {name for source in SOURCES for name in names_read(source)} | {
        *storage_settings.VARIABLES,
        sign_in_providers.NAMES,
    }
    names = [line.split("|")[1] for line in OPERATING.splitlines() if "| `" in line and ".py" not in line]
    documented = {name for cell in names for name in re.findall(r"`([A-Z0-9_]+)`", cell)}
    assert "CHATAPI_DATA_DIR" in read
    assert documented == read


LIMIT = re.compile(
    r"(\w+_)?(THREADS|CONNECTIONS|CONNECTIONS_PER_HOST|QUEUE_LIMIT|CAPACITIES|MAX_BATCH)|CONCURRENT_\w+"
)
DEFAULTS_OF_SETTINGS = "media/processing/sandbox/pools.py"
SETTING_LIMIT = re.compile(r"CHATAPI_(\w+_JOBS|AUDIO_\w+|CONCURRENT_\w+|\w+_POOL)")


def limits_in(source: Path) -> Iterator[str]:
    """Yield the public constants of a module whose name says that it is a limit of what runs at once."""
    for node in ast.parse(source.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and LIMIT.fullmatch(target.id) and target.id[0] != "_":
                yield target.id


def test_one_table_tells_how_much_runs_at_once() -> None:
    table = OPERATING.split("## How much at once")[1].split("\n## ")[0]
    constants = {
        (path, name): count for name, path, count in re.findall(r"\| `(\w+)` \(`(.+\.py)`\) \| (\w+)", table)
    }
    paths = {str(source.relative_to(ROOT)): source for source in SOURCES}
    found = {(path, name) for path, source in paths.items() for name in limits_in(source)}

    assert constants.keys() == {(path, name) for path, name in found if path != DEFAULTS_OF_SETTINGS}
    for (path, name), count in constants.items():
        value = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
        assert not isinstance(value, int) or value == int(count), name


def test_the_table_has_the_settings_too_with_their_defaults() -> None:
    table = OPERATING.split("## How much at once")[1].split("\n## ")[0]
    read = {name for source in SOURCES for name in names_read(source) if SETTING_LIMIT.fullmatch(name)}
    documented = dict(re.findall(r"\| `(CHATAPI_\w+)` \| `(\d+)`", table))

    assert documented.keys() == read
    for name, default in documented.items():
        assert getattr(settings, name, 8) == int(default), name
