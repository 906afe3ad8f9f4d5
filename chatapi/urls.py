"""The routes Django serves. The completion endpoints are outside it: `chatapi.asgi`."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from chatapi import openapi
from chatapi.audio import voice_list
from chatapi.completions.stored import cancel_views, feedback_views
from chatapi.completions.stored import views as completion_views
from chatapi.request_log import views as request_views
from chatapi.views import docs, health, model_list

urlpatterns = [
    path("", RedirectView.as_view(url="/docs")),
    path("livez", health.LiveView.as_view()),
    path("healthz", health.HealthView.as_view()),
    path("openapi.json", openapi.DocumentView.as_view(), name="openapi"),
    path("docs", docs.DocsView.as_view()),
    path("docs/<path:name>", docs.GuideView.as_view()),
    path("accounts/", include("accounts.sign_in.urls")),
    path("_allauth/openapi.json", RedirectView.as_view(url="/openapi.json")),
    path("_allauth/openapi.yaml", RedirectView.as_view(url="/openapi.json")),
    path("_allauth/", include("allauth.headless.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("v1/models", model_list.ModelListView.as_view()),
    path("v1/models/<path:model_id>", model_list.ModelView.as_view()),
    path("v1/audio/voices", voice_list.VoiceListView.as_view()),
    path("v1/chat/completions", completion_views.CompletionListView.as_view()),
    path("v1/chat/completions/cancel", cancel_views.CallCancelView.as_view()),
    path("v1/chat/completions/<str:completion_id>", completion_views.CompletionView.as_view()),
    path("v1/chat/completions/<str:completion_id>/cancel", cancel_views.CompletionCancelView.as_view()),
    path("v1/chat/completions/<str:completion_id>/feedback", feedback_views.FeedbackView.as_view()),
    path(
        "v1/chat/completions/<str:completion_id>/messages", completion_views.CompletionMessagesView.as_view()
    ),
    path("", include("accounts.api.urls")),
    path("v1/requests/<str:request_id>", request_views.RequestView.as_view()),
    path("", include("chatapi.data_export.urls")),
    path("", include("conversations.api.urls")),
    path("", include("billing.api.urls")),
    path("", include("media.api.urls")),
]

handler400 = "chatapi.views.errors.handler400"
handler403 = "chatapi.views.errors.handler403"
handler404 = "chatapi.views.errors.handler404"
handler500 = "chatapi.views.errors.handler500"
