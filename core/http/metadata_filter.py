"""The query parameter `metadata[key]=value` of lists whose rows have metadata."""

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter

from core.exceptions import BadRequest
from core.http.query import check_length
from core.validation.metadata import MAX_KEY, MAX_PAIRS, MAX_VALUE

METADATA = OpenApiParameter(
    "metadata",
    {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": MAX_PAIRS},
    style="deepObject",
    explode=True,
    description="Only those whose metadata has all of these pairs: `metadata[topic]=numbers`.",
)


def parse_metadata(query: QueryDict) -> dict[str, str]:
    """Parse the pairs. Raises `BadRequest` for what no metadata can have."""
    names = [name for name in query if name.startswith("metadata[") and name.endswith("]")]
    if len(names) > MAX_PAIRS:
        raise BadRequest(
            f"Invalid 'metadata': {len(names)} pairs are too many, {MAX_PAIRS} are allowed.", param="metadata"
        )
    pairs = {}
    for name in names:
        key, values = name.removeprefix("metadata[")[:-1], set(query.getlist(name))
        check_length(key, "metadata", MAX_KEY)
        if len(values) > 1:
            raise BadRequest(f"Invalid value for '{name}': it has two values at once.", param=name)
        [pairs[key]] = values
        check_length(pairs[key], name, MAX_VALUE)
    return pairs
