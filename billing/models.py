"""Billing models: prices, wallets, what each answer costs, and the ledger.

No row here has a foreign key to a workspace, a user, a key or a completion: what was billed stays when those
are deleted. Amounts are nano-USD, rates pico-USD.
"""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.money import MAX_PICO, format_rate
from billing.units import UNIT_NAMES, UNITS, Units
from core.ids import derive_id, new_id
from core.money import format_usd

NO_WORKSPACE = UUID(int=0)
"""The `workspace_id` of the service's own accounts."""


class Price(models.Model):
    """What a model costs from a given time until its next price begins. Never edited."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    model = models.CharField(max_length=200, help_text="As clients name it.")
    starts_at = models.DateTimeField()
    is_free = models.BooleanField(default=False, help_text="Free on purpose: it has no rates.")
    source = models.CharField(max_length=200, blank=True, help_text="Where the rates come from.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "starts_at"], name="one_price_at_a_time"),
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.starts_at:%Y-%m-%d %H:%M:%S}"


class Rate(models.Model):
    """The price of one unit; it may differ for prompts from a certain length on."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="rates")
    unit = models.CharField(max_length=20, choices={name: unit.label for name, unit in UNITS.items()})
    pico_usd = models.BigIntegerField("pico-USD")
    from_prompt_tokens = models.PositiveIntegerField(
        default=0, help_text="Where the whole prompt has at least so many tokens."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["price", "unit", "from_prompt_tokens"], name="one_rate_a_unit"),
            models.CheckConstraint(
                condition=Q(pico_usd__gte=0, pico_usd__lte=MAX_PICO), name="rate_is_an_amount"
            ),
            models.CheckConstraint(condition=Q(unit__in=list(UNIT_NAMES)), name="rate_has_a_unit"),
        ]

    def __str__(self) -> str:
        per = UNITS[self.unit].per
        return f"{format_rate(self.pico_usd, per)} USD for {per:,} {UNITS[self.unit].label}"


class Wallet(models.Model):
    """What a workspace can spend: `balance` + `credit_limit` - `held`.

    `balance` is that of its account in the ledger. `held` is what running answers may cost at most, plus
    what finished ones did cost until that is posted to the ledger.
    """

    workspace_id = models.UUIDField(primary_key=True, editable=False)
    balance = models.BigIntegerField(default=0, editable=False)
    held = models.BigIntegerField(default=0, editable=False)
    credit_limit = models.BigIntegerField(
        null=True, blank=True, default=0, help_text="Nano-USD. 0: prepaid. Empty: no limit."
    )
    low_balance = models.BigIntegerField(
        null=True, blank=True, help_text="Nano-USD: an alert is raised where less is left to spend."
    )
    stripe_customer = models.CharField(max_length=100, blank=True, help_text="cus_…")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0), name="no_negative_hold"),
            models.CheckConstraint(
                condition=Q(credit_limit__gte=0) | Q(credit_limit=None), name="no_negative_credit"
            ),
        ]

    def __str__(self) -> str:
        return f"{format_usd(self.balance)} USD of {self.workspace_id}"

    @property
    def available(self) -> int | None:
        """What is left to spend; None if there is no limit."""
        return None if self.credit_limit is None else self.balance + self.credit_limit - self.held


class Budget(models.Model):
    """What a workspace, or one of its keys, may spend in a day or a month (UTC)."""

    class Period(models.TextChoices):
        DAY = "day"
        MONTH = "month"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace_id = models.UUIDField(db_index=True)
    key_id = models.UUIDField(null=True, blank=True, help_text="Empty: for the workspace as a whole.")
    period = models.CharField(max_length=5, choices=Period)
    limit = models.BigIntegerField(help_text="Nano-USD.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace_id", "period"], condition=Q(key_id=None), name="one_budget_a_workspace"
            ),
            models.UniqueConstraint(
                fields=["key_id", "period"], condition=Q(key_id__isnull=False), name="one_budget_a_key"
            ),
            models.CheckConstraint(condition=Q(limit__gte=0), name="no_negative_budget"),
        ]

    def __str__(self) -> str:
        return f"{format_usd(self.limit)} USD a {self.period}"

    @property
    def scope_id(self) -> UUID:
        return self.key_id or self.workspace_id


class Spend(models.Model):
    """What a workspace, a key or an end-user token (`scope_id`) has spent and holds for the calls of a day.

    Days are in UTC. A token has rows whether or not it has a limit, and they stay when it is deleted: so the
    charges alone say what must be here.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    scope_id = models.UUIDField()
    day = models.DateField()
    amount = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope_id", "day"], name="one_spend_a_day"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="no_negative_spend"),
        ]

    def __str__(self) -> str:
        return f"{format_usd(self.amount)} USD on {self.day}"


class Charge(models.Model):
    """What one answer, speech or transcript costs. An answer's has the completion's id.

    Held while that is made, settled once it has ended, posted once it is in the ledger.
    """

    class Kind(models.TextChoices):
        COMPLETION = "completion"
        SPEECH = "speech"
        TRANSCRIPTION = "transcription"

    class State(models.TextChoices):
        HELD = "held"
        SETTLED = "settled"
        POSTED = "posted"

    id = models.UUIDField(primary_key=True, editable=False)
    kind = models.CharField(max_length=13, choices=Kind)
    state = models.CharField(max_length=7, choices=State, default=State.HELD)
    workspace_id = models.UUIDField()
    user_id = models.BigIntegerField(null=True)
    key_id = models.UUIDField(null=True)
    token_id = models.UUIDField(null=True, help_text="The end-user token that it came with.")
    model = models.CharField(max_length=200, help_text="The model that is billed: the one that answered.")
    price_id = models.UUIDField(null=True, help_text="As it was when the call was admitted. Empty: unpriced.")
    held = models.BigIntegerField(default=0, help_text="What it may cost at most.")
    prompt = models.PositiveIntegerField(default=0)
    cached = models.PositiveIntegerField(default=0)
    completion = models.PositiveIntegerField(default=0)
    reasoning = models.PositiveIntegerField(default=0)
    audio_in = models.PositiveIntegerField(default=0)
    audio_out = models.PositiveIntegerField(default=0)
    images = models.PositiveIntegerField(default=0)
    seconds = models.PositiveIntegerField(default=0)
    characters = models.PositiveIntegerField(default=0)
    requests = models.PositiveSmallIntegerField(
        default=1, help_text="How often the model was asked: each request read the prompt, and has its tier."
    )
    is_estimated = models.BooleanField(default=False)
    cost = models.BigIntegerField(null=True, help_text="Empty until it is settled, and where it is unpriced.")
    end = models.CharField(max_length=12, blank=True, help_text="How the answer ended.")
    process_id = models.UUIDField(null=True, help_text="Who makes the answer.")
    admitted_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["workspace_id", "ended_at"],
                name="charge_of_workspace",
                condition=Q(ended_at__isnull=False),  # every completion writes each index
            ),
            models.Index(fields=["id"], name="charge_to_post", condition=Q(state="settled")),
            models.Index(fields=["process_id"], name="charge_held", condition=Q(state="held")),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0), name="no_negative_charge_held"),
            models.CheckConstraint(condition=Q(cost__gte=0) | Q(cost=None), name="no_negative_cost"),
            models.CheckConstraint(
                condition=Q(is_estimated=False) | Q(cost=None) | Q(cost__lte=F("held")),
                name="no_estimate_above_its_hold",
            ),
            models.CheckConstraint(
                condition=Q(state="held", ended_at=None, cost=None)
                | (~Q(state="held") & Q(ended_at__isnull=False)),
                name="charge_ends_with_its_hold",
            ),
            models.CheckConstraint(
                condition=Q(state="held")
                | Q(price_id=None, cost=None)
                | Q(price_id__isnull=False, cost__isnull=False),
                name="what_has_a_price_has_a_cost",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def units(self) -> Units:
        return Units(**{name: getattr(self, name) for name in UNIT_NAMES})


class OneTimeCharge(models.Model):
    """The charge for something that is charged for once, however often it is made.

    `id` is the thing's own, derived from what it is, so that it is the same when the thing is made again.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    charge = models.OneToOneField(Charge, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return str(self.id)


# --- the ledger -----------------------------------------------------------------------------------


class Account(models.Model):
    """Where money is: a workspace's wallet, or one of the service's own accounts."""

    class Kind(models.TextChoices):
        WALLET = "wallet"
        REVENUE = "revenue"
        PAYMENT = "payment"
        PROMOTION = "promotion"
        ADJUSTMENT = "adjustment"

    id = models.UUIDField(primary_key=True, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    workspace_id = models.UUIDField(default=NO_WORKSPACE, help_text="Of wallets.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "workspace_id"], name="one_account_a_kind"),
            models.CheckConstraint(
                condition=Q(kind="wallet") ^ Q(workspace_id=NO_WORKSPACE), name="wallets_are_of_workspaces"
            ),
        ]

    def __str__(self) -> str:
        return self.kind if self.workspace_id == NO_WORKSPACE else f"{self.kind} of {self.workspace_id}"


def account_id(kind: str, workspace_id: UUID = NO_WORKSPACE) -> UUID:
    """Return an account's id, which is known before its row exists."""
    return derive_id(workspace_id, kind)


class Transaction(models.Model):
    """Money that moved. Its entries sum to zero.

    The entries are written before the transaction, which seals them. The database itself refuses to change or
    delete either; a mistake is reversed by another transaction.
    """

    class Kind(models.TextChoices):
        CHARGE = "charge"
        TOP_UP = "top_up"
        PROMOTION = "promotion"
        ADJUSTMENT = "adjustment"
        REVERSAL = "reversal"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    workspace_id = models.UUIDField()
    charge_id = models.UUIDField(null=True, blank=True, help_text="What was charged for.")
    reverses = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="reversed_by"
    )
    reference = models.CharField(
        max_length=200,
        null=True,
        blank=True,
        unique=True,
        help_text="Of a payment, say: the same one is taken once.",
    )
    reason = models.CharField(max_length=500, blank=True)
    by = models.CharField(max_length=254, blank=True, help_text="Who did it; empty: the service itself.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["workspace_id", "-created_at", "-id"], name="transaction_page"),
            models.Index(
                fields=["workspace_id", "-created_at", "-id"],
                condition=~Q(kind="charge"),
                name="transaction_no_charge",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["charge_id", "kind"], name="nothing_is_charged_twice"),
            models.CheckConstraint(
                condition=Q(kind="charge", charge_id__isnull=False) | ~Q(kind="charge"),
                name="charges_are_for_something",
            ),
            models.CheckConstraint(
                condition=Q(kind="reversal") ^ Q(reverses=None), name="reversals_reverse_something"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class Entry(models.Model):
    """One side of a transaction; what leaves an account is negative."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="entries")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="entries")
    amount = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.UniqueConstraint(fields=["transaction", "account"], name="one_entry_an_account"),
            models.CheckConstraint(condition=~Q(amount=0), name="no_empty_entry"),
        ]

    def __str__(self) -> str:
        return f"{format_usd(self.amount)} USD"


# --- derived data ---------------------------------------------------------------------------------


class UsageRollup(models.Model):
    """The sums of an hour's or a day's posted charges, by who they were for and what for."""

    class Width(models.TextChoices):
        HOUR = "hour"
        DAY = "day"

    id = models.UUIDField(primary_key=True, editable=False)
    width = models.CharField(max_length=4, choices=Width)
    starts_at = models.DateTimeField()
    workspace_id = models.UUIDField()
    user_id = models.BigIntegerField(null=True)
    key_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200)
    kind = models.CharField(max_length=13, choices=Charge.Kind)
    requests = models.BigIntegerField(default=0)
    prompt = models.BigIntegerField(default=0)
    cached = models.BigIntegerField(default=0)
    completion = models.BigIntegerField(default=0)
    reasoning = models.BigIntegerField(default=0)
    audio_in = models.BigIntegerField(default=0)
    audio_out = models.BigIntegerField(default=0)
    images = models.BigIntegerField(default=0)
    seconds = models.BigIntegerField(default=0)
    characters = models.BigIntegerField(default=0)
    cost = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(default=0, help_text="Of the requests: those without a price.")

    SUMS: ClassVar[tuple[str, ...]] = ("requests", *UNIT_NAMES, "cost", "unpriced")

    class Meta:
        verbose_name = verbose_name_plural = "usage"
        indexes = [
            models.Index(fields=["workspace_id", "width", "starts_at"], name="rollup_of_workspace"),
            models.Index(fields=["starts_at"], name="rollup_unpriced", condition=Q(unpriced__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.model} in the {self.width} of {self.starts_at:%Y-%m-%d %H:%M}"


class Statement(models.Model):
    """A closed month (UTC) of a workspace's ledger."""

    id = models.UUIDField(primary_key=True, editable=False)
    workspace_id = models.UUIDField()
    month = models.DateField(help_text="Its first day.")
    opening = models.BigIntegerField()
    closing = models.BigIntegerField()
    totals = models.JSONField(default=dict, help_text="Nano-USD by kind of transaction.")
    lines = models.JSONField(default=list, help_text="Of its charges: units and nano-USD by model and kind.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace_id", "month"], name="one_statement_a_month")
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} of {self.workspace_id}"


class Alert(models.Model):
    """Something that needs an operator's attention; one alert per subject while it lasts."""

    class Kind(models.TextChoices):
        LOW_BALANCE = "low_balance"
        UNPRICED = "unpriced"
        DISCREPANCY = "discrepancy"
        OVERDRAWN = "overdrawn"
        EXPORT = "export"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=11, choices=Kind)
    subject = models.CharField(max_length=200, help_text="Which workspace, or model.")
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    settled_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(settled_at=None), name="one_alert_a_matter"
            ),
        ]

    def __str__(self) -> str:
        return self.text


class MeterEvent(models.Model):
    """What a workspace spent in an hour, as reported to Stripe; `part` counts what came late."""

    id = models.UUIDField(primary_key=True, editable=False)
    workspace_id = models.UUIDField()
    hour = models.DateTimeField()
    part = models.PositiveIntegerField()
    amount = models.BigIntegerField(help_text="Nano-USD.")
    customer = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    tried_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it may be there, though nobody said so."
    )
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["id"], name="meter_event_to_send", condition=Q(sent_at=None))]
        constraints = [
            models.UniqueConstraint(fields=["workspace_id", "hour", "part"], name="one_meter_event_a_part"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="meters_count_up"),
        ]

    def __str__(self) -> str:
        return f"{format_usd(self.amount)} USD in the hour of {self.hour:%Y-%m-%d %H:%M}"
