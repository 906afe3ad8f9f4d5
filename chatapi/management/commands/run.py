"""`manage.py run`: check, migrate, greet, serve."""

import os
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection, connections
from django.utils.module_loading import import_string

from chatapi.celery import app as celery_app
from chatapi.serving import console, first_start, preflight
from chatapi.serving.embedded_worker import EmbeddedWorker
from chatapi.serving.exceptions import CannotStart
from chatapi.serving.preflight import one_line
from chatapi.serving.server import serve


class Command(BaseCommand):
    help = "Serve the API on HOST:PORT until Ctrl-C or SIGTERM: web server and Celery worker in one process."
    requires_system_checks: list[str] = []  # the preflight runs them and reports each in one line

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._run()
        except CannotStart as reason:
            self._exit_now(f"chatapi: {reason}", 1)
        except KeyboardInterrupt:
            self._exit_now("", 130)

    def _run(self) -> None:
        host, port = preflight.listening_address()
        news = preflight.create_storage()
        models = preflight.served_models()
        listener = preflight.bind(host, port)
        address = console.Address.of(listener)
        preflight.check_database()
        for warning in [*news, *preflight.system_warnings()]:
            self.stderr.write(f"chatapi: {warning}")
        credentials = self._prepare_database()
        if credentials is not None:
            default = next((model for model in models if model.default), models[0])
            console.say(console.welcome(credentials, address.url, default.id))
        self._serve(listener, address)

    def _prepare_database(self) -> first_start.Credentials | None:
        try:
            with first_start.preparation_lock(console.say):
                if preflight.unapplied_migrations(connection):
                    console.say("Preparing the database…")
                    first_start.migrate()
                return first_start.create_first_credentials()
        except (DatabaseError, OSError) as error:
            raise CannotStart(f"the database cannot be prepared: {one_line(error)}") from error
        finally:
            connections.close_all()

    def _serve(self, listener: socket.socket, address: console.Address) -> None:
        worker = EmbeddedWorker(celery_app) if settings.CHATAPI_EMBEDDED_WORKER else None
        app = import_string(settings.ASGI_APPLICATION)
        progress = console.ConsoleProgress()
        progress.begin()
        if worker is not None:
            worker.start()

        has_started = serve(
            app,
            listener,
            on_stop=worker.stop if worker is not None else lambda: None,
            watch=lambda: console.report_readiness(address, self._host_header(), progress),
        )
        if worker is not None:
            worker.wait(settings.CHATAPI_SHUTDOWN_SECONDS)
        if not has_started:
            self._exit_now("chatapi: the application did not start; the reason is logged above", 1)
        console.say("Stopped.")

    def _host_header(self) -> str:
        names = [name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"]
        return names[0] if names else "localhost"

    def _exit_now(self, line: str, status: int) -> None:
        """Exit now, without waiting for the threads of the pool or of the worker."""
        if line:
            self.stderr.write(line)
        self.stderr.flush()
        os._exit(status)
