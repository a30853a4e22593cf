"""Which inquiries are asked once more, under the standard spelling of the name, before NOT_FOUND is believed.

An institution that compares names exactly knows a firm only as it is registered: as 甲乙（北京）有限公司, and not as
甲乙(北京)有限公司, for example.
"""

from collections.abc import Sequence
from dataclasses import replace

from broker.core.planning.parcel import CallBatch
from broker.core.subjects.name_standard import may_differ, standard
from broker.core.wire import encoding
from broker.model import Outcome, Reply, Subject


def doubtful_items(subjects: Sequence[Subject], outcomes: bytes) -> Sequence[int]:
    """The items that were not found under another spelling than the standard one. Nearly always none.

    `outcomes` are aligned with the subjects.
    """
    if Outcome.NOT_FOUND not in outcomes or not may_differ("\n".join([subject.name for subject in subjects])):
        return ()
    return [
        item
        for item, (subject, outcome) in enumerate(zip(subjects, outcomes, strict=True))
        if outcome == Outcome.NOT_FOUND and _respelled(subject) != subject
    ]


def respelled(batch: CallBatch) -> CallBatch:
    """The same inquiries, under the standard spellings of their names."""
    return CallBatch([replace(parcel, subjects=[*map(_respelled, parcel.subjects)]) for parcel in batch.parcels])


def with_spellings(reply: Reply, subjects: Sequence[Subject]) -> Reply:
    """The reply to respelled inquiries, in which what was found says under which spelling."""
    contents = [
        content + encoding.found_as(subject.name) if outcome == Outcome.FOUND else content
        for content, outcome, subject in zip(reply.contents, reply.outcomes, subjects, strict=True)
    ]
    return replace(reply, contents=contents)


def _respelled(subject: Subject) -> Subject:
    return subject._replace(name=standard(subject.type, subject.name)) if subject.name else subject
