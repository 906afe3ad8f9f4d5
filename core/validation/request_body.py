"""The body of a request to one of Django's views, checked field by field."""

from typing import Any

from rest_framework.request import Request

from core.validation import exceptions
from core.validation.fields import StrictSerializer
from core.validation.json_body import parse_json


def read_body(request: Request, fields: type[StrictSerializer]) -> dict[str, Any]:
    """Return what the body holds of these fields; an empty body counts as an empty object.

    Raises `BadRequest`, also for a name that is no field: what is misspelled must not be taken for absent.
    """
    serializer = fields()
    raw = request._request.body
    values = parse_json(raw) if raw.strip() else {}
    for name in values:
        if name not in serializer.fields:
            raise exceptions.unsupported("it is not known here").at(name).as_bad_request
    try:
        return serializer.run_validation(values)
    except exceptions.InvalidField as problem:
        raise problem.as_bad_request from None
