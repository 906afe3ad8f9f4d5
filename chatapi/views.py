"""Health, the list of models, and the answers where Django itself refuses."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions as drf_exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chatapi.engines import registry as engine_registry
from chatapi.engines.registry import ModelsFileError, ModelSpec
from chatapi.errors import Forbidden, Internal, MethodNotAllowed, NotFound, ServiceUnavailable
from chatapi.models_file import current_registry
from chatapi.responses import api_error_of, database_is_down, error_response
from chatapi.serializers import ModelListSerializer, ModelSerializer, StatusSerializer, refusals
from conversations.models import Completion


class FirstRenderer(BaseContentNegotiation):
    """SDKs and browsers send all sorts of `Accept`; there is one kind of answer."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next(iter(parsers), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class ApiView(APIView):
    # no docstring: the API's document would repeat it at every view

    content_negotiation_class = FirstRenderer

    def get_authenticators(self) -> list[Any]:
        return [] if self._asks_for_options else super().get_authenticators()

    def get_permissions(self) -> list[Any]:
        return [] if self._asks_for_options else list(super().get_permissions())

    @property
    def _asks_for_options(self) -> bool:
        return getattr(self.request, "method", None) == "OPTIONS"  # the document's generator has no request

    def options(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(content_type="text/plain")  # `Allow` is set on every answer


class PublicView(ApiView):
    authentication_classes = ()
    permission_classes = ()


# --- health -------------------------------------------------------------------------------------


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
        responses={200: StatusSerializer} | refusals(503),
    )
    def get(self, request: Request) -> Response:
        check_database()
        check_default_model()
        return Response({"status": "ok"})


def check_database() -> None:
    """Raises `ServiceUnavailable` where the database is dead, or empty of our tables."""
    try:
        Completion.objects.exists()
    except AnyDatabaseError:
        raise database_is_down() from None


def check_default_model() -> None:
    models = usable_registry()
    reason = models.engine(models.default).unready_because
    if reason is not None:
        raise ServiceUnavailable(
            f"The model {models.default.id!r} is not ready: {reason}", code="engine_unavailable"
        )


def usable_registry() -> engine_registry.Registry:
    try:
        return current_registry()
    except ModelsFileError:
        raise ServiceUnavailable(
            "The models file cannot be used; `manage.py check` says why.", code="models_file"
        ) from None


# --- models -------------------------------------------------------------------------------------


class ModelListView(ApiView):
    @extend_schema(
        operation_id="listModels",
        summary="The models that can be asked",
        tags=["models"],
        responses={200: ModelListSerializer} | refusals(401),
    )
    def get(self, request: Request) -> Response:
        return Response({"object": "list", "data": [described(spec) for spec in usable_registry()]})


class ModelView(ApiView):
    @extend_schema(
        operation_id="getModel",
        summary="One model; an id may hold slashes",
        tags=["models"],
        responses={200: ModelSerializer} | refusals(401, 404),
    )
    def get(self, request: Request, model_id: str) -> Response:
        spec = usable_registry().find(model_id)
        if spec is None:
            raise NotFound("There is no such model.", param="model", code="model_not_found")
        return Response(described(spec))


def described(spec: ModelSpec) -> dict[str, Any]:
    return {
        "id": spec.id,
        "object": "model",
        "created": _models_file_time(),
        "owned_by": spec.owned_by,
        "input_modalities": spec.input_modalities,
        "output_modalities": spec.output_modalities,
        "context_length": spec.context_length,
        "max_output_tokens": spec.max_output_tokens,
        "default": spec is usable_registry().default,
    }


def _models_file_time() -> int:
    """When the list was last written: by the operator, or where there is no file by us."""
    path = settings.CHATAPI_MODELS_FILE or Path(engine_registry.__file__)
    try:
        return int(path.stat().st_mtime)
    except OSError:
        return 0


# --- refusals -----------------------------------------------------------------------------------


def exception_handler(exception: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """DRF's hook. What is unknown goes on to Django, which logs it and calls `handler500`."""
    if isinstance(exception, drf_exceptions.MethodNotAllowed):
        allowed = ", ".join(context["view"].allowed_methods)
        return error_response(MethodNotAllowed(context["request"].method, allowed))
    error = api_error_of(exception)
    return None if isinstance(error, Internal) else error_response(error)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(api_error_of(exception))


handler403 = handler404 = handler400


def handler500(request: HttpRequest) -> HttpResponse:
    return error_response(api_error_of(sys.exc_info()[1]))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_response(Forbidden(f"The CSRF check failed: {reason}", code="csrf_failed"))
