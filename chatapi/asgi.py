"""The ASGI application: the streaming endpoints beside Django, in the Channels router."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapi.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

# models need Django set up
from chatapi.completions.service import CompletionService  # noqa: E402
from chatapi.routing import make_application  # noqa: E402
from chatapi.serving.preflight import check_or_exit  # noqa: E402
from engines.served_models import current_registry  # noqa: E402

check_or_exit()  # another server than `manage.py run` may serve it

application = make_application(django_application, CompletionService(current_registry()))
