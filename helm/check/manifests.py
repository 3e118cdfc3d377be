"""Looks into what the chart renders: `manifests.py parse|schema|rules|leaves FILE [KUBE_VERSION]`.

Says what is wrong on standard error and ends with status 1.
"""

import sys

import yaml

MAX_LEAVES = 80


class Strict(yaml.SafeLoader):
    """A loader that refuses a key given twice, which YAML forbids and PyYAML lets through."""


def mapping(loader, node):
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        words = f"given twice: {twice}"
        raise yaml.constructor.ConstructorError(None, None, words, node.start_mark)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def load(path):
    with open(path, encoding="utf-8") as file:
        documents = [d for d in yaml.load_all(file, Loader=Strict) if d is not None]
    if not documents:
        raise ValueError("nothing was rendered")
    return documents


def parse(path, _version):
    for document in load(path):
        for field in ("apiVersion", "kind", "metadata"):
            if field not in document:
                yield f"a document without {field}"


def schema(path, version):
    import kubernetes_validate

    for document in load(path):
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{document['kind']}: {error.message}"


def one(documents, kind):
    found = [d for d in documents if d["kind"] == kind]
    return found[0] if found else None


def restricted(pod, container):
    """The restricted Pod Security Standard, and what we promise beyond it."""
    wanted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for key, value in wanted.items():
        if pod["securityContext"].get(key) != value:
            yield f"pod securityContext.{key} is not {value}"
    if not pod["securityContext"].get("runAsUser"):
        yield "the pod names no user other than root"
    inner = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for key, value in inner.items():
        if container["securityContext"].get(key) != value:
            yield f"container securityContext.{key} is not {value}"
    if pod.get("automountServiceAccountToken") is not False:
        yield "the service account's token is mounted"
    if pod.get("enableServiceLinks") is not False:
        yield "service links bring variables of our prefix"
    if pod.get("terminationGracePeriodSeconds") != 45:
        yield "the grace period is not 45 seconds"


def probes(container):
    paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        if container[probe]["httpGet"] != {"path": path, "port": "management"}:
            yield f"{probe} does not ask {path} of the management port"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if ports != {"http": 8080, "management": 9090}:
        yield f"the container's ports are {ports}"


def exposure(documents):
    """Nothing outside the pod leads to the management port."""
    service, ingress = one(documents, "Service"), one(documents, "Ingress")
    if [port["targetPort"] for port in service["spec"]["ports"]] != ["http"]:
        yield "the Service leads elsewhere than to the public port"
    for rule in ingress["spec"]["rules"] if ingress else []:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            if backend != {"name": service["metadata"]["name"], "port": {"name": "http"}}:
                yield f"the Ingress leads to {backend}"


def environment(documents, container):
    """No name twice, nothing secret in plain sight, no reference that misses our Secrets."""
    names = [entry["name"] for entry in container["env"]]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"{name} is set twice"
    ours = {d["metadata"]["name"]: d["data"] for d in documents if d["kind"] == "Secret"}
    for entry in container["env"]:
        source = entry.get("valueFrom", {}).get("secretKeyRef")
        if entry["name"] in ("SECRET_KEY", "REDIS_URL") and not source:
            yield f"{entry['name']} is not taken from a Secret"
        if source and source["name"].startswith("kw-keywright"):
            if source["key"] not in ours.get(source["name"], {}):
                yield f"{entry['name']} points at {source}, which is not rendered"
    for needed in ("KEYWRIGHT_SERVER__ISSUER", "DATABASE_URL", "SECRET_KEY"):
        if needed not in names:
            yield f"{needed} is not set"


def rules(path, _version):
    documents = load(path)
    deployment, service = one(documents, "Deployment"), one(documents, "Service")
    template = deployment["spec"]["template"]
    pod, container = template["spec"], template["spec"]["containers"][0]
    labels = template["metadata"]["labels"]
    for who in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        if not who.items() <= labels.items():
            yield f"the selector {who} does not match the pod"
    volumes = {volume["name"] for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        if mount["name"] not in volumes:
            yield f"the mount {mount['name']} has no volume"
    yield from restricted(pod, container)
    yield from probes(container)
    yield from exposure(documents)
    yield from environment(documents, container)


def leaf_keys(value):
    if isinstance(value, dict) and value:
        return sum(leaf_keys(inner) for inner in value.values())
    return 1


def leaves(path, _version):
    count = leaf_keys(load(path)[0])
    print(f"{count} leaf keys")
    if count > MAX_LEAVES:
        yield f"{count} leaf keys, more than {MAX_LEAVES}"


def main():
    verb, path = sys.argv[1:3]
    version = sys.argv[3] if len(sys.argv) > 3 else None
    checks = {"parse": parse, "schema": schema, "rules": rules, "leaves": leaves}
    problems = list(checks[verb](path, version))
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
