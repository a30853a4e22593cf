"""Decides, for each lookup of a batch, what the cache can say and whom to ask for the rest.

Every lookup ends as exactly one of

* a *hit*      every answer wanted is held and fresh: the report's body is known;
* a *miss*     some answers are missing: a new row of the request, with what is known and whom to ask;
* a *repeat*   of a subject that already has a row: asked once, answered to each ref;
* *elsewhere*  some answers are missing, and another worker owns the subject;
* *invalid*    it has no key: the reader found fault with it and reports so.

Whether an inquiry of a miss is already being asked for another request is decided by the lane's flight table
(core.flight) at the moment it is submitted, since only then it is certain.

Work per lookup is one comparison of headers when it is a hit, and one walk through its record when part of it is.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from broker.core.planning.freshness import Freshness
from broker.core.planning.ownership import ALONE, Ownership
from broker.core.planning.selection import Choice
from broker.core.wire.encoding import outcome_of
from broker.core.wire.record import heads_of, unpack

Row = list[bytes | None]
"""Per column: the segment known, None where one is awaited, empty where nobody is asked."""


@dataclass(slots=True)
class Plan:
    """What became of a batch. A *place* is an index into the batch; rows are numbered through the whole request."""

    hits: list[int] = field(default_factory=list)
    """Places."""
    bodies: list[bytes] = field(default_factory=list)
    """Of each hit: its encoded answers."""
    outcomes: dict[tuple[int, ...], list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """Outcomes served from the cache, by the columns they belong to: rows of one byte per column, in blocks."""
    heads: list[tuple[tuple[int, ...], Sequence[int], bytes]] = field(default_factory=list)
    """Of hits whose records hold exactly what is asked: columns, places, and what precedes the records' segments."""
    served: list[tuple[int, Row]] = field(default_factory=list)
    """(place, row) of each other line that the cache answers at least partly."""
    misses: list[int] = field(default_factory=list)
    """Places, one per new row."""
    rows: list[Row] = field(default_factory=list)
    """The new rows."""
    repeats: list[tuple[int, int]] = field(default_factory=list)
    """(row, place) of each repeat."""
    elsewhere: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By owner: places."""
    asked: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By column: indices into `misses` of the subjects to ask about."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The part of a request to plan: aligned columns."""

    keys: Sequence[bytes | None]
    records: Sequence[bytes | None]
    """What the cache holds."""
    choices: Sequence[Choice | None]
    """Whom the request asks."""


def plan(lines: Lines, rows: dict[bytes, int], freshness: Freshness, *, ownership: Ownership = ALONE) -> Plan:
    """Plans a batch.

    `rows` maps the keys missed so far in this request to their rows, and grows by this batch's. `freshness`: the held
    answers that the request accepts. `ownership`: what this worker may ask.
    """
    result = Plan()
    held, unsettled = _by_choice(lines)
    for choice, places in held.items():
        unsettled += _take_hits(result, lines, choice, places, freshness)
    unsettled.sort()
    rest: list[_Line] = []
    for place in unsettled:
        key, record, asked = lines.keys[place], lines.records[place], lines.choices[place]
        if key is not None and asked is not None:
            row = list(asked.blank) if record is None else _known(record, asked, freshness)
            rest.append((place, key, asked, row))
    _plan_rest(result, rest, rows, ownership)
    return result


def _by_choice(lines: Lines) -> tuple[dict[Choice, Sequence[int]], list[int]]:
    """Places of valid lines with a record, by whom they ask; and those without a record."""
    count = len(lines.keys)
    first = lines.choices[0] if count else None
    complete = None not in lines.keys and None not in lines.records
    if first is not None and complete and lines.choices.count(first) == count:  # the usual batch, at the speed of C
        return {first: range(count)}, []
    held: dict[Choice, list[int]] = defaultdict(list)
    missing: list[int] = []
    for place, (key, record, choice) in enumerate(zip(lines.keys, lines.records, lines.choices, strict=True)):
        if key is not None and choice is not None:
            (missing if record is None else held[choice]).append(place)
    return dict(held), missing


def _take_hits(result: Plan, lines: Lines, choice: Choice, places: Sequence[int], freshness: Freshness) -> list[int]:
    """Settles those whose record holds exactly what is asked, all of it fresh. Returns the other places."""
    records = [record for place in places if (record := lines.records[place]) is not None]
    heads = heads_of(len(choice.columns))
    size = heads.itemsize
    joined = b"".join([record[:size] for record in records])
    if len(joined) != size * len(records):  # some records are shorter than a head of so many answers
        joined = b"".join([record[:size].ljust(size) for record in records])
    known = np.frombuffer(joined, heads)
    usable = (known["fingerprint"] == np.void(choice.fingerprint)) & freshness.accepts_all(known)
    if usable.all():
        result.hits += places
        result.bodies += [record[choice.body_at :] for record in records]
        result.outcomes[choice.columns].append(known["outcomes"].tobytes())
        result.heads.append((choice.columns, places, joined))
        return []
    chosen = np.flatnonzero(usable).tolist()
    if not chosen:
        return list(places)
    result.hits += [places[index] for index in chosen]
    result.bodies += [records[index][choice.body_at :] for index in chosen]
    result.outcomes[choice.columns].append(known["outcomes"][usable].tobytes())
    result.heads.append((choice.columns, result.hits[-len(chosen) :], known[usable].tobytes()))
    return [places[index] for index in np.flatnonzero(~usable).tolist()]


_Line = tuple[int, bytes, Choice, Row]
"""Place, key, whom the request asks, and what is known."""


def _known(record: bytes, choice: Choice, freshness: Freshness) -> Row:
    """A row with those answers of the record that may be served."""
    fresh = {e.institution: e.segment for e in unpack(record) if freshness.accepts(e.observed, e.expires)}
    row = list(choice.blank)
    for column, institution in zip(choice.columns, choice.institutions, strict=True):
        row[column] = fresh.get(institution)
    return row


def _count_served(result: Plan, place: int, row: Row) -> None:
    served = [(column, outcome_of(segment)) for column, segment in enumerate(row) if segment]
    if served:
        columns, outcomes = zip(*served, strict=True)
        result.outcomes[columns].append(bytes(outcomes))
        result.served.append((place, row))


def _plan_rest(result: Plan, rest: Sequence[_Line], rows: dict[bytes, int], ownership: Ownership) -> None:
    """Lines that the header comparison did not settle: hits after all, elsewhere, repeats, or misses."""
    whole: dict[Choice, list[int]] = defaultdict(list)
    for place, key, choice, row in rest:
        awaited = row.count(None)
        if not awaited:
            result.hits.append(place)
            result.bodies.append(b"".join([segment for segment in row if segment]))
            _count_served(result, place, row)
        elif key in rows:
            result.repeats.append((rows[key], place))
        elif (owner := ownership.owner(key)) != ownership.slot:
            result.elsewhere[owner].append(place)
        else:
            if awaited == len(choice.columns):
                whole[choice].append(len(result.misses))
            else:
                _count_served(result, place, row)
                for column in choice.columns:
                    if row[column] is None:
                        result.asked[column].append(len(result.misses))
            rows[key] = len(rows)
            result.misses.append(place)
            result.rows.append(row)
    # The common miss, of everything, costs nothing per inquiry.
    for choice, places in whole.items():
        for column in choice.columns:
            result.asked[column].extend(places)
