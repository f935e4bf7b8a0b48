"""What must hold of the compose files beyond their schema, read as `docker compose config` resolves them."""

import json
import pathlib
import sys

# What older runbooks call, and what may be scaled.
NAMES = {"cleanup-daemon", "worker-ts", "worker-py", "server", "postgres", "pgbouncer", "migrate"}
MONITORING = {"prometheus", "alertmanager", "grafana"}
SCALED = ["worker-ts", "worker-py"]
# Ours run with a root that cannot be written and without rights.
OURS = ["migrate", "server", "cleanup-daemon", *SCALED]


def faults(path: str) -> list[str]:
    services = json.loads(pathlib.Path(path).read_text())["services"]
    wanted = NAMES if "core" in path else NAMES | MONITORING
    found = [f"{path}: services are {sorted(services)}, not {sorted(wanted)}"] if set(services) != wanted else []
    for name in SCALED:
        for word in ("container_name", "ports"):
            if word in services[name]:
                found.append(f"{path}: {name} has {word}, so that it cannot be scaled")
    for name in OURS:
        service = services[name]
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
            found.append(f"{path}: {name} may write its root or has rights")
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            if any(word in variable for word in ("PASSWORD", "TOKEN", "DATABASE_URL")) and not variable.endswith("FILE"):
                found.append(f"{path}: {name} has a secret in its environment: {variable}={value!r}")
        for port in service.get("ports") or []:
            if port.get("host_ip") != "127.0.0.1":
                found.append(f"{path}: {name} publishes {port} to everybody")
        for volume in service.get("volumes") or []:
            source = pathlib.Path(volume["source"])
            made_by_init = "secrets" in source.parts
            if volume["type"] == "bind" and not made_by_init and not source.exists():
                found.append(f"{path}: {name} mounts {source}, which does not exist")
    return found


all_faults = [fault for path in sys.argv[1:] for fault in faults(path)]
print("\n".join(all_faults) or "the compose files hold what they must")
sys.exit(bool(all_faults))
