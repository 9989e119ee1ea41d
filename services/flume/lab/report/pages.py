"""What every page of the lab has in common: how its template is filled, and how its file is written whole."""

from pathlib import Path

import jinja2

_MISSING = "–"


def number(value: float | None, digits: int = 0) -> str:
    """Return *value* with a space between thousands; a dash where there is none.

    >>> number(41200.25, 1), number(None)
    ('41 200.2', '–')
    """
    return _MISSING if value is None else f"{value:,.{digits}f}".replace(",", " ")


def template(folder: Path, name: str) -> jinja2.Template:
    """Return the template *name* in *folder*: text is escaped, and a value that is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template(name)


def replace_file(path: Path, content: bytes) -> None:
    """Write *content* to *path* in one step: an interrupt leaves the file as it was. Raises :class:`OSError`."""
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
