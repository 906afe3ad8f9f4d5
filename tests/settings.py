"""The product's settings, with a data folder for this test run alone. The environment is not read."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

for name in [name for name in os.environ if name.startswith(("CHATAPI_", "CELERY_"))]:
    if not name.startswith("CHATAPI_TEST_"):
        del os.environ[name]
for name in ("DATABASE_URL", "REDIS_URL", "STRIPE_API_KEY"):
    os.environ.pop(name, None)
os.environ["CHATAPI_DATA_DIR"] = tempfile.mkdtemp(prefix="chatapi-test-")
atexit.register(shutil.rmtree, os.environ["CHATAPI_DATA_DIR"], ignore_errors=True)
# for jobs that run in the test's own process, as the sandbox sets them
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"
os.environ["CHATAPI_MODELS_FILE"] = str(Path(__file__).with_name("models.toml"))
if os.environ.get("CHATAPI_TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = os.environ["CHATAPI_TEST_DATABASE_URL"]

from chatapi.settings import *  # noqa: E402, F403
from chatapi.settings import DATA_DIR, DATABASES, LOGGING  # noqa: E402

# rows of a call may come after its test; those that want them have the fixture `recorded`
CHATAPI_REQUESTS_KEPT_DAYS = 0
LOGGING["loggers"]["chatapi.calls"]["level"] = "WARNING"
WHITENOISE_AUTOREFRESH = True  # look up files on request: otherwise each test client looks up all of them
# real recognition would compute on behind the tests that follow; those marked speech_model have it
CHATAPI_RECOGNIZER = "tests.support.fake_recognizer.recognize"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # a file, because the writer thread and the views each have their own connection
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] += " PRAGMA synchronous=OFF;"
