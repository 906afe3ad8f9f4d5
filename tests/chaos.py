"""`make chaos`: run the kill storm of tests/support/kill_storm.py outside pytest."""

import os
import sys

import django

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from tests.support.kill_storm import main

    main(sys.argv[1:])
