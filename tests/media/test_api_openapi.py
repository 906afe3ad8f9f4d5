"""What the API document's page can do with files."""

import pytest
from django.test import Client


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v1/files", "/v1/audio/transcriptions", "/v1/audio/translations"])
def test_a_file_can_be_chosen_in_a_form(client: Client, path: str) -> None:
    """Of bytes the page makes a file input, of anything else a line of text."""
    document = client.get("/openapi.json").json()
    form = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    schema = document["components"]["schemas"][form["$ref"].rpartition("/")[2]]

    assert schema["properties"]["file"]["format"] == "binary"
