"""Examples in the API's document: a workspace that was topped up in December, and its January 2026."""

from typing import Any

from core.http.examples import COMPLETION_ID, KEY_CREATED_AT, KEY_ID, MODEL, NOON, PROJECT_ID, shown
from core.money import CURRENCY

TOP_UP_ID = "txn_019b126ea9e87a1b8c2d3e4f50617283"
CHARGE_ID = "txn_019b796e24207b2c9d3e4f5061728394"
_JANUARY, _FEBRUARY = 1_767_225_600, 1_769_904_000
_DAY = 86_400
_COST = "0.00018"

_TOP_UP: dict[str, Any] = {
    "id": TOP_UP_ID,
    "object": "billing.transaction",
    "created_at": KEY_CREATED_AT,
    "kind": "top_up",
    "amount": "25.00",
    "currency": CURRENCY,
    "reason": "Invoice 2025-117",
    "reference": "pi_3SdQ2xKz8vYd",
    "completion_id": None,
    "model": None,
    "reverses": None,
    "reversed_by": None,
}
_CHARGE = _TOP_UP | {
    "id": CHARGE_ID,
    "created_at": NOON + 20,
    "kind": "charge",
    "amount": f"-{_COST}",
    "reason": None,
    "reference": None,
    "completion_id": COMPLETION_ID,
    "model": MODEL,
}
SHOWN_TRANSACTION = shown("What an answer cost", _CHARGE)

SHOWN_BALANCE = shown(
    "A prepaid workspace, with a budget of its key",
    {
        "object": "billing.balance",
        "project_id": PROJECT_ID,
        "currency": CURRENCY,
        "balance": "24.99982",
        "held": "0.0164",
        "credit_limit": "0.00",
        "available": "24.98342",
        "budgets": [
            {
                "id": "budget_019b126eb1b87c3d8e4f506172839405",
                "object": "billing.budget",
                "api_key_id": KEY_ID,
                "period": "day",
                "starts_at": _JANUARY,
                "ends_at": _JANUARY + _DAY,
                "limit": "5.00",
                "used": "0.01658",
                "remaining": "4.98342",
            }
        ],
    },
)
_STATEMENT = {
    "id": "2026-01",
    "object": "billing.statement",
    "project_id": PROJECT_ID,
    "starts_at": _JANUARY,
    "ends_at": _FEBRUARY,
    "closed": True,
    "created_at": _FEBRUARY + 600,
    "currency": CURRENCY,
    "opening": "25.00",
    "totals": {
        "charge": f"-{_COST}",
        "top_up": "0.00",
        "promotion": "0.00",
        "adjustment": "0.00",
        "reversal": "0.00",
    },
    "closing": "24.99982",
}
SHOWN_STATEMENT = shown("January", _STATEMENT)
FULL_STATEMENT = shown(
    "January, whole",
    _STATEMENT
    | {
        "lines": [
            {
                "model": MODEL,
                "kind": "completion",
                "requests": 1,
                "units": {
                    "prompt": 15,
                    "cached": 0,
                    "completion": 14,
                    "reasoning": 0,
                    "audio_in": 0,
                    "audio_out": 0,
                    "images": 0,
                    "seconds": 0,
                    "characters": 0,
                },
                "amount": f"-{_COST}",
            }
        ],
        "movements": [],
        "others": {"count": 0, "amount": "0.00"},
    },
)
STATEMENT_CSV = shown(
    "January",
    "month,type,date,description,reference,requests,prompt,cached,completion,reasoning,audio_in,audio_out,"
    "images,seconds,characters,amount_usd\r\n"
    "2026-01,opening,2026-01-01,Opening balance,,,,,,,,,,,,25.00\r\n"
    f'2026-01,charge,,"{MODEL}, completion",,1,15,0,14,0,0,0,0,0,0,-{_COST}\r\n'
    "2026-01,closing,2026-01-31,Closing balance,,,,,,,,,,,,24.99982\r\n",
    "text/csv",
)
STATEMENT_PAGE = shown(
    "January",
    '<!DOCTYPE html>\n<html lang="en">\n<title>Statement 2026-01, Travel desk</title>…',
    "text/html",
)


def _buckets(result: dict[str, Any]) -> dict[str, Any]:
    return {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": _JANUARY,
                "end_time": _JANUARY + _DAY,
                "results": [{"project_id": None, "user_id": None, "api_key_id": KEY_ID, **result}],
            }
        ],
        "has_more": False,
        "next_page": None,
    }


SHOWN_USAGE = shown(
    "A day, by key and model",
    _buckets(
        {
            "object": "organization.usage.completions.result",
            "input_tokens": 15,
            "output_tokens": 14,
            "input_cached_tokens": 0,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "num_model_requests": 1,
            "model": MODEL,
            "batch": None,
        }
    ),
)
SHOWN_COSTS = shown(
    "A day, by key",
    _buckets(
        {
            "object": "organization.costs.result",
            "amount": {"value": 0.00018, "currency": "usd"},
            "line_item": None,
            "unpriced_requests": 0,
        }
    ),
)
