"""``flume lab sbom``: list what is in the images."""

import importlib
from pathlib import Path

import click

from flume.errors import SetupError
from flume.lab.commands.common import say
from flume.lab.containers import images
from flume.lab.containers.engine import Engine
from flume.lab.sbom.contents import contents

FOLDER = Path("artifacts/sbom")


@click.command(short_help="List what is in the images.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=FOLDER, show_default=True, help="The folder for the lists."
)
def sbom(*, output: Path) -> None:
    """List the packages and libraries in each image that exists, with versions and licences: CycloneDX 1.6, in JSON.

    The lists are made from the image itself: dpkg's record and the copyright files, the metadata of Python packages,
    and the libraries in their wheels.
    """
    try:
        document = importlib.import_module("flume.lab.sbom.document").document
    except ModuleNotFoundError as error:
        raise SetupError(f"lists need the package {error.name}: pip install 'flumelab[sbom]'") from error
    output.mkdir(parents=True, exist_ok=True)
    with Engine.connect() as engine:
        found = {target: image for target in images.ALL if (image := engine.images.find(images.tag_of(target)))}
        if not found:
            raise SetupError("there are no images to list: `make setup` builds them")
        for target, image in found.items():
            with engine.images.opened(images.tag_of(target)) as read:
                parts = contents(read)
            path = output / f"{target}.cdx.json"
            path.write_text(document(images.tag_of(target), image.id, parts) + "\n", encoding="utf-8")
            say(f"{path}: {len(parts)} parts")
