"""Every rendered manifest against the schemas of Kubernetes, and what must hold beyond them."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import kubernetes_validate
import yaml

# The oldest and the newest that are meant to work.
VERSIONS = ["1.27.0", "1.34.0"]
# Checked by extensions.mjs.
EXTENSIONS = ("monitoring.coreos.com/", "keda.sh/")


def objects(path: pathlib.Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def name_of(one: dict[str, Any]) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"


def schema_faults(path: pathlib.Path, one: dict[str, Any]) -> list[str]:
    if one["apiVersion"].startswith(EXTENSIONS):
        return []
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{path.name}: {name_of(one)} on {version}: {error.message}")
    return found


def pod_faults(path: pathlib.Path, deployment: dict[str, Any]) -> list[str]:
    """What a namespace that enforces the restricted profile asks for, and what a rolling update needs."""
    name, spec = name_of(deployment), deployment["spec"]["template"]["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    found = []
    if any(labels.get(key) != value for key, value in deployment["spec"]["selector"]["matchLabels"].items()):
        found.append(f"{path.name}: {name} selects other pods than its own")
    if not spec["securityContext"].get("runAsNonRoot") or spec["securityContext"]["seccompProfile"]["type"] != "RuntimeDefault":
        found.append(f"{path.name}: {name} may run as root")
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    for container in spec["containers"] + spec.get("initContainers", []):
        rights = container["securityContext"]
        if rights["allowPrivilegeEscalation"] or not rights["readOnlyRootFilesystem"] or rights["capabilities"]["drop"] != ["ALL"]:
            found.append(f"{path.name}: {name} {container['name']} has rights")
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        if not mounted <= volumes:
            found.append(f"{path.name}: {name} mounts {mounted - volumes}, which it has not")
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            if port is not None and port not in ports:
                found.append(f"{path.name}: {name} is probed at {port}, which it has not")
    return found


def reference_faults(path: pathlib.Path, all_objects: list[dict[str, Any]]) -> list[str]:
    """What selects, scales or reads something finds it."""
    deployments = {one["metadata"]["name"]: one for one in all_objects if one["kind"] == "Deployment"}
    maps = {one["metadata"]["name"] for one in all_objects if one["kind"] == "ConfigMap"}
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in deployments.values()]
    services = [one["metadata"].get("labels", {}) for one in all_objects if one["kind"] == "Service"]
    found = []

    def selects(labels: dict[str, str], among: list[dict[str, str]]) -> bool:
        return any(labels.items() <= one.items() for one in among)

    for one in all_objects:
        spec = one.get("spec", {})
        if one["kind"] == "Service" and not selects(spec["selector"], pods):
            found.append(f"{path.name}: {name_of(one)} selects nothing")
        if one["kind"] in ("PodDisruptionBudget", "PodMonitor") and not selects(spec["selector"]["matchLabels"], pods):
            found.append(f"{path.name}: {name_of(one)} selects nothing")
        if one["kind"] == "NetworkPolicy" and not selects(spec["podSelector"]["matchLabels"], pods):
            found.append(f"{path.name}: {name_of(one)} selects nothing")
        if one["kind"] == "ServiceMonitor" and not selects(spec["selector"]["matchLabels"], services):
            found.append(f"{path.name}: {name_of(one)} selects nothing")
        if one["kind"] in ("ScaledObject", "HorizontalPodAutoscaler") and spec["scaleTargetRef"]["name"] not in deployments:
            found.append(f"{path.name}: {name_of(one)} scales nothing")
    for deployment in deployments.values():
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            for source in container.get("envFrom", []):
                if source["configMapRef"]["name"] not in maps:
                    found.append(f"{path.name}: {name_of(deployment)} reads a config map that is not there")
    return found


def comparable(one: dict[str, Any]) -> Any:
    """A Deployment's pods or another object's spec, without what an installation names as it likes."""
    if one["kind"] != "Deployment":
        return one.get("spec")
    spec = yaml.safe_load(yaml.safe_dump(one["spec"]["template"]["spec"]))
    for container in spec["containers"] + spec.get("initContainers", []):
        container.pop("imagePullPolicy", None)
        container["image"] = container["image"].split("/")[-1].split(":")[0]
        for source in container.get("envFrom", []):
            source["configMapRef"]["name"] = "settings"
    return spec


def differences(ours: pathlib.Path, chart: pathlib.Path, kinds: set[str]) -> list[str]:
    """The chart and the kustomization say the same."""
    left = {name_of(one): one for one in objects(ours) if one["kind"] in kinds}
    right = {name_of(one): one for one in objects(chart) if one["kind"] in kinds}
    found = [f"{name} is only in {ours.name if name in left else chart.name}" for name in sorted(left.keys() ^ right.keys())]
    for name in sorted(left.keys() & right.keys()):
        if comparable(left[name]) != comparable(right[name]):
            found.append(f"{name} differs between {ours.name} and {chart.name}:\n{comparable(left[name])}\n{comparable(right[name])}")
    return found


folder = pathlib.Path(sys.argv[1])
faults: list[str] = []
count = 0
for manifest in sorted(folder.glob("*.yaml")):
    everything = objects(manifest)
    count += len(everything)
    names = [name_of(one) for one in everything]
    faults += [f"{manifest.name}: {name} is there twice" for name in set(names) if names.count(name) > 1]
    for thing in everything:
        faults += schema_faults(manifest, thing)
        if thing["kind"] == "Deployment":
            faults += pod_faults(manifest, thing)
    if manifest.name != "secret.yaml":
        faults += reference_faults(manifest, everything)
same = {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ScaledObject", "ServiceMonitor", "PodMonitor", "PrometheusRule"}
faults += differences(folder / "kustomize-production.yaml", folder / "helm-keda.yaml", same)
print("\n".join(faults) or f"{count} objects are valid for Kubernetes {' and '.join(VERSIONS)}")
sys.exit(bool(faults))
