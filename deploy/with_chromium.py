"""Run Python with the path of a Chromium in its environment; root installs Debian's where there is none.

.venv/bin/python deploy/with_chromium.py -m pytest …
"""

import os
import shutil
import subprocess
import sys

VARIABLE = "CHATAPI_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
PACKAGE = "chromium"


def find_chromium() -> str | None:
    """Return the browser that the environment names, or the first on the path that is a Chromium."""
    named = os.environ.get(VARIABLE)
    candidates = (named,) if named else NAMES
    return next((path for name in candidates if (path := shutil.which(name))), None)


def install_chromium() -> None:
    """Install Debian's package, and say what apt said if it cannot."""
    sys.stdout.write(f"installing {PACKAGE}\n")
    sys.stdout.flush()
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", PACKAGE, "fonts-dejavu-core"]):
        done = subprocess.run(  # noqa: S603
            ["apt-get", "-qq", *command],  # noqa: S607
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            sys.exit(f"chatapi: apt-get {command[0]} failed: {reason}. {ADVICE}")


ADVICE = f"Install a Chromium (Debian: apt install {PACKAGE}), or name one in {VARIABLE}."


def main(arguments: list[str]) -> None:
    found = find_chromium()
    if not found and os.environ.get(VARIABLE):
        sys.exit(f"chatapi: {VARIABLE} names {os.environ[VARIABLE]}, which is no program. {ADVICE}")
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        install_chromium()
        found = find_chromium()
    if not found:
        sys.exit(f"chatapi: these tests need a browser. {ADVICE}")
    os.environ[VARIABLE] = found
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
