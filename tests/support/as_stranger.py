"""`manage.py` as a user without an entry in /etc/passwd, such as OpenShift gives a container.

Run by root as `python -m tests.support.as_stranger UID ARGUMENT…`. The group is 0, as there. All that is
needed is imported before, since the user may not be able to read the interpreter's own files.
"""

import os
import sys

import django


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "chatapi.settings"
    django.setup()
    from django.core import checks

    from chatapi.command_line import execute
    from chatapi.management.commands import migrate  # noqa: F401

    checks.run_checks()
    os.setgroups([])
    os.setgid(0)
    os.setuid(int(sys.argv[1]))
    execute(["manage.py", *sys.argv[2:]])


if __name__ == "__main__":
    main()
