"""File inputs on the API document's page."""

import pytest
from django.test import Client


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v1/files", "/v1/audio/transcriptions", "/v1/audio/translations"])
def test_a_file_can_be_chosen_in_a_form(client: Client, path: str) -> None:
    """The page shows a file input for binary fields and a line of text for anything else."""
    document = client.get("/openapi.json").json()
    form = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    schema = document["components"]["schemas"][form["$ref"].rpartition("/")[2]]

    assert schema["properties"]["file"]["format"] == "binary"
