"""The project's structure: the README's map is true, no imports are circular, its names are ours alone."""

import ast
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from chatapi.env import ROOT

PACKAGES = {"accounts", "billing", "chatapi", "conversations", "core", "engines", "media"}
UNMAPPED = {"__pycache__", "management", "migrations", "static", "templates"}
UNDRAWN = Path("media/processing")
"""The map names its folders in its own line."""
MAP_LINES = 40
TRACED_FILES = 15
COMPLETIONS = "chatapi/completions/"
PATCH = re.compile(r"\bsetattr\(|\bpatch\.object\(|\bmock\.patch\b")
MAX_PATCHES, MAX_PRIVATE_NAMES = 17, 6
PUBLIC_IN_SPITE_OF_THEIR_NAMES = {"_meta", "_replace", "_asdict", "_exit", "_default_manager", "_request_id"}
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
PATH = re.compile(r"`([\w-]+(?:/[\w-]+)*(?:/|\.(?:py|md|toml|txt|html)))`")
OTHERS = {"hosted_vllm/", "litellm_proxy/", "custom_openai/"}
"""What other makers' clients put before a model's name."""


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*sorted(PACKAGES), include_external_packages=True, cache_dir=None)


def test_no_installed_distribution_provides_one_of_our_names() -> None:
    assert not (PACKAGES | {"tests", "benchmarks"}) & packages_distributions().keys()


def test_no_files_import_each_other(imports: grimp.ImportGraph) -> None:
    uses = {module: imports.find_modules_directly_imported_by(module) for module in imports.modules}
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        pytest.fail(f"import circle: {' <- '.join(error.args[1])}")


def test_the_core_holds_only_what_two_packages_need(imports: grimp.ImportGraph) -> None:
    for module in imports.find_descendants("core") - {"core.http", "core.validation"}:
        users = imports.find_modules_that_directly_import(module)
        packages = {user.partition(".")[0] for user in users}
        assert len(packages) > 1 or "core" in packages, f"only {packages or 'nobody'} imports {module}"


@pytest.mark.parametrize("package", ["billing", "conversations", "media"])
def test_only_the_api_of_a_package_knows_requests(imports: grimp.ImportGraph, package: str) -> None:
    for framework in ("rest_framework", "starlette"):
        users = {
            user for user in imports.find_modules_that_directly_import(framework) if within(user, package)
        }
        assert {user for user in users if not within(user, f"{package}.api")} == set()


@pytest.mark.parametrize(
    "models", ["accounts.models", "billing.models", "conversations.models", "media.models"]
)
def test_models_import_nothing_that_acts_on_them(imports: grimp.ImportGraph, models: str) -> None:
    below = imports.find_upstream_modules(models)
    assert not {"rest_framework", "starlette", "channels", "celery"} & below
    assert [
        module for module in below if module.endswith((".services", ".selectors", ".tasks", ".admin"))
    ] == []


def test_a_run_knows_no_database_and_no_connection(imports: grimp.ImportGraph) -> None:
    """Of Django it knows where temporary files lie, and nothing else."""
    graph = deepcopy(imports)
    graph.remove_module("media.temporary_folders")
    for module in ("chatapi.completions.runs.pump", "chatapi.completions.runs.event_log"):
        below = graph.find_upstream_modules(module)
        assert not {"django", "rest_framework", "starlette", "channels"} & below
        assert not [one for one in below if within(one, "conversations") or one == "media.models"]


def test_the_map_in_the_readme_names_every_folder_and_nothing_else() -> None:
    named = set(paths_in_map())
    folders = {folder.relative_to(ROOT) for package in PACKAGES for folder in folders_in(ROOT / package)}

    assert [str(path) for path in named if not (ROOT / path).exists()] == []
    assert [str(path) for path in folders - named if UNDRAWN not in path.parents] == []


def test_the_map_can_be_kept_in_mind() -> None:
    assert len(map_lines()) <= MAP_LINES


def test_a_request_goes_through_few_files_and_through_none_twice() -> None:
    trace = (ROOT / "README.md").read_text().split("## One request, traced", 1)[1].split("\n## ", 1)[0]
    named = [name.replace("…/", COMPLETIONS) for name in re.findall(r"`([\w…/]+\.py)`", trace)]
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert len(named) == len(set(named)) <= TRACED_FILES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_files_that_are_there(page: Path) -> None:
    for path in set(PATH.findall(page.read_text())) - OTHERS:
        assert any(
            f"/{path}" in file if path.endswith("/") else file.endswith(f"/{path}") for file in files()
        ), path


def test_tests_patch_few_attributes_and_look_at_few_private_names() -> None:
    """What a test must control is an argument, a setting or a fake that is passed in; these may only fall.

    Left are libraries without such a seam, and product code that would not be plainer with one.
    """
    sources = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    assert sum(len(PATCH.findall(source)) for source in sources) <= MAX_PATCHES
    assert sum(private_names(source) for source in sources) <= MAX_PRIVATE_NAMES


def private_names(source: str) -> int:
    """Count the looks at private attributes of anything but the test's own objects."""
    return sum(
        isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in PUBLIC_IN_SPITE_OF_THEIR_NAMES
        and ast.unparse(node.value) not in {"self", "cls", "super()"}
        for node in ast.walk(ast.parse(source))
    )


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def map_lines() -> list[str]:
    section = (ROOT / "README.md").read_text().split("## The map", 1)[1]
    return section.split("```")[1].strip("\n").splitlines()


def paths_in_map() -> Iterator[Path]:
    """Yield the paths in the map.

    Each line names files and folders in the closest less indented folder above it, then says what they are.
    """
    above: list[tuple[int, Path]] = []
    for line in map_lines():
        indent = len(line) - len(line.lstrip())
        names = re.split(r"\s{2,}", line.strip())[0].split()
        above = [(depth, folder) for depth, folder in above if depth < indent]
        here = above[-1][1] if above else Path()
        yield from (here / name for name in names)
        if len(names) == 1 and names[0].endswith("/"):
            above.append((indent, here / names[0]))


def folders_in(package: Path) -> Iterator[Path]:
    yield package
    for child in package.iterdir():
        if child.is_dir() and child.name not in UNMAPPED:
            yield from folders_in(child)


@cache
def files() -> tuple[str, ...]:
    """The project's own files, written like `/chatapi/urls.py`."""
    folders = [*PACKAGES, "benchmarks", "deploy", "docs", "requirements", "tests"]
    inside = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return tuple(f"/{path.relative_to(ROOT)}" for path in (*ROOT.iterdir(), *inside) if path.is_file())
