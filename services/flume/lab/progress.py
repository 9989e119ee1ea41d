"""Progress for people: one bar for each long task, on standard error, and only on a terminal.

In CI and in a pipe there is no bar, only the message before the task.
"""

import contextlib
from collections.abc import Callable, Iterator

Say = Callable[[str], None]
"""Shows one line to the person at the terminal."""


class Task:
    """One bar. Without a terminal its methods do nothing."""

    def update(self, *, completed: float | None = None, total: float | None = None, text: str | None = None) -> None:
        """Move the bar to *completed* of *total*, in any one unit, or change its *text*."""


class _Bar(Task):
    """A bar of rich. rich is imported when a bar is shown, because the import takes 0.1 s."""

    def __init__(self, update: Callable[..., None]) -> None:
        self._update = update

    def update(self, *, completed: float | None = None, total: float | None = None, text: str | None = None) -> None:
        changed = {"completed": completed, "total": total, "description": text}
        self._update(**{key: value for key, value in changed.items() if value is not None})


@contextlib.contextmanager
def task(text: str, *, total: float | None = None, interactive: bool, says_time_left: bool = False) -> Iterator[Task]:
    """Show a bar named *text* while the body runs; *total* ``None``: the end is not known yet.

    It says the time that has passed, or, with *says_time_left*, the time that is left.

    Example::

        with task("copying", total=100, interactive=True) as bar:
            bar.update(completed=50)
    """
    if not interactive:
        yield Task()
        return
    from rich.console import Console  # noqa: PLC0415 - see _Bar
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    clock = TimeRemainingColumn() if says_time_left else TimeElapsedColumn()
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), clock)
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        number = progress.add_task(text, total=total)

        def update(**changed: object) -> None:
            progress.update(number, **changed)  # type: ignore[arg-type]

        yield _Bar(update)
