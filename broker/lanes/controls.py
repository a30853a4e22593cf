"""How hard one institution may be asked: permits, rate, breaker and retry budget, and what each result does to them.

| result of a call              | breaker | concurrency limit | rate               |
|-------------------------------|---------|-------------------|--------------------|
| a reply with a usable item    | success | success           |                    |
| a reply without one, the first time | failure | success     |                    |
| a reply without one, to items that are asked again | ignored | success |         |
| batch refused                 | ignored | success           |                    |
| batch refused, one of too many in a row (`core.control.evidence`) | failure | success | |
| too many requests (429)       | ignored | dropped           | nothing until then |
| no reply in time, 503         | failure | dropped           |                    |
| unreachable, 5xx, no reply to what was asked | failure | ignored |              |
| given up: nobody waits        | ignored | ignored           |                    |

A single usable item is enough for a success, because it proves that the institution answers: one institution's bad
records must not keep its good ones from the courts. Items are asked again because they were missing from a reply, so
that they are missing again says nothing new.
"""

import logging
from collections import Counter
from collections.abc import Callable

import trio

from broker.core.control.breaker import Breaker, Era, State
from broker.core.control.evidence import Evidence, Mark
from broker.core.control.limit import AdaptiveLimit
from broker.core.control.pacing import Wanted
from broker.core.control.retry import RetryBudget, full_jitter
from broker.core.control.share import burst_of
from broker.core.control.token_bucket import TokenBucket
from broker.errors import (
    BadReplyError,
    BreakerOpenError,
    InstitutionError,
    OverloadedError,
    RejectedError,
    UnansweredError,
)
from broker.institutions.interface import Institution
from broker.lanes.permits import CallPermits, Permit, Wants
from broker.model import InstitutionSpec, Priority, Question, Reply

log = logging.getLogger(__name__)

_ATTEMPTS = 3  # sends of one batch; under a budget of 20 % a third is rare, and a fourth would only add load
_PAUSE_BASE = 0.1  # s; the first pause is at most this long
_PAUSE_CAP = 2.0  # s; an interactive caller waits at most twice this for all pauses
_LONGEST_WAIT = 10.0  # s; for an institution that wants a longer pause, UNAVAILABLE now beats an answer then
_LONGEST_PENALTY = 3600.0  # s; a Retry-After beyond is a mistake, and must not silence an institution for days
# Finding one poisoned inquiry among 500 takes 18 calls; an institution that rejects everything must not get 999.
_BISECTIONS_PER_CALL = 1.0
_BISECTIONS_FLOOR = 64.0


class Controls:
    """The controls of one institution. Create it inside trio."""

    def __init__(self, spec: InstitutionSpec, random: Callable[[], float], *, idle_since: float | None = None) -> None:
        """`random` gives numbers in [0, 1).

        `idle_since`: since when, in trio's time, this worker's part of the burst has been saved up. By default from now
        on: a worker that ended a moment ago, and that this one replaces, may have spent all of it.
        """
        saved_since = trio.current_time() if idle_since is None else idle_since
        self._spec = spec
        self._random = random
        self._limit = AdaptiveLimit(spec.concurrency)
        self._bucket = TokenBucket(spec.rate, burst_of(spec), saved_since)
        self._permits = CallPermits(self._limit, self._bucket)
        self._breaker = Breaker()
        self._retries = RetryBudget()
        self._bisections = RetryBudget(_BISECTIONS_PER_CALL, _BISECTIONS_FLOOR)
        self._ended = trio.Event()
        self._told = State.CLOSED
        self.evidence = Evidence(spec.batch_size)
        self.failures: Counter[str] = Counter()
        """Failed calls by reason."""

    @property
    def limit(self) -> int:
        """Calls allowed at a time at present."""
        return self._limit.limit

    @property
    def breaker(self) -> State:
        """As of the last call."""
        return self._breaker.state

    @property
    def admits(self) -> bool:
        """Whether a call may start now."""
        return self._breaker.admits(trio.current_time())

    @property
    def is_paused(self) -> bool:
        """Whether the institution wants a longer pause than callers should wait for."""
        return self._bucket.paused_until - trio.current_time() > _LONGEST_WAIT

    async def acquire(self, wants: Wants) -> Permit:
        """Waits until a call may be made, for as many inquiries as `permit.size` says. To be released once."""
        permit = Permit()
        await self._permits.acquire(permit, wants)
        return permit

    async def acquire_again(self, permit: Permit, size: int, priority: Priority) -> None:
        """Waits until one more call may be made under the same permit; meanwhile others may have it."""
        self._permits.release(permit)
        await self._permits.acquire(permit, lambda _: Wanted(size, priority))

    def release(self, permit: Permit) -> None:
        """Ends what `acquire` began; does nothing if `acquire_again` was cancelled."""
        self._permits.release(permit)

    def reconsider(self) -> None:
        """To be called when whoever waits in `acquire` may want something else."""
        self._permits.reconsider()

    async def wait_call_ended(self) -> None:
        """Waits until a call in progress has ended."""
        await self._ended.wait()

    async def call(self, institution: Institution, question: Question) -> Reply:
        """Asks once, within the institution's timeout, and lets the result act on the controls.

        Raises an `InstitutionError` when there is no usable reply; a `BreakerOpenError` without asking, if calls that
        ended since the caller looked have opened the breaker.
        """
        if not self.admits:
            msg = "its breaker is open"
            raise BreakerOpenError(msg)
        era = self._breaker.start(trio.current_time())
        mark = self.evidence.begin()
        if question.attempt == 1:
            self._retries.deposit()
            self._bisections.deposit()
        try:
            reply = await self._ask(institution, question)
        except InstitutionError as error:
            self._on_failure(error, era)
            raise
        except BaseException:
            self._breaker.on_ignored(era)
            raise
        else:
            self._on_reply(reply, era, mark, attempt=question.attempt)
            return reply
        finally:
            self._tell_breaker()
            self._permits.reconsider()
            self._ended.set()
            self._ended = trio.Event()

    def _tell_breaker(self) -> None:
        """Logs a change of the breaker's state, once."""
        state = self._breaker.state
        if state is State.OPEN and self._told is not State.OPEN:
            log.error("institution %s: fails too often; asked again in a few seconds", self._spec.id)
        elif state is State.CLOSED and self._told is State.OPEN:
            log.warning("institution %s: answers again", self._spec.id)
        if state is not State.HALF_OPEN:
            self._told = state

    async def may_repeat(self, error: InstitutionError, failed: int, *, calls: int = 1) -> bool:
        """Whether to send a batch again, in so many calls, after it failed for the `failed`-th time. Pauses first."""
        if not error.retryable or failed >= _ATTEMPTS:
            return False
        return await self._repeat(failed, error.retry_after or 0 if isinstance(error, OverloadedError) else 0, calls)

    async def may_confirm(self) -> bool:
        """Whether to ask once more about an inquiry that was refused alone. Pauses first."""
        return await self._repeat(1, 0, 1)

    async def _repeat(self, failed: int, wanted: float, calls: int) -> bool:
        """Whether the retry budget pays for so many calls; pauses for at least `wanted` seconds."""
        if not self.admits:
            return False
        pause = wanted + full_jitter(failed, base=_PAUSE_BASE, cap=_PAUSE_CAP, random=self._random())
        if pause > _LONGEST_WAIT or not self._retries.withdraw(trio.current_time(), calls):
            return False
        await trio.sleep(pause)
        return self.admits

    def may_bisect(self) -> bool:
        """Whether a batch refused as a whole may be asked for in two halves."""
        return self.admits and self._bisections.withdraw(trio.current_time(), 2)

    async def _ask(self, institution: Institution, question: Question) -> Reply:
        try:
            with trio.fail_after(self._spec.timeout):
                reply = await institution.ask(question)
        except trio.TooSlowError:
            msg = f"no reply within {self._spec.timeout:g} s"
            raise UnansweredError(msg) from None
        if not len(question.subjects) == len(reply.outcomes) == len(reply.contents) == len(reply.observed_at):
            msg = "the reply's columns are not aligned with the question"
            raise BadReplyError(msg)
        return reply

    def _on_reply(self, reply: Reply, era: Era, mark: Mark, *, attempt: int) -> None:
        self._limit.on_success()
        if reply.unusable < len(reply.outcomes) or not reply.outcomes:
            self.evidence.on_answer(mark)
            self._breaker.on_success(era)
        elif attempt > 1:
            self._breaker.on_ignored(era)
        else:
            self.failures[BadReplyError.reason] += 1
            self._breaker.on_failure(era, trio.current_time())

    def _on_failure(self, error: InstitutionError, era: Era) -> None:
        now = trio.current_time()
        self.failures[error.reason] += 1
        if isinstance(error, RejectedError):
            self._limit.on_success()
            if self.evidence.on_refusal():
                self._breaker.on_failure(era, now)
            else:
                self._breaker.on_ignored(era)
            return
        if error.overload:
            self._limit.on_dropped(now)
        if isinstance(error, OverloadedError):
            self._breaker.on_ignored(era)
            self._bucket.pause(now + min(error.retry_after or 0, _LONGEST_PENALTY))
        else:
            self._breaker.on_failure(era, now)
