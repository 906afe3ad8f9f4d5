"""The URLs of a workspace's usage and money."""

from django.urls import path

from billing.api import account_views, usage_views

urlpatterns = [
    path("v1/organization/usage/completions", usage_views.CompletionUsageView.as_view()),
    path("v1/organization/costs", usage_views.CostView.as_view()),
    path("v1/billing/balance", account_views.BalanceView.as_view()),
    path("v1/billing/transactions", account_views.TransactionListView.as_view()),
    path("v1/billing/transactions/<str:transaction_id>", account_views.TransactionView.as_view()),
    path("v1/billing/statements", account_views.StatementListView.as_view()),
    path("v1/billing/statements/<str:month>.csv", account_views.StatementCsvView.as_view()),
    path("v1/billing/statements/<str:month>.html", account_views.StatementPageView.as_view()),
    path("v1/billing/statements/<str:month>", account_views.StatementView.as_view()),
]
