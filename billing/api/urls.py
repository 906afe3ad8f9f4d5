"""What Django serves of a workspace's usage and money."""

from django.urls import path

from billing.api import account, usage

urlpatterns = [
    path("v1/organization/usage/completions", usage.CompletionUsageView.as_view()),
    path("v1/organization/costs", usage.CostView.as_view()),
    path("v1/billing/balance", account.BalanceView.as_view()),
    path("v1/billing/transactions", account.TransactionListView.as_view()),
    path("v1/billing/transactions/<str:transaction_id>", account.TransactionView.as_view()),
    path("v1/billing/statements", account.StatementListView.as_view()),
    path("v1/billing/statements/<str:month>.csv", account.StatementCsvView.as_view()),
    path("v1/billing/statements/<str:month>.html", account.StatementPageView.as_view()),
    path("v1/billing/statements/<str:month>", account.StatementView.as_view()),
]
