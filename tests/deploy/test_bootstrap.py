"""deploy/bootstrap.py in a separate checkout, with a package index of one wheel."""

import ast
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from chatapi.env import ROOT

SOURCE = ROOT / "deploy" / "bootstrap.py"


class Checkout:
    """A checkout with bootstrap.py and a lock file that pins one tiny package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        for name in ("deploy", "requirements", "wheels"):
            (folder / name).mkdir(parents=True)
        shutil.copy(SOURCE, folder / "deploy")
        self.pin("1.0")

    def pin(self, version: str, *, digest: str = "") -> None:
        wheel = self.wheels / f"tinything-{version}-py3-none-any.whl"
        about = f"tinything-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("tinything.py", f"version = {version!r}\n")
            archive.writestr(
                f"{about}/METADATA", f"Metadata-Version: 2.1\nName: tinything\nVersion: {version}\n"
            )
            archive.writestr(
                f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{about}/RECORD", "")
        digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
        lock = self.folder / "requirements" / "run.txt"
        lock.write_text(f"tinything=={version} \\\n    --hash=sha256:{digest}\n")

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_EXTRA_INDEX_URL": ""}
        return subprocess.Popen(
            [sys.executable, "deploy/bootstrap.py", "run", *arguments],
            cwd=self.folder,
            env={**os.environ, **index},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run it to its end. Return the exit status, standard output and standard error."""
        process = self.start(*arguments)
        said, complaint = process.communicate(timeout=120)
        return process.returncode, said, complaint


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


VERSION = ("-c", "import tinything; print(tinything.version)")


def leave_unfinished(checkout: Checkout) -> Path:
    """Leave what a kill leaves while pip unpacks; return a file of it."""
    venv = checkout.folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    half_done = venv / "half-done"
    for file in (half_done, venv / ".chatapi-unfinished"):
        file.touch()
    return half_done


def test_it_installs_once_and_again_when_the_lock_file_changes_or_says_in_one_line_why_not(
    checkout: Checkout,
) -> None:
    half_done = leave_unfinished(checkout)
    both = [checkout.start(*VERSION) for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all(said.endswith("1.0\n") and complaint == "" for said, complaint in ends)
    [said] = [said for said, _ in ends if "Making .venv" in said]
    assert said.startswith("Making .venv with Python 3.")
    assert "Installing requirements/run.txt" in said
    assert not half_done.exists()

    assert checkout.run(*VERSION) == (0, "1.0\n", "")

    checkout.pin("2.0", digest="0" * 64)
    status, said, complaint = checkout.run(*VERSION)
    assert status == 1
    assert complaint.startswith("chatapi: pip could not install requirements/run.txt: ")
    assert complaint.count("\n") == 1

    checkout.pin("2.0")
    status, said, _ = checkout.run(*VERSION)
    assert "Making .venv" not in said
    assert said.endswith("\n2.0\n")

    # the command replaces bootstrap.py, so that signals reach it
    process = checkout.start("-c", "import os; print(os.getpid(), os.getcwd())")
    assert process.communicate(timeout=60)[0] == f"{process.pid} {checkout.folder}\n"


def test_what_lies_in_the_way_is_not_removed(checkout: Checkout) -> None:
    (checkout.folder / ".venv").mkdir()
    precious = checkout.folder / ".venv" / "thesis.txt"
    precious.touch()
    status, _, complaint = checkout.run()
    assert status == 1
    assert "is in the way: it is not a virtual environment" in complaint
    assert precious.exists()


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_old_python_can_read_far_enough_to_say_that_it_is_old() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 7))
    kinds = [type(node) for node in tree.body]
    guard = next(index for index, node in enumerate(tree.body) if isinstance(node, ast.If))
    assert "3.11 or newer is needed" in ast.unparse(tree.body[guard])
    assert not {ast.FunctionDef, ast.ClassDef} & set(kinds[:guard])


def test_a_python_without_venv_is_told_what_to_install(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(bootstrap.Failure, match=r"apt install python3\.\d+-venv$"):
        bootstrap.check_python()


def test_too_little_room_is_said_before_anything_is_made(bootstrap: ModuleType) -> None:
    with pytest.raises(bootstrap.Failure, match=r"has \d+ MB left; the installation needs 1000000000000 MB$"):
        bootstrap.check_space(10**12)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"], "full"),
        (["WARNING: Retrying … NewConnectionError", "ERROR: No matching distribution"], "is there a network"),
        (["WARNING: noise", "ERROR: Hashes do not match", "exit status 1"], "Hashes do not match"),
        (["something odd", "exit status 1"], "something odd"),
    ],
)
def test_the_reason_is_found_in_what_pip_says(bootstrap: ModuleType, output: list[str], reason: str) -> None:
    assert reason in bootstrap.reason_in(output)
