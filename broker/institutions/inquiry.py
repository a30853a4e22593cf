"""The inquiries of a question in the contract's words, for dialects to encode."""

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


def inquiries(question: Question) -> list[Inquiry]:
    """All of them, numbered from 0."""
    return [
        Inquiry(item, mandate, _SUBJECT_TYPES[subject_type], number, name)
        for item, (mandate, (subject_type, number, name)) in enumerate(
            zip(question.mandate_of, question.subjects, strict=True)
        )
    ]
