"""The whole story, as `backbone demo` plays it to a person, and as the next month is with two processes of everything.

The command itself holds all that it says against what it saw; these tests hold what a reader sees.
"""

from __future__ import annotations

import re
from decimal import Decimal

from tests.stories.conftest import Told

ANSWERED = re.compile(r"20\d\d  (Stripe|GoCardless) +(\S.*?) {2,}(\d{3}) +[\d.]+ ms *(.*)")
# What an owner must be able to read, however it is worded.
SENTENCES = [
    r"Front desk opened the task Confirm Isla Morgan trial arrival",
    r"Coach Sarah opened the task Build comp board for winter invitational",
    r"Front desk blocked the task Clarify pickup authority for Alessandro",
    r"Maria Rossi .*Mark Stevens",
    r"Stripe .*failed.* A\$110\.00 .*Mark Stevens.*insufficient funds",
    r"Front desk put Mark Stevens on medical hold",
    r"Payments asked for the recovery of a payment of A\$110\.00 by Mark Stevens because .*medical hold",
    r"opened the task Call Mark Stevens about failed payment",
    r"opened the incident GoCardless does not answer",
    r"paused the automation of collection at GoCardless",
    r"Operations acknowledged the incident GoCardless does not answer",
    r"opened the task Prevent another",
    r"Payments held back a payment of A\$33\.00 for Isla Morgan because paused",
    r"released the automation of collection at GoCardless",
    r"GoCardless .*confirmed.* A\$33\.00 .*Isla Morgan",
    r"Operations asked for a replay of \d+ events",
    r"Operations reviewed the incident GoCardless does not answer",
    r"medical hold of Mark Stevens ended",
    r"unblocked the task Call Mark Stevens about failed payment",
    r"Maria Rossi completed the task Call Mark Stevens about failed payment with the outcome retry_now",
    r"Stripe .*success.* A\$110\.00 .*Mark Stevens",
    r"GoCardless reported a late failure of a direct debit of A\$44\.00 for Mark Stevens because insufficient funds",
    r"GoCardless .*confirmed.* A\$44\.00 .*Mark Stevens",
    r"Stripe reported a refund of A\$50\.00 .*Mark Stevens",
    r"Stripe reconciled payout po_\w+ of A\$[\d,.]+",
    r"GoCardless reconciled payout PO\w+ of A\$[\d,.]+",
]
STATES = {
    "ai.decision.logged": "Blocked",
    "Confirm Isla Morgan trial arrival": "Watch",
    "Call Mark Stevens about failed payment": "Ready",
    "Clarify pickup authority for Alessandro": "Blocked",
    "Build comp board for winter invitational": "Watch",
}


def section(told: str, first: str, last: str) -> list[str]:
    """The lines between two lines that begin like these."""
    lines = told.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(first))
    end = next(number for number, line in enumerate(lines) if number > start and line.startswith(last))
    return [line.strip() for line in lines[start + 1 : end] if line.strip()]


def test_each_delivery_is_shown_with_its_answer(first: str, second: Told) -> None:
    for told in (first, second.text):
        answered = ANSWERED.findall(told)
        assert [(found[2], found[3]) for found in answered if found[2] != "200"] == [("400", "forged")]
        types = [found[1] for found in answered]
        assert types.index("invoice_payment.paid") < types.index("charge.succeeded")
        assert [found[1] for found in answered if found[3] == "the same again"] == ["payment_intent.succeeded"]
    # They keep their customers and the mandate.
    already = {"customer.created", "mandates.created", "mandates.submitted, mandates.active"}
    newly = [found[1] for found in ANSWERED.findall(second.text)]
    assert newly == [found[1] for found in ANSWERED.findall(first) if found[1] not in already]


def test_the_ledger_runs_on_from_month_to_month(first: str, second: Told) -> None:
    for told in (first, second.text):
        lines = section(told, "The ledger of Mark Stevens", "The payout")
        amounts = [re.findall(r"-?A\$[\d.]+", line) for line in lines if "20" in line]
        assert amounts == [
            ["A$10.00", "A$110.00", "A$110.00"],
            ["-A$110.00", "A$0.00"],
            ["A$4.00", "A$44.00", "A$44.00"],
            ["-A$44.00", "A$0.00"],
            ["A$44.00", "A$44.00"],
            ["-A$44.00", "A$0.00"],
            ["-A$50.00", "-A$50.00"],
            ["A$50.00", "A$0.00"],
        ]
        words = [
            "Invoice",
            "Payment by card",
            "Membership charge",
            "Direct debit",
            "Direct debit failed late",
            "Refund",
        ]
        assert [word for word in words if not any(word in line for line in lines)] == []


def test_every_payout_adds_up_to_a_tenth_of_a_cent(first: str, second: Told) -> None:
    for told in (first, second.text):
        text = "\n".join(section(told, "The ledger of Mark Stevens", "The task"))
        payouts = re.split(r"The payout \w+ of ", text)[1:]
        assert [payout.split("\n")[0].strip() for payout in payouts] == ["GoCardless", "Stripe", "GoCardless"]
        for payout in payouts:
            *lines, together, paid_out, left = [Decimal(amount) for amount in re.findall(r"A\$([\d.]+)", payout)]
            assert together == paid_out
            assert left == 0
            assert len(lines) >= 2


def test_the_board_has_ten_items_with_their_states(first: str, second: Told) -> None:
    for told in (first, second.text):
        lines = section(told, "The readiness board", "The ledger")[1:]
        rows = [re.split(r" {2,}", line) for line in lines if re.search(r"  (Ready|Watch|Blocked)  ", line)]
        states = {row[1]: row[3] for row in rows}
        assert len(states) == 10
        assert STATES.items() <= states.items()


def test_the_task_and_the_incident_tell_what_was_done(first: str, second: Told) -> None:
    for told in (first, second.text):
        task = section(told, "The task", "The incident")
        words = ["opened", "unblocked", "started", "completed"]
        assert [word for word in words if any(word in line for line in task)] == words
        assert "Maria Rossi" in task[-1]
        incident = "\n".join(section(told, "The incident", "The audit log"))
        for word in ("is paused", "acknowledged", "asked Operations to prevent another", "collection goes on"):
            assert word in incident


def test_the_audit_log_reads_in_order_with_pointers(first: str) -> None:
    lines = section(first, "The audit log", "From delivery to audit record")[1:]
    records = [line for line in lines if re.match(r"\d+ +\S+/\d+/\d+ ", line)]
    seqs = [int(record.split()[0]) for record in records]
    assert seqs == sorted(set(seqs))
    pointers = [record.split()[1] for record in records]
    assert all(re.fullmatch(r"[a-z-]+/\d+/\d+", pointer) for pointer in pointers)
    assert len(set(pointers)) == len(pointers)
    log = "\n".join(lines)
    for sentence in SENTENCES:
        assert re.search(sentence, log), sentence


def test_the_log_verifies_and_the_delay_is_told(first: str, second: Told) -> None:
    for told in (first, second.text):
        assert re.search(r"median \d+ ms, longest \d+ ms \(\d+ events\)", told)
        assert re.search(r"payments verify: fine: \d+ journals", told)
        assert re.search(r"payments rebuild --check: identical: \d+ inputs, \d+ journals", told)
        assert re.search(r"audit verify: fine: \d+ records, \d+ offsets accounted for", told)


def test_pauses_reach_every_process(first: str, second: Told) -> None:
    assert re.search(r"is paused: 1 of 1 stopped in \d", first)
    assert re.search(r"is paused: 2 of 2 stopped in \d", second.text)
