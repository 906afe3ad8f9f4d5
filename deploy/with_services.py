"""Run Python with the addresses of real services in its environment, if all of them answer.

.venv/bin/python deploy/with_services.py -m pytest …
"""

import os
import shutil
import socket
import sys
from urllib.parse import urlsplit

SERVICES = {
    "PostgreSQL": ("CHATAPI_TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres"),
    "Redis": ("CHATAPI_TEST_REDIS_URL", "redis://127.0.0.1:6379/0"),
    "RabbitMQ": ("CHATAPI_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}
PROGRAMS = ("pgbouncer",)
"""Tests start these themselves. Debian keeps them where only root looks."""


def is_installed(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is not None


def answers(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=5).close()
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> None:
    missing = []
    for service, (variable, usual) in SERVICES.items():
        url = os.environ.setdefault(variable, usual)
        if not answers(url):
            address = urlsplit(url)
            missing.append(f"{service} at {address.hostname}:{address.port} ({variable})")
    if missing:
        sys.exit(f"chatapi: these tests need what does not answer: {', '.join(missing)}")
    missing_programs = [program for program in PROGRAMS if not is_installed(program)]
    if missing_programs:
        sys.exit(f"chatapi: these tests need what is not installed: {', '.join(missing_programs)}")
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
