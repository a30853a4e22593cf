"""The inquiries of a question in the contract's words, for dialects to encode."""

from collections.abc import Sequence

import msgspec

from broker.model import Question, SubjectType

_SUBJECT_TYPES = {int(subject_type): subject_type.name for subject_type in SubjectType}


class Inquiry(msgspec.Struct, gc=False):
    """`Inquiry` of institution.proto."""

    item: int
    mandate: int
    subject_type: str
    number: str
    name: str


InquiryColumns = tuple[Sequence[int], Sequence[int], Sequence[str], Sequence[str], Sequence[str]]
"""One for each member of an `Inquiry`."""


def columns(question: Question) -> InquiryColumns:
    """The question's inquiries, numbered from 0."""
    subject_types, numbers, names = zip(*question.subjects, strict=True) if question.subjects else ((), (), ())
    words = list(map(_SUBJECT_TYPES.__getitem__, subject_types))
    return range(len(words)), question.mandate_of, words, numbers, names


def inquiries(question: Question) -> list[Inquiry]:
    """The same, one by one."""
    return list(map(Inquiry, *columns(question)))
