"""Writes what ``docs`` has of ``flume inspect`` by code: the table of measures, and the JSON schema. Pure."""

from pathlib import Path

import msgspec

from flume import generated
from flume.generated import GeneratedPart
from flume.inspect.measure_names import table
from flume.inspect.values import Inspection

PART = GeneratedPart("measures", "flume.inspect.documents")
SCHEMA_NAME = "inspect.schema.json"


def schema() -> str:
    """Return the JSON schema (2020-12) of the output of ``flume inspect --json``."""
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Inspection)}
    return msgspec.json.format(msgspec.json.encode(described), indent=1).decode() + "\n"


def main() -> None:
    """Write the table into the page that the command line names, and the schema beside the page."""
    page = generated.document_argument("docs/inspect.md")
    PART.write(page, table())
    Path(page.parent / SCHEMA_NAME).write_text(schema(), encoding="utf-8")


if __name__ == "__main__":
    generated.run(main)
