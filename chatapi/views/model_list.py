"""`/v1/models`: the models that can be used."""

from pathlib import Path
from typing import Any, ClassVar, get_args

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from msgspec import structs
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.exceptions import NotFound, ServiceUnavailable
from core.http.examples import MODEL, PROJECT_CREATED_AT, shown
from core.http.openapi import error_responses, path_id
from core.http.pagination import list_body, list_serializer
from core.http.serializers import ConstantField
from core.http.views import ApiView
from engines import model_spec
from engines.model_registry import Registry
from engines.model_spec import InputModality, ModelSpec, OutputModality
from engines.models_file import ModelsFileError
from engines.served_models import current_registry

_EXAMPLE = {
    "id": MODEL,
    "object": "model",
    "created": PROJECT_CREATED_AT,
    "owned_by": "openai",
    "input_modalities": ["text", "image"],
    "output_modalities": ["text"],
    "context_length": 400_000,
    "max_output_tokens": 16_384,
    "default": True,
}


@extend_schema_serializer(examples=[shown("A model of another server", _EXAMPLE)])
class ModelSerializer(serializers.Serializer[Any]):
    """A model that can be asked."""

    id = serializers.CharField(help_text="What requests name it by.")
    object = ConstantField("model")
    created = serializers.IntegerField(
        help_text="When the list of models was last changed, in seconds since the epoch."
    )
    owned_by = serializers.CharField(help_text="Whose it is, as the operator's list says.")
    input_modalities = serializers.ListField(
        child=serializers.ChoiceField(get_args(InputModality)),
        help_text="What it takes by itself. Pictures and sounds may be sent to any model: one that cannot "
        "take them is given the text found in them.",
    )
    output_modalities = serializers.ListField(
        child=serializers.ChoiceField(get_args(OutputModality)),
        help_text="What it makes by itself. Any model's answer can be spoken by this service.",
    )
    context_length = serializers.IntegerField(
        allow_null=True,
        help_text="How many tokens prompt and answer may have together; null if it is not known.",
    )
    max_output_tokens = serializers.IntegerField(
        allow_null=True,
        help_text="How many tokens an answer may have; a request for more is refused. Null: no limit is set.",
    )
    default = serializers.BooleanField(
        help_text="Whether it answers requests of `/chat/completions` that name no model."
    )


class ModelListView(ApiView):
    permissions: ClassVar = {"GET": None}

    @extend_schema(
        operation_id="listModels",
        summary="The models that can be asked",
        tags=["models"],
        responses={200: list_serializer(ModelSerializer)} | error_responses(401),
    )
    def get(self, request: Request) -> Response:
        return Response(list_body(serialize_model(spec) for spec in usable_registry()))


@extend_schema(
    parameters=[path_id("model_id", "The model, as `/v1/models` lists it. Slashes stay as they are.")]
)
class ModelView(ApiView):
    permissions: ClassVar = {"GET": None}

    @extend_schema(
        operation_id="getModel",
        summary="One model; an id may hold slashes",
        tags=["models"],
        responses={200: ModelSerializer} | error_responses(401, 404),
    )
    def get(self, request: Request, model_id: str) -> Response:
        spec = usable_registry().find(model_id)
        if spec is None:
            raise NotFound("There is no such model.", param="model", code="model_not_found")
        return Response(serialize_model(spec))


def serialize_model(spec: ModelSpec) -> dict[str, Any]:
    facts = {"created": _models_file_time(), "default": spec is usable_registry().default}
    return ModelSerializer().to_representation(structs.asdict(spec) | facts)


def _models_file_time() -> int:
    """Return when the list was last written: by the operator or, if there is no file, by us."""
    path = settings.CHATAPI_MODELS_FILE or Path(model_spec.__file__)
    try:
        return int(path.stat().st_mtime)
    except OSError:
        return 0


def usable_registry() -> Registry:
    try:
        return current_registry()
    except ModelsFileError:
        raise ServiceUnavailable(
            "The models file cannot be used; `manage.py check` says why.", code="models_file"
        ) from None
