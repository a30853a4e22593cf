"""The inquiries of a question as columns or structs named like the contract's fields, for dialects to encode."""

from collections.abc import Sequence

import msgspec

from broker.model import Question, SubjectType

_SUBJECT_TYPES = {int(subject_type): subject_type.name for subject_type in SubjectType}


class Inquiry(msgspec.Struct, gc=False):
    """The message `Inquiry` of institution.proto."""

    item: int
    mandate: int
    subject_type: str
    number: str
    name: str


InquiryColumns = tuple[Sequence[int], Sequence[int], Sequence[str], Sequence[str], Sequence[str]]
"""One column per member of `Inquiry`."""


def columns(question: Question) -> InquiryColumns:
    """The inquiries of a question as columns. They are numbered from 0."""
    subject_types, numbers, names = zip(*question.subjects, strict=True) if question.subjects else ((), (), ())
    words = list(map(_SUBJECT_TYPES.__getitem__, subject_types))
    return range(len(words)), question.mandate_of, words, numbers, names


def inquiries(question: Question) -> list[Inquiry]:
    """The inquiries of a question as structs."""
    return list(map(Inquiry, *columns(question)))
