"""The ASGI application: the streaming endpoints beside Django, in the Channels router."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapi.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from chatapi.application import make_application  # noqa: E402 (models need Django to be set up)

application = make_application(django_application)
