"""Lists what the program is made of, as CycloneDX, from what cargo has resolved.

    cargo metadata --locked --format-version 1 --filter-platform TARGET | sbom.py PROGRAM > jobforge.cdx.json

Dependencies of tests are left out: only what the program is linked from is in it. PROGRAM gives its checksum.
"""

import hashlib
import json
import pathlib
import sys
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot5
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = "jobforge-cli"


def component(package: dict[str, Any], checksums: dict[tuple[str, str], str]) -> Component:
    name, version = package["name"], package["version"]
    # cargo takes `A/B` for `A OR B` still.
    license_text = (package["license"] or "").replace("/", " OR ").strip()
    checksum = checksums.get((name, version))
    repository = package["repository"]
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"{name}@{version}",
        purl=PackageURL("cargo", None, name, version) if package["source"] else None,
        licenses=[LicenseExpression(license_text)] if license_text else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
        external_references=[ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(repository))] if repository else [],
    )


def locked_checksums(lock: pathlib.Path) -> dict[tuple[str, str], str]:
    """Cargo.lock's checksums, by name and version; what is ours has none."""
    found = {}
    for block in lock.read_text().split("[[package]]")[1:]:
        fields = dict(line.split(" = ", 1) for line in block.splitlines() if " = " in line)
        if "checksum" in fields:
            key = (json.loads(fields["name"]), json.loads(fields["version"]))
            found[key] = json.loads(fields["checksum"])
    return found


def main() -> None:
    metadata = json.load(sys.stdin)
    program = pathlib.Path(sys.argv[1])
    checksums = locked_checksums(pathlib.Path(metadata["workspace_root"], "Cargo.lock"))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    (root,) = [package["id"] for package in packages.values() if package["name"] == ROOT]

    def linked(identity: str) -> list[str]:
        return [dep["pkg"] for dep in nodes[identity]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]

    parts: dict[str, Component] = {}
    waiting = [root]
    while waiting:
        identity = waiting.pop()
        if identity not in parts:
            parts[identity] = component(packages[identity], checksums)
            waiting += linked(identity)

    whole = parts[root]
    whole.type = ComponentType.APPLICATION
    whole.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(program.read_bytes()).hexdigest()))
    bom = Bom(components=[part for identity, part in parts.items() if identity != root])
    bom.metadata.component = whole
    for identity, part in parts.items():
        bom.register_dependency(part, [parts[other] for other in linked(identity)])
    text = JsonV1Dot5(bom).output_as_string(indent=2)
    fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if fault is not None:
        sys.exit(f"error: what was made is not CycloneDX 1.5: {fault}")
    print(text)


main()
