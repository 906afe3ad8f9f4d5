"""Views of a workspace's money: its balance, its transactions, and its statements."""

from typing import ClassVar

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import principal_of
from accounts.models import Workspace
from accounts.permissions import Permission
from billing import selectors, statement_exports, statements
from billing.api.account_serializers import (
    BalanceSerializer,
    FullStatementSerializer,
    StatementSerializer,
    TransactionSerializer,
)
from billing.api.examples import STATEMENT_CSV, STATEMENT_PAGE
from billing.models import Transaction
from billing.statements import StatementReport
from core.exceptions import BadRequest, NotFound
from core.http.openapi import error_responses, path_id
from core.http.pagination import PageParameters, page_body, page_serializer
from core.http.query import parse_choices
from core.http.views import ApiView
from core.ids import TRANSACTION, parse_id

PAGES = PageParameters(order=False)
KIND = OpenApiParameter(
    "kind",
    {"type": "array", "items": {"type": "string", "enum": Transaction.Kind.values}},
    description="Only these. Also as `kind[]`, or separated by commas.",
)
TRANSACTION_PAGES = PageParameters(KIND, order=False)
MONTH = OpenApiParameter(
    "month", OpenApiTypes.STR, OpenApiParameter.PATH, description="Such as `2026-01`, UTC."
)


class BalanceView(ApiView):
    permissions: ClassVar = {"GET": Permission.BILLING}

    @extend_schema(
        operation_id="getBalance",
        summary="What the workspace can spend, and what is used of its budgets",
        description="Amounts are decimal numbers of USD in strings, exact to nine decimals.",
        tags=["billing"],
        responses={200: BalanceSerializer} | error_responses(401),
    )
    def get(self, request: Request) -> Response:
        workspace_id = principal_of(request).workspace_id
        budgets = selectors.budgets_of(workspace_id, timezone.now().date())
        show = BalanceSerializer(selectors.wallet_of(workspace_id), context={"budgets": budgets})
        return Response(show.data)


class TransactionListView(ApiView):
    permissions: ClassVar = {"GET": Permission.BILLING}

    @extend_schema(
        operation_id="listTransactions",
        summary="What moved the workspace's balance, newest first",
        description="Charges are posted some seconds after their answers ended.",
        tags=["billing"],
        parameters=TRANSACTION_PAGES.documentation,
        responses={200: page_serializer(TransactionSerializer)} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        query, workspace_id = request.query_params, principal_of(request).workspace_id
        requested = TRANSACTION_PAGES.parse(query)
        kinds = parse_choices(query, "kind", Transaction.Kind.values)
        page = selectors.transaction_page(workspace_id, requested, kinds)
        return Response(page_body(page, TransactionSerializer()))


@extend_schema(parameters=[path_id("transaction_id", "The transaction: `txn_…`.")])
class TransactionView(ApiView):
    permissions: ClassVar = {"GET": Permission.BILLING}

    @extend_schema(
        operation_id="getTransaction",
        summary="One transaction",
        tags=["billing"],
        responses={200: TransactionSerializer} | error_responses(401, 404),
    )
    def get(self, request: Request, transaction_id: str) -> Response:
        found = selectors.transaction_of(
            principal_of(request).workspace_id, parse_id(TRANSACTION, transaction_id)
        )
        if found is None:
            raise NotFound("There is no such transaction.", param="transaction_id")
        return Response(TransactionSerializer(found).data)


class StatementListView(ApiView):
    permissions: ClassVar = {"GET": Permission.BILLING}

    @extend_schema(
        operation_id="listStatements",
        summary="The statements of months that are closed, newest first",
        tags=["billing"],
        parameters=PAGES.documentation,
        responses={200: page_serializer(StatementSerializer)} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        page = statements.statement_page(
            principal_of(request).workspace_id, PAGES.parse(request.query_params)
        )
        return Response(page_body(page, StatementSerializer(context={"is_closed": True})))


class StatementView(ApiView):
    permissions: ClassVar = {"GET": Permission.BILLING}

    @extend_schema(
        operation_id="getStatement",
        summary="The statement of a month, or a preview of the running one",
        description="A month is closed some minutes after its end (UTC); then its statement never changes.",
        tags=["billing"],
        parameters=[MONTH],
        responses={200: FullStatementSerializer} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, month: str) -> Response:
        report = _report(request, month)
        context = {"report": report, "is_closed": report.is_closed}
        return Response(FullStatementSerializer(report.statement, context=context).data)


class StatementCsvView(ApiView):
    permissions: ClassVar = {"GET": Permission.BILLING}

    @extend_schema(
        operation_id="getStatementAsCsv",
        summary="The statement of a month as a table for spreadsheets",
        description="CSV (RFC 4180), with a line for each model. All amounts but the last add up to the "
        "last, the closing balance.",
        tags=["billing"],
        parameters=[MONTH],
        examples=[STATEMENT_CSV],
        responses={(200, "text/csv"): OpenApiTypes.STR} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, month: str) -> HttpResponse:
        return statement_exports.csv_response(_report(request, month))


class StatementPageView(ApiView):
    permissions: ClassVar = {"GET": Permission.BILLING}

    @extend_schema(
        operation_id="getStatementAsPage",
        summary="The statement of a month as a page to print",
        tags=["billing"],
        parameters=[MONTH],
        examples=[STATEMENT_PAGE],
        responses={(200, "text/html"): OpenApiTypes.STR} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, month: str) -> HttpResponse:
        report = _report(request, month)
        workspace = Workspace.objects.get(pk=report.statement.workspace_id)
        return HttpResponse(statement_exports.as_html(report, workspace.name))


def _report(request: Request, text: str) -> StatementReport:
    month = statements.parse_month(text)
    if month is None:
        raise BadRequest("Invalid value for 'month': it is not like '2026-01'.", param="month")
    report = statements.find_report(principal_of(request).workspace_id, month)
    if report is None:
        raise NotFound("There is no statement of this month.", param="month")
    return report
