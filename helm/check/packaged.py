"""Looks at what docs/packaging holds: `packaged.py compose|containerfile FILE`.

No container runs here. What can be wrong without one: a compose file that is no YAML, or names what
is not there; paths and features that the Containerfile names and the source does not have.
"""

import pathlib
import re
import sys
import tomllib

import yaml

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


def compose(path):
    file = yaml.safe_load(path.read_text())
    services, networks, volumes = file["services"], file["networks"], file["volumes"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if other not in services:
                yield f"{name} depends on {other}, which is not there"
            elif how["condition"] == "service_healthy" and "healthcheck" not in services[other]:
                yield f"{name} waits for {other}, which says nothing of its health"
        for network in service["networks"]:
            if network not in networks:
                yield f"{name} is in the network {network}, which is not there"
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if not source.startswith(".") and source not in volumes:
                yield f"{name} mounts {source}, which is not there"
    build = services["keywright"]["build"]
    context = (path.parent / build["context"]).resolve()
    if not (context / build["dockerfile"]).is_file():
        yield f"there is no {build['dockerfile']} in {context}"
    for name in ("postgres", "redis"):
        if services[name].get("ports") or services[name]["networks"] != ["stores"]:
            yield f"{name} can be reached from elsewhere"
    if not networks["stores"]["internal"]:
        yield "the stores reach the world"
    ports = services["keywright"]["ports"]
    if any(not port.startswith("127.0.0.1:") or port.endswith(":9090") for port in ports):
        yield f"{ports} are open to everybody, or the management port is"
    plain = [k for k, v in services["keywright"]["environment"].items()
             if k in ("SECRET_KEY", "DATABASE_URL") and "${" not in v]
    if plain:
        yield f"{plain} stand in the file"


def containerfile(path):
    manifest = tomllib.loads((TOP / "Cargo.toml").read_text())
    text = path.read_text()
    lines = [line for line in re.sub(r"\\\n", " ", text).splitlines() if not line.startswith("#")]
    last = len(lines) - 1 - next(i for i, line in enumerate(reversed(lines)) if line.startswith("FROM"))
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "COPY" and "--from=" not in rest:
            for source in rest.split()[:-1]:
                if not (TOP / source).exists():
                    yield f"COPY {source}: there is none"
        for features in re.findall(r"--features (\S+)", line):
            for feature in features.split(","):
                if feature not in manifest["features"]:
                    yield f"there is no feature {feature}"
        for binary in re.findall(r"--bin (\S+)", line):
            if binary not in [b["name"] for b in manifest["bin"]]:
                yield f"there is no program {binary}"
    if f"rust:{manifest['package']['rust-version']}" not in text:
        yield "the builder is not the Rust that Cargo.toml asks for"
    # What cargo reads, and what the source takes in while it is compiled.
    copied = {source for line in lines if line.startswith("COPY") and "--from=" not in line
              for source in line.split()[1:-1]}
    needed = {"Cargo.toml", "Cargo.lock", "src", "templates", "static", "migrations"}
    if needed - copied:
        yield f"not copied: {sorted(needed - copied)}"
    final = lines[last:]
    if not any(re.fullmatch(r"USER [1-9][0-9]*:[1-9][0-9]*", line) for line in final):
        yield "it runs as root, or as somebody whom only a name tells from root"
    check = next((line for line in final if line.startswith("HEALTHCHECK")), "")
    if 'CMD ["/usr/local/bin/keywright", "health"]' not in check:
        yield "it does not ask for its health"


def main():
    what, path = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    problems = list({"compose": compose, "containerfile": containerfile}[what](path))
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
