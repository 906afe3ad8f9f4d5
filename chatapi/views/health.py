"""Health checks: whether the process is alive, and whether a completion could be answered now."""

from typing import Any

from django.db import Error as AnyDatabaseError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from chatapi.views.model_list import usable_registry
from conversations.models import Completion
from core.exceptions import ServiceUnavailable
from core.http.exception_handler import database_down_error
from core.http.openapi import error_responses
from core.http.serializers import ConstantField
from core.http.views import PublicView
from core.redaction import redact


class StatusSerializer(serializers.Serializer[Any]):
    """All is well; else the status is another."""

    status = ConstantField("ok")


class LiveView(PublicView):
    @extend_schema(
        operation_id="livez", summary="Whether the process lives", tags=["health"], responses=StatusSerializer
    )
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class HealthView(PublicView):
    @extend_schema(
        operation_id="healthz",
        summary="Whether a completion could be answered now",
        tags=["health"],
        responses={200: StatusSerializer} | error_responses(503),
    )
    def get(self, request: Request) -> Response:
        check_database()
        check_default_model()
        return Response({"status": "ok"})


def check_database() -> None:
    """Raise `ServiceUnavailable` if the database is down or lacks our tables."""
    try:
        Completion.objects.exists()
    except AnyDatabaseError:
        raise database_down_error() from None


def check_default_model() -> None:
    models = usable_registry()
    reason = models.engine(models.default).unready_reason
    if reason is not None:
        raise ServiceUnavailable(
            f"The model {models.default.id!r} is not ready: {redact(reason)}", code="engine_unavailable"
        )
