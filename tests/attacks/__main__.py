"""`make attack`: try every attack of `registry.py`, and exit 1 where one succeeds."""

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

import django

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make attack", description="Attack a fresh server.")
    parser.add_argument("-k", metavar="WORD", default="", help="only attacks with this word in their name")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chatapi-attack-") as folder:
        # this process sets the scene in the server's own database
        os.environ["CHATAPI_TEST_DATABASE_URL"] = f"sqlite:///{folder}/data/chatapi.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        os.umask(0o022)  # what most machines have: the server alone must keep its data from others
        django.setup()
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        from tests.attacks.run import attack_all

        sys.exit(attack_all(Path(folder), asked.k))
