"""The progress bar of long runs: how many, how fast, and how long it will take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from broker.formats.tables import console

_MIN_COUNT = 500  # fewer lookups are answered before a bar would be of use


class _Rate(TextColumn):
    """Lookups per second so far."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


@contextmanager
def progress(count: int, what: str = "investigating") -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on a terminal, if there is much to do. Yields a function that advances it."""
    screen = console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    if not screen.is_terminal or count < _MIN_COUNT:
        yield lambda _: None
        return
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("", total=count)
        yield lambda concluded: bar.advance(task, concluded)
