"""Views of a workspace's money: its balance, its transactions, and its statements."""

import re
from datetime import date
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import workspace_id_of
from accounts.models import Workspace
from billing import selectors, statement_exports, statements
from billing.api.account_serializers import (
    BalanceSerializer,
    FullStatementSerializer,
    StatementListSerializer,
    StatementSerializer,
    TransactionListSerializer,
    TransactionSerializer,
)
from billing.models import Transaction
from billing.selectors import WalletMovement
from billing.statements import StatementReport
from core.exceptions import BadRequest, NotFound
from core.http.openapi import error_responses
from core.http.query import parse_choices, parse_integer
from core.http.views import ApiView
from core.ids import TRANSACTION, parse_id

MAX_LIMIT = 100
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")

PAGE_PARAMETERS = [
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 20}),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
]
MONTH = OpenApiParameter(
    "month", OpenApiTypes.STR, OpenApiParameter.PATH, description="Such as `2026-01`, UTC."
)


class BalanceView(ApiView):
    @extend_schema(
        operation_id="getBalance",
        summary="What the workspace can spend, and what is used of its budgets",
        description="Amounts are decimal numbers of USD in strings, exact to nine decimals.",
        tags=["billing"],
        responses={200: BalanceSerializer} | error_responses(401),
    )
    def get(self, request: Request) -> Response:
        workspace_id = workspace_id_of(request)
        budgets = selectors.budgets_of(workspace_id, timezone.now().date())
        show = BalanceSerializer(selectors.wallet_of(workspace_id), context={"budgets": budgets})
        return Response(show.data)


class TransactionListView(ApiView):
    @extend_schema(
        operation_id="listTransactions",
        summary="What moved the workspace's balance, newest first",
        tags=["billing"],
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter(
                "kind",
                {"type": "array", "items": {"type": "string", "enum": Transaction.Kind.values}},
                description="Only these. Also as `kind[]`, or separated by commas.",
            ),
        ],
        responses={200: TransactionListSerializer} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        query, workspace_id = request.query_params, workspace_id_of(request)
        kinds = parse_choices(query, "kind", Transaction.Kind.values)
        limit = parse_integer(query, "limit", least=1, most=MAX_LIMIT, default=20)
        last = None
        if "after" in query:
            last = selectors.transaction_of(workspace_id, parse_id(TRANSACTION, query["after"]))
            if last is None:
                raise _invalid_after()
        found, has_more = selectors.transaction_page(
            workspace_id, limit=limit, after=last.transaction if last else None, kinds=kinds
        )
        return Response(_page([_transaction_body(movement) for movement in found], has_more=has_more))


class TransactionView(ApiView):
    @extend_schema(
        operation_id="getTransaction",
        summary="One transaction",
        tags=["billing"],
        responses={200: TransactionSerializer} | error_responses(401, 404),
    )
    def get(self, request: Request, transaction_id: str) -> Response:
        found = selectors.transaction_of(workspace_id_of(request), parse_id(TRANSACTION, transaction_id))
        if found is None:
            raise NotFound("There is no such transaction.", param="transaction_id")
        return Response(_transaction_body(found))


class StatementListView(ApiView):
    @extend_schema(
        operation_id="listStatements",
        summary="The statements of months that are closed, newest first",
        tags=["billing"],
        parameters=PAGE_PARAMETERS,
        responses={200: StatementListSerializer} | error_responses(400, 401),
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        limit = parse_integer(query, "limit", least=1, most=MAX_LIMIT, default=20)
        before = None
        if "after" in query:
            before = _month(query["after"])
            if before is None:
                raise _invalid_after()
        found, has_more = statements.statement_page(workspace_id_of(request), limit=limit, before=before)
        show = StatementSerializer(context={"is_closed": True}).to_representation
        return Response(_page([show(statement) for statement in found], has_more=has_more))


class StatementView(ApiView):
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
    @extend_schema(
        operation_id="getStatementAsCsv",
        summary="The same as a table for spreadsheets",
        description="All amounts but the last add up to the last, the closing balance.",
        tags=["billing"],
        parameters=[MONTH],
        responses={(200, "text/csv"): OpenApiTypes.STR} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, month: str) -> HttpResponse:
        report = _report(request, month)
        name = f"statement-{report.statement.month:%Y-%m}.csv"
        return HttpResponse(
            statement_exports.as_csv(report),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


class StatementPageView(ApiView):
    @extend_schema(
        operation_id="getStatementAsPage",
        summary="The same as a page to print",
        tags=["billing"],
        parameters=[MONTH],
        responses={(200, "text/html"): OpenApiTypes.STR} | error_responses(400, 401, 404),
    )
    def get(self, request: Request, month: str) -> HttpResponse:
        report = _report(request, month)
        workspace = Workspace.objects.get(pk=report.statement.workspace_id)
        return HttpResponse(
            statement_exports.as_html(report, workspace.name),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )


def _report(request: Request, text: str) -> StatementReport:
    month = _month(text)
    if month is None:
        raise BadRequest("Invalid value for 'month': it is not like '2026-01'.", param="month")
    report = statements.find_report(workspace_id_of(request), month)
    if report is None:
        raise NotFound("There is no statement of this month.", param="month")
    return report


def _month(text: str) -> date | None:
    found = _MONTH.fullmatch(text)
    return date(int(found[1]), int(found[2]), 1) if found and int(found[1]) else None


def _invalid_after() -> BadRequest:
    return BadRequest("Invalid value for 'after': there is no such object in this list.", param="after")


def _transaction_body(movement: WalletMovement) -> dict[str, Any]:
    return TransactionSerializer().to_representation(movement)


def _page(data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }
