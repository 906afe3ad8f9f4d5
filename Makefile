# `make` lists the commands. The first one that needs packages installs them into .venv.

.DEFAULT_GOAL := help
.PHONY: help run install-run install-dev test test-long test-services test-browser chaos attack check format bench lock clean
MAKEFLAGS += --no-print-directory
# without a cache of bytecode each server, sandbox and test worker compiles all modules anew
unexport PYTHONDONTWRITEBYTECODE

# python3, or a newer sibling where python3 is too old; the bootstrap says so where none is found
PYTHON ?= $(or $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done),python3)
RUN = $(PYTHON) deploy/bootstrap.py run
DEV = $(PYTHON) deploy/bootstrap.py dev
BIN = .venv/bin
ARGS ?=
TEST = -m pytest --numprocesses=auto --maxprocesses=4

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

run:  ## install what is missing, then serve on HOST:PORT (127.0.0.1:8000) until Ctrl-C
	@exec $(RUN) manage.py run

install-run:  ## only install what `make run` needs
	@exec $(RUN)

install-dev:  ## only install what the commands below need
	@exec $(DEV)

test:  ## run the tests; ARGS="-k word" is given to pytest
	@exec env -u CHATAPI_TEST_DATABASE_URL $(DEV) $(TEST) -m "not services and not long and not browser" $(ARGS)

test-long:  ## run the long forms of what `make test` proves on little input
	@exec env -u CHATAPI_TEST_DATABASE_URL $(DEV) $(TEST) -m "(long or hypothesis) and not services and not browser" \
		--hypothesis-profile=thorough $(ARGS)

test-services:  ## run what touches the database on PostgreSQL, PgBouncer, and workers on Redis and RabbitMQ
	@exec $(DEV) deploy/with_services.py $(TEST) -m "(database or services) and not long and not browser" $(ARGS)

test-browser:  ## show the pages to a real Chromium, which root installs where there is none
	@exec env -u CHATAPI_TEST_DATABASE_URL $(DEV) deploy/with_chromium.py -m pytest -n 2 -m browser tests/browser $(ARGS)

attack:  ## attack a fresh server over the network, and exit 1 if an attack succeeds; ARGS="-k wallet"
	@exec $(DEV) -m tests.attacks $(ARGS)

chaos:  ## kill -9 servers and workers under load, 200 times, and prove the books; ARGS="--kills 20"
	@exec $(DEV) -m tests.chaos $(ARGS)

FRONTEND = tests/typescript_client
# nothing is looked up in a database
check: export DATABASE_URL = sqlite://:memory:
check: install-dev  ## ruff, mypy, import contract, migrations, deployment, API document, a TypeScript client of it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	CHATAPI_HTTPS=1 CHATAPI_TRUSTED_PROXIES=127.0.0.1 $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --format openapi-json --file $(FRONTEND)/openapi.json
	$(BIN)/python -m tests.typescript_client

format: install-dev  ## let ruff mend and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench:  ## measure the service against a plain relay (docs/benchmarks.md)
	@exec $(DEV) -m benchmarks $(ARGS)

lock: install-dev  ## pin the newest allowed versions in requirements/*.txt
	$(LOCK) requirements/run.txt requirements/run.in
	$(LOCK) requirements/dev.txt --constraints requirements/run.txt requirements/dev.in

LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --annotation-style line --output-file

clean:  ## remove .venv and caches, never var/
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache $(FRONTEND)/node_modules
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +
