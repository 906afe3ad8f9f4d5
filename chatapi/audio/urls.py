"""What Django serves of `/v1/audio`; the endpoints that take or send sound are in `asgi_routes`."""

from django.urls import path

from chatapi.audio import views

urlpatterns = [path("v1/audio/voices", views.VoiceListView.as_view())]
