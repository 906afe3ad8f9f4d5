"""A process of the service that is killed amid its work."""

import shutil
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from chatapi.env import ROOT
from tests.support.run_command import clean_environment
from tests.support.running_server import database_url

_STALL = """
import time, django
django.setup()

def stall(*arguments):
    print("stalled", flush=True)
    time.sleep(600)
"""


def kill_where_it_stalls(code: str) -> None:
    """Run code on this test's database and files until it calls `stall`; then kill it."""
    environment = clean_environment(
        Path(settings.DATA_DIR), DATABASE_URL=database_url(), DJANGO_SETTINGS_MODULE="chatapi.settings"
    )
    folders = Path(settings.DATA_DIR) / "tmp"
    before = set(folders.glob("*"))
    process = subprocess.Popen(
        [sys.executable, "-c", _STALL + code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "stalled\n"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        for left in set(folders.glob("*")) - before:  # the service removes it after a while
            shutil.rmtree(left)
