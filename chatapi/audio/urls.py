"""The `/v1/audio` routes that Django serves; endpoints that take or send sound are in `asgi_routes`."""

from django.urls import path

from chatapi.audio import voice_list

urlpatterns = [path("v1/audio/voices", voice_list.VoiceListView.as_view())]
