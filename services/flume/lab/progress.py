"""Progress for people: one bar for each thing that takes long, on standard error, and only on a terminal.

Where nobody watches (CI, a pipe) the line that was said before stands alone.
"""

import contextlib
from collections.abc import Callable, Iterator

Say = Callable[[str], None]
"""Takes one line for the person at the terminal."""


class Task:
    """One running bar. Without a terminal every call does nothing."""

    def update(self, *, completed: float | None = None, total: float | None = None, text: str | None = None) -> None:
        """Move the bar to *completed* of *total*, both in the task's own unit, or change its *text*."""


class _Bar(Task):
    """A bar of rich; it is imported only when one is shown, because that takes 0.1 s."""

    def __init__(self, update: Callable[..., None]) -> None:
        self._update = update

    def update(self, *, completed: float | None = None, total: float | None = None, text: str | None = None) -> None:
        changed = {"completed": completed, "total": total, "description": text}
        self._update(**{key: value for key, value in changed.items() if value is not None})


@contextlib.contextmanager
def task(text: str, *, total: float | None = None, interactive: bool) -> Iterator[Task]:
    """Show a bar named *text* while the body runs; *total* ``None`` means that the end is not known yet."""
    if not interactive:
        yield Task()
        return
    from rich.console import Console  # noqa: PLC0415 - see _Bar
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        number = progress.add_task(text, total=total)

        def update(**changed: object) -> None:
            progress.update(number, **changed)  # type: ignore[arg-type]

        yield _Bar(update)
