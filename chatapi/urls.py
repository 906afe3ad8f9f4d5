"""What Django serves. The completions' endpoints stand before it: `chatapi.asgi`."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from chatapi import schema, views
from chatapi.billing.api import account, usage
from conversations import api

admin.site.site_header = admin.site.site_title = "chatapi"

urlpatterns = [
    path("", RedirectView.as_view(url="/docs")),
    path("livez", views.LiveView.as_view()),
    path("healthz", views.HealthView.as_view()),
    path("openapi.json", schema.DocumentView.as_view(), name="openapi"),
    path("docs", schema.SwaggerView.as_view()),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("v1/models", views.ModelListView.as_view()),
    path("v1/models/<path:model_id>", views.ModelView.as_view()),
    path("v1/chat/completions/<str:completion_id>", api.CompletionView.as_view()),
    path("v1/chat/completions/<str:completion_id>/cancel", api.CompletionCancelView.as_view()),
    path("v1/conversations", api.ConversationListView.as_view()),
    path("v1/conversations/<str:conversation_id>", api.ConversationView.as_view()),
    path("v1/conversations/<str:conversation_id>/items", api.ItemListView.as_view()),
    path("v1/organization/usage/completions", usage.CompletionUsageView.as_view()),
    path("v1/organization/costs", usage.CostView.as_view()),
    path("v1/billing/balance", account.BalanceView.as_view()),
    path("v1/billing/transactions", account.TransactionListView.as_view()),
    path("v1/billing/transactions/<str:transaction_id>", account.TransactionView.as_view()),
    path("v1/billing/statements", account.StatementListView.as_view()),
    path("v1/billing/statements/<str:month>.csv", account.StatementCsvView.as_view()),
    path("v1/billing/statements/<str:month>.html", account.StatementPageView.as_view()),
    path("v1/billing/statements/<str:month>", account.StatementView.as_view()),
    path("", include("media.api.urls")),
]

handler400 = "chatapi.views.handler400"
handler403 = "chatapi.views.handler403"
handler404 = "chatapi.views.handler404"
handler500 = "chatapi.views.handler500"
