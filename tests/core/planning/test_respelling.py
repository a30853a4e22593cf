"""Which items are asked for once more, and under which spelling."""

from broker.core.planning.respelling import doubtful_items, respelled, with_spellings
from broker.core.wire import encoding
from broker.model import Outcome, Reply, Subject, SubjectType
from broker.v1 import investigation_pb2 as pb
from tests.fakes import Recorder, batch_of

FIRM = Subject(SubjectType.ORGANIZATION_CODE, "91350100M000100Y43", "甲乙(北京)有限公司")
REGISTERED = FIRM._replace(name="甲乙（北京）有限公司")
PERSON = Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三")
SPREAD = PERSON._replace(name="张\u3000三")
PLATE = Subject(SubjectType.VEHICLE_PLATE, "京A12345", "")


def test_only_what_was_not_found_under_another_spelling_is_doubtful() -> None:
    subjects = [FIRM, REGISTERED, PERSON, SPREAD, PLATE, FIRM, FIRM, FIRM]
    outcomes = [Outcome.NOT_FOUND] * 5 + [Outcome.FOUND, Outcome.REFUSED, Outcome.UNAVAILABLE]
    assert doubtful_items(subjects, bytes(outcomes)) == [0, 3]


def test_ordinary_names_are_never_doubtful() -> None:
    subjects = [PERSON, REGISTERED, PLATE]
    assert doubtful_items(subjects, bytes([Outcome.NOT_FOUND] * 3)) == ()


def test_a_respelled_batch_asks_the_same_under_the_standard_spelling() -> None:
    batch = batch_of(Recorder(), [FIRM, SPREAD])
    again = respelled(batch)
    assert again.subjects == [REGISTERED, PERSON]
    assert again.keys == batch.keys, "the answers are to the court's own spelling"
    assert [parcel.rows for parcel in again.parcels] == [parcel.rows for parcel in batch.parcels]


def test_what_was_found_says_under_which_spelling() -> None:
    contents = [encoding.content(outcome, observed_at=9) for outcome in (Outcome.FOUND, Outcome.NOT_FOUND)]
    outcomes = bytes([Outcome.FOUND, Outcome.NOT_FOUND])
    reply = with_spellings(Reply(outcomes=outcomes, contents=contents, observed_at=[9, 9]), [REGISTERED, PERSON])
    assert pb.Answer.FromString(reply.contents[0]).found_as == REGISTERED.name
    assert reply.contents[1] == contents[1]
