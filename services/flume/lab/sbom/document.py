"""Parts of an image → a document in the CycloneDX format. The one owner of cyclonedx-python-lib."""

import hashlib
import uuid
from collections.abc import Iterable

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import AttachedText, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from flume import __version__
from flume.lab.sbom.part import Part


def document(image: str, image_id: str, parts: Iterable[Part]) -> str:
    """Return the document on *image* as JSON; the same parts give the same components in the same order."""
    bom = Bom(components=[_component(part) for part in parts])
    bom.metadata.component = Component(
        name=image,
        version=__version__,
        type=ComponentType.CONTAINER,
        bom_ref=image,
        properties=[Property(name="flumelab:image", value=image_id)],
    )
    bom.serial_number = uuid.UUID(hashlib.sha256(image_id.encode()).hexdigest()[:32], version=4)
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=1)


def _component(part: Part) -> Component:
    """Return *part* with the parts inside it."""
    purl = _purl(part)
    properties = [Property(name="flumelab:source", value=part.source)] if part.source else []
    return Component(
        name=part.name,
        version=part.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{purl or part.name}#{part.where}",
        purl=purl,
        licenses=_licences(part.licences) or _in_prose(part.text),
        properties=[*properties, Property(name="flumelab:found", value=part.where)],
        components=[_component(one) for one in part.parts],
    )


def _purl(part: Part) -> PackageURL | None:
    """Return the package URL of *part*; a library inside a wheel has none."""
    if part.kind == "generic":
        return None
    namespace, qualifiers = ("debian", {"arch": part.architecture}) if part.kind == "deb" else (None, None)
    return PackageURL(part.kind, namespace, part.name.lower(), part.version, qualifiers)


def _in_prose(text: str) -> list[DisjunctiveLicense]:
    """Return a licence that is known by its *text* alone; none for no text."""
    return [DisjunctiveLicense(name="as in the text", text=AttachedText(content=text))] if text else []


def _licences(names: Iterable[str]) -> list[DisjunctiveLicense | LicenseExpression]:
    """Return the licences called *names*. The format allows one expression, or any number of single licences."""
    factory = LicenseFactory()
    found = [factory.make_from_string(name) for name in names]
    if len(found) == 1:
        return found
    return [one if isinstance(one, DisjunctiveLicense) else DisjunctiveLicense(name=one.value) for one in found]
