"""Every offset up to the position has one outcome, whatever a topic holds and whatever becomes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from audit.domain import (
    Entry,
    Explanation,
    Gap,
    Place,
    Pointer,
    Recorded,
    Status,
    Technical,
    Unreadable,
    first_offsets,
    settle,
    tallies,
)
from hypothesis import given
from hypothesis import strategies as st

Consumed = Entry | Unreadable | Technical
IDENTITIES = [("/payments", "1"), ("/payments", "2"), ("/tasks", "1"), ("/tasks", "3")]
BYTES = [b"some", b"other"]


def an_entry(pointer: Pointer, identity: tuple[str, str], sha256: bytes, status: Status) -> Entry:
    source, event_id = identity
    told = (event_id, source, "payment.updated", 1, "staff", "maria", "Maria Rossi", "payment", "1", "collection", "1")
    return Entry(pointer, sha256, status, "a sentence", b"{}", *told, datetime(2026, 3, 2, tzinfo=UTC), None)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Consumed], list[Gap]]:
    """Records of a few partitions in offset order, with gaps between them."""
    ends: Counter[Place] = Counter()
    records: list[Consumed] = []
    gaps: list[Gap] = []
    for _ in range(draw(st.integers(0, 30))):
        place = Place("payments-events", draw(st.integers(0, 2)), draw(st.integers(0, 1)))
        missing = draw(st.integers(0, 3))
        if missing:
            gaps.append(Gap(place, ends[place], ends[place] + missing, draw(st.sampled_from([None, *Explanation]))))
        pointer = Pointer(place, ends[place] + missing)
        ends[place] = pointer.offset + 1
        kind = draw(st.sampled_from(["entry", "entry", "entry", "unreadable", "technical"]))
        if kind == "entry":
            identity, sha256 = draw(st.sampled_from(IDENTITIES)), draw(st.sampled_from(BYTES))
            records.append(an_entry(pointer, identity, sha256, draw(st.sampled_from(Status))))
        else:
            records.append(Technical(pointer) if kind == "technical" else Unreadable(pointer, "", None, None))
    return records, gaps


known = st.dictionaries(st.sampled_from(IDENTITIES), st.sampled_from(BYTES))


@given(batches(), known, st.integers(0, 10**12))
def test_every_offset_of_a_batch_has_one_outcome(
    batch: tuple[list[Consumed], list[Gap]], held: dict[tuple[str, str], bytes], last_seq: int
) -> None:
    records, gaps = batch
    settled = settle(records, held, last_seq=last_seq)
    counted = tallies(settled, gaps)
    first = first_offsets(records, gaps)

    assert set(counted) == set(first)
    for place, tally in counted.items():
        end = max(record.pointer.offset + 1 for record in records if record.pointer.place == place)
        assert tally.total == end - first[place]
    assert sum(tally.total for tally in counted.values()) == len(records) + sum(gap.end - gap.first for gap in gaps)


@given(batches(), known, st.integers(0, 10**12))
def test_sequence_numbers_follow_the_head_without_gaps_in_the_order_of_the_batch(
    batch: tuple[list[Consumed], list[Gap]], held: dict[tuple[str, str], bytes], last_seq: int
) -> None:
    records, _ = batch
    recorded = settle(records, held, last_seq=last_seq).recorded
    assert [item.seq for item in recorded] == list(range(last_seq + 1, last_seq + 1 + len(recorded)))
    order = [records.index(item.entry) for item in recorded]
    assert order == sorted(order)


@given(batches(), known)
def test_one_id_has_one_record_and_only_other_bytes_are_a_conflict(
    batch: tuple[list[Consumed], list[Gap]], held: dict[tuple[str, str], bytes]
) -> None:
    settled = settle(batch[0], held, last_seq=0)
    standing = {**held, **{_identity(item.entry): item.entry.sha256 for item in settled.recorded}}
    assert len(standing) == len(held) + len(settled.recorded)
    assert all(entry.sha256 == standing[_identity(entry)] for entry in settled.duplicates)
    assert all(entry.sha256 != standing[_identity(entry)] for entry in settled.conflicts)


@given(batches(), known, st.data())
def test_cutting_a_batch_anywhere_makes_the_same_log(
    batch: tuple[list[Consumed], list[Gap]], held: dict[tuple[str, str], bytes], data: st.DataObject
) -> None:
    """The batch runner halves batches, and a crash repeats them: neither may show."""
    records, _ = batch
    whole = settle(records, held, last_seq=7)
    cut = data.draw(st.integers(0, len(records)))
    left = settle(records[:cut], held, last_seq=7)
    known_then = {**held, **{_identity(item.entry): item.entry.sha256 for item in left.recorded}}
    right = settle(records[cut:], known_then, last_seq=7 + len(left.recorded))
    assert [*left.recorded, *right.recorded] == whole.recorded
    assert [*left.conflicts, *right.conflicts] == whole.conflicts
    again = settle(records, {**known_then, **_ids(right.recorded)}, last_seq=0)
    assert again.recorded == []


def _identity(entry: Entry) -> tuple[str, str]:
    return entry.source, entry.event_id


def _ids(recorded: Sequence[Recorded]) -> dict[tuple[str, str], bytes]:
    return {_identity(item.entry): item.entry.sha256 for item in recorded}
