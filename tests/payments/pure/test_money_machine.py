"""Random months against a simple model of money: whatever happens, in whatever order it is told, the sums are these.

A rule lets something happen at a provider or at the desk, and notes what it means in plain sums; what tells of it
waits, and arrives later in any order, some of it twice, by one worker or by two. Whenever everything has arrived, the
ledger is what the sums say. 20,000 steps and more, the same ones in every run.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from payments.collection.domain import Member
from payments.collection.objects import DEBIT, ENTRY, INVOICE, PAYOUT, Key, customer_key

from tests.payments.pure import deciding, payloads
from tests.payments.pure import payloads_money as money
from tests.payments.pure.agreeing import settled
from tests.payments.pure.given import answered, debit, stripe
from tests.payments.pure.model import MEMBERS, Books, Input, Known
from tests.payments.pure.payloads import AT, CLASSIC
from tests.payments.pure.sums import ANYBODYS, KINDS, LIFE, Bill, Charge, Debit, Sums, gst_of, share

STEPS_MIN: Final = 20_000
STEPS_A_MONTH: Final = 50
MONTHS: Final = 470
ISLA = Member("mem_isla", "Isla Morgan")
CUSTOMERS: Final = ("cus_QkMarkStevens", "cus_isla")
AMOUNTS = st.integers(1, 30_000)
steps: Counter[str] = Counter()


class Month(RuleBasedStateMachine):
    """What happens at the providers and at the desk, and when the books hear of it."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books(members=dict(MEMBERS))
        self.sums = Sums()
        self.now = AT
        self.made = 0
        self.waiting: list[Input | Known] = []
        self.told: list[Input] = []
        self.bills: list[Bill] = []
        self.charges: list[Charge] = []
        self.refunds: list[tuple[Charge, str, int, int]] = []
        self.debits: list[Debit] = []
        self.payouts: list[tuple[str, int, int]] = []
        self.isla_known = False

    # What the rules are made of.

    def _next(self) -> tuple[int, int]:
        """A new number, a minute later."""
        self.made += 1
        self.now += 60
        return self.made, self.now

    def _tell(self, *inputs: Input | Known) -> None:
        self.waiting += inputs

    def _pick(self, things: list[Any], at: int) -> Any:
        return things[at % len(things)]

    # At Stripe.

    @rule(total=AMOUNTS, whose=st.sampled_from(CUSTOMERS))
    def an_invoice_is_issued(self, total: int, whose: str) -> None:
        number, at = self._next()
        bill = Bill(whose, total, gst_of(total), id=f"in_{number}")
        shown = payloads.invoice(
            bill.id or "", status="open", version=CLASSIC, total=total, tax=bill.gst, intent_id=None, charge_id=None,
            customer=whose, number=f"N-{number}", at=at,
        )  # fmt: skip
        self._tell(stripe("invoice.finalized", shown, version=CLASSIC, at=at))
        self.bills.append(bill)
        self.sums.bill(bill)

    @rule(amount=AMOUNTS, whose=st.sampled_from(CUSTOMERS))
    def a_card_is_charged_for_nothing_that_was_billed(self, amount: int, whose: str) -> None:
        number, at = self._next()
        bill = Bill(whose, amount, gst_of(amount))
        self.sums.bill(bill)
        self._charged(number, at, bill, amount)

    @precondition(lambda self: any(not each.closed for each in self.bills))
    @rule(which=st.integers(0, 99), amount=AMOUNTS, whole=st.booleans())
    def a_card_is_charged_for_an_invoice(self, which: int, amount: int, whole: bool) -> None:
        bill = self._pick([each for each in self.bills if not each.closed], which)
        number, at = self._next()
        self._charged(number, at, bill, bill.total if whole else amount)

    def _charged(self, number: int, at: int, bill: Bill, amount: int) -> None:
        charge = Charge(f"ch_{number}", bill, amount, bill.pays(amount), at)
        self.charges.append(charge)
        self.sums.add(stripe=amount, owed=-amount)
        self._tell(
            stripe("charge.succeeded", self._shown(charge), version=CLASSIC, at=at),
            stripe(
                "payment_intent.succeeded",
                payloads.intent(
                    f"pi_{number}", charge_id=charge.id, version=CLASSIC, invoice=bill.id, amount=amount,
                    customer=bill.customer, at=at,
                ),
                version=CLASSIC, at=at,
            ),
        )  # fmt: skip

    def _shown(self, charge: Charge, *, failed: bool = False) -> payloads.Json:
        number = charge.id.removeprefix("ch_")
        return payloads.charge(
            charge.id, failed=failed, version=CLASSIC, intent=f"pi_{number}", invoice=charge.bill.id,
            amount=charge.amount, customer=charge.bill.customer, balance_transaction=f"txn_{number}", at=charge.at,
        )  # fmt: skip

    @rule(amount=AMOUNTS, whose=st.sampled_from(CUSTOMERS))
    def a_card_is_refused(self, amount: int, whose: str) -> None:
        number, at = self._next()
        refused = Charge(f"ch_{number}", Bill(whose, amount, 0), amount, 0, at)
        self._tell(stripe("charge.failed", self._shown(refused, failed=True), version=CLASSIC, at=at))

    @precondition(lambda self: any(not each.fee_known for each in self.charges))
    @rule(which=st.integers(0, 99), fee=st.integers(1, 500))
    def a_fee_becomes_known(self, which: int, fee: int) -> None:
        charge = self._pick([each for each in self.charges if not each.fee_known], which)
        charge.fee_known = True
        gst = gst_of(fee)
        id_ = f"txn_{charge.id.removeprefix('ch_')}"
        shown = money.entry(id_, amount=charge.amount, fee=fee, gst=gst, source=charge.id, at=charge.at)
        self._tell(answered(Key("stripe", "self", ENTRY, id_), shown))
        self.sums.add(stripe=-fee, fees=fee - gst, claimed=gst)

    @precondition(lambda self: any(each.back < each.amount and not each.disputed for each in self.charges))
    @rule(which=st.integers(0, 99), part=st.integers(1, 30_000), whole=st.booleans(), comes_back=st.integers(0, 5))
    def a_charge_is_refunded(self, which: int, part: int, whole: bool, comes_back: int) -> None:
        charge = self._pick([each for each in self.charges if each.back < each.amount and not each.disputed], which)
        number, at = self._next()
        left = charge.amount - charge.back
        amount = left if whole else min(part, left)
        of_credit = min(charge.credit, amount)
        charge.back, charge.credit = charge.back + amount, charge.credit - of_credit
        self._lower(charge.bill, amount - of_credit)
        self.sums.add(stripe=-amount, owed=of_credit)
        given: dict[str, Any] = {
            "amount": amount, "charge": charge.id, "intent": f"pi_{charge.id.removeprefix('ch_')}", "at": at
        }  # fmt: skip
        self._tell(stripe("refund.created", money.refund(f"re_{number}", **given), at=at))
        if comes_back == 0:
            _, later = self._next()
            failed = money.refund(f"re_{number}", status="failed", **given)
            self._tell(stripe("refund.failed", failed, at=later))
            self.sums.add(stripe=amount, payable=-amount)

    def _lower(self, bill: Bill, amount: int) -> None:
        """Take back a part of what was earned, with the GST that is inside all that was taken back so far."""
        adjusted = share(bill.gst, bill.given_back, bill.total)
        bill.given_back += amount
        gst = share(bill.gst, bill.given_back, bill.total) - adjusted
        self.sums.add(allowances=amount - gst, gst=gst)

    @precondition(lambda self: any(not each.back and not each.disputed for each in self.charges))
    @rule(which=st.integers(0, 99), ending=st.sampled_from(["open", "won", "lost"]))
    def a_charge_is_disputed(self, which: int, ending: str) -> None:
        charge = self._pick([each for each in self.charges if not each.back and not each.disputed], which)
        charge.disputed = ending
        number, at = self._next()
        given: dict[str, Any] = {"amount": charge.amount, "source": f"du_{number}", "at": at}
        taken = money.withdrawn(f"txn_d{number}", **given)
        self._dispute(number, charge, "created", "needs_response", (), at)
        self._dispute(number, charge, "funds_withdrawn", "needs_response", (taken,), at)
        self.sums.add(stripe=-charge.amount - 2_500, held=charge.amount, dispute_fees=2_273, claimed=227)
        _, later = self._next()
        if ending == "won":
            back = money.reinstated(f"txn_e{number}", **{**given, "at": later})
            self._dispute(number, charge, "funds_reinstated", "won", (taken, back), later)
            self._dispute(number, charge, "closed", "won", (taken, back), later)
            self.sums.add(stripe=charge.amount + 2_500, held=-charge.amount, dispute_fees=-2_273, claimed=-227)
        elif ending == "lost":
            self._dispute(number, charge, "closed", "lost", (taken,), later)
            charge.bill.due += charge.amount
            self.sums.add(held=-charge.amount, owed=charge.amount)

    def _dispute(
        self, number: int, charge: Charge, what: str, status: str, entries: tuple[payloads.Json, ...], at: int
    ) -> None:
        shown = money.dispute(
            f"du_{number}", amount=charge.amount, status=status, entries=entries, charge=charge.id, at=at,
            payment_intent=f"pi_{charge.id.removeprefix('ch_')}",
        )  # fmt: skip
        self._tell(stripe(f"charge.dispute.{what}", shown, at=at))

    @rule(amount=st.integers(-20_000, 20_000).filter(bool), ending=st.sampled_from(["created", "paid", "failed"]))
    def stripe_pays_out(self, amount: int, ending: str) -> None:
        number, at = self._next()
        given: dict[str, Any] = {"amount": amount, "automatic": False, "at": at}
        self._tell(stripe("payout.created", money.payout(f"po_{number}", **given), at=at))
        if ending != "created":
            _, later = self._next()
            self._tell(stripe(f"payout.{ending}", money.payout(f"po_{number}", status=ending, **given), at=later))
        if ending != "failed":
            self.sums.add(stripe=-amount, transit=amount)
        if ending == "paid":
            self.payouts.append((f"po_{number}", amount, self.now))

    # At GoCardless, where events tell no amounts.

    @rule(amount=AMOUNTS)
    def a_debit_is_planned(self, amount: int) -> None:
        number, at = self._next()
        made = Debit(f"PM{number}", amount)
        self.debits.append(made)
        key = Key("gocardless", "self", DEBIT, made.id)
        shown = payloads.fetched_debit(made.id, amount=amount)
        self._tell(answered(key, shown, datetime.fromtimestamp(at, UTC)))
        self._debit(made, "created")

    def _debit(self, which: Debit, action: str) -> None:
        _, at = self._next()
        told = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        self._tell(debit(action, told, payment=which.id))

    @precondition(lambda self: any(LIFE[each.state] for each in self.debits))
    @rule(which=st.integers(0, 99), choice=st.integers(0, 99))
    def a_debit_goes_on(self, which: int, choice: int) -> None:
        found = self._pick([each for each in self.debits if LIFE[each.state]], which)
        action, state, moved, pending = self._pick(LIFE[found.state], choice)
        self._debit(found, action)
        if found.state == "created" and state == "submitted":
            self.sums.bill(Bill("CU000MARK", found.amount, gst_of(found.amount)))
        found.state = state
        self.sums.add(gocardless=moved * found.amount, owed=-moved * found.amount, pending=pending * found.amount)

    # At the desk.

    @precondition(lambda self: any(each.untouched for each in self.bills))
    @rule(which=st.integers(0, 99), how=st.sampled_from(["outside", "written off", "recovered"]))
    def staff_settle_an_invoice(self, which: int, how: str) -> None:
        bill = self._pick([each for each in self.bills if each.untouched], which)
        number, at = self._next()
        bill.closed = True
        of = Key("stripe", "self", INVOICE, bill.id or "")
        if how == "outside":
            self._tell(deciding.paid_outside(bill.total, of=of, at=at, id_=f"cmd_{number}"))
            self.sums.add(outside=bill.total, owed=-bill.total)
            return
        self._tell(deciding.write_off(of=of, at=at, id_=f"cmd_{number}"))
        self.sums.add(owed=-bill.total, bad_debts=bill.total - bill.gst, gst=bill.gst)
        if how == "recovered":
            number, at = self._next()
            self._tell(
                stripe(
                    "charge.succeeded",
                    payloads.charge(
                        f"ch_{number}", version=CLASSIC, intent=f"pi_{number}", invoice=bill.id, amount=bill.total,
                        customer=bill.customer, balance_transaction=None, at=at,
                    ),
                    version=CLASSIC, at=at,
                )
            )  # fmt: skip
            self.sums.add(stripe=bill.total, recovered=bill.gst - bill.total, gst=-bill.gst)

    @precondition(lambda self: bool(self.payouts))
    @rule()
    def a_payout_stands_on_the_statement(self) -> None:
        number, at = self._next()
        id_, amount, _ = self.payouts.pop()
        self._tell(deciding.banked(at=at, payout=Key("stripe", "self", PAYOUT, id_), id_=f"cmd_{number}"))
        self.sums.add(transit=-amount, bank=amount)

    @precondition(lambda self: not self.isla_known)
    @rule()
    def isla_becomes_known(self) -> None:
        self.isla_known = True
        self._tell(Known(customer_key("stripe", CUSTOMERS[1]), ISLA))

    # What the books hear.

    @precondition(lambda self: bool(self.waiting))
    @rule(which=st.integers(0, 99), again=st.booleans())
    def something_arrives(self, which: int, again: bool) -> None:
        given = self.waiting.pop(which % len(self.waiting))
        self.books.apply(given)
        if isinstance(given, Input):
            self.told.append(given)
            if again:
                self.books.apply(self.told[which % len(self.told)])

    @rule(seed=st.integers(0, 2**32), raced=st.booleans())
    def everything_arrives(self, seed: int, raced: bool) -> None:
        chance = random.Random(seed)
        chance.shuffle(self.waiting)
        queue = [*self.waiting, *chance.choices(self.told, k=2 * bool(self.told))]
        self.told += [each for each in self.waiting if isinstance(each, Input)]
        self.waiting = []
        if raced:
            self.books.race(queue, chance)
        else:
            self.books.apply(*queue)
        self.books.check()
        kinds = KINDS if self.isla_known else ANYBODYS
        assert {kind: self._stands(kind) for kind in kinds} == {kind: self.sums.of[kind] for kind in kinds}

    def _stands(self, kind: str) -> int:
        """What the accounts of a kind come to."""
        phase = "pending" if kind == "pending" else "posted"
        return sum(
            amount
            for (account, _, of), amount in self.books.balances.items()
            if of == phase and account.startswith(KINDS[kind])
        )

    @invariant()
    def nothing_is_made_of_nothing(self) -> None:
        steps["taken"] += 1
        assert sum(self.books.balances.values()) == 0

    def teardown(self) -> None:
        if not self.isla_known:
            self.isla_becomes_known()
        self.everything_arrives(0, raced=False)
        again = Books(members=dict(self.books.members)).apply(*self.told)
        assert again.net() == self.books.net()
        assert settled(again) == settled(self.books)


def test_whatever_happens_the_ledger_is_what_the_simple_sums_say() -> None:
    steps.clear()
    run_state_machine_as_test(
        Month,
        settings=settings(
            max_examples=MONTHS,
            stateful_step_count=STEPS_A_MONTH,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # what is found is not made smaller: that takes minutes
        ),
    )
    assert steps["taken"] >= STEPS_MIN
