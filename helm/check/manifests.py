"""Looks into what the chart renders: `manifests.py VERB FILE [KUBE_VERSION]`, where the verb is
parse, schema, rules, leaves, or custom, which prints what is not Kubernetes' own as JSON.

Says what is wrong on standard error and ends with status 1.
"""

import json
import pathlib
import sys

import yaml

MAX_LEAVES = 120
CHART = pathlib.Path(__file__).resolve().parent.parent / "keywright"
# Kinds that are not Kubernetes' own. Their shape is checked by custom/check.mjs, and here.
CUSTOM = {"HTTPRoute", "ServiceMonitor", "PrometheusRule"}
# The kinds of volumes of the restricted Pod Security Standard.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
           "projected", "secret"}


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
        if document["kind"] in CUSTOM:
            continue
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{document['kind']}: {error.message}"


def every(documents, kind):
    return [d for d in documents if d["kind"] == kind]


def one(documents, kind):
    found = every(documents, kind)
    return found[0] if found else None


def pods(documents):
    """Every pod that may come of it, by its name."""
    for document in documents:
        if document["kind"] == "Pod":
            yield document["metadata"]["name"], document["metadata"], document["spec"]
        elif "template" in document.get("spec", {}):
            template = document["spec"]["template"]
            yield document["metadata"]["name"], template["metadata"], template["spec"]


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def restricted(pod):
    """The restricted Pod Security Standard, rule by rule, and what we promise beyond it."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{field} is on"
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= VOLUMES:
            yield f"the volume {volume['name']} is of the kind {kinds}"
    outer = pod["securityContext"]
    wanted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for key, value in wanted.items():
        if outer.get(key) != value:
            yield f"pod securityContext.{key} is not {value}"
    for field in ("sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile"):
        if field in outer:
            yield f"pod securityContext.{field} is set"
    if not outer.get("runAsUser"):
        yield "the pod names no user other than root"
    for container in containers(pod):
        for problem in confined(container):
            yield f"{container['name']}: {problem}"
    if pod.get("automountServiceAccountToken") is not False:
        yield "the service account's token is mounted"
    if pod.get("enableServiceLinks") is not False:
        yield "service links bring variables of our prefix"


def confined(container):
    inner = container["securityContext"]
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for key, value in wanted.items():
        if inner.get(key) != value:
            yield f"securityContext.{key} is not {value}"
    if inner.get("privileged") or inner.get("runAsNonRoot") is False or inner.get("runAsUser") == 0:
        yield "it is privileged, or root"
    for field in ("procMount", "seLinuxOptions", "windowsOptions"):
        if field in inner:
            yield f"securityContext.{field} is set"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "it takes a port of the node"
    if not container.get("resources", {}).get("limits", {}).get("memory"):
        yield "its memory has no limit"


def probes(container):
    paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        if container[probe]["httpGet"] != {"path": path, "port": "management"}:
            yield f"{probe} does not ask {path} of the management port"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if ports != {"http": 8080, "management": 9090}:
        yield f"the container's ports are {ports}"


def exposure(documents):
    """Nothing that people reach leads to the management port."""
    services = {d["metadata"]["name"]: d for d in every(documents, "Service")}
    public = [d for d in services.values() if d["spec"].get("clusterIP") != "None"]
    if len(public) != 1:
        return (yield f"{len(public)} Services have an address")
    public = public[0]
    name, port = public["metadata"]["name"], public["spec"]["ports"][0]
    if [port["targetPort"] for port in public["spec"]["ports"]] != ["http"]:
        yield "the Service leads elsewhere than to the public port"
    ingress, route = one(documents, "Ingress"), one(documents, "HTTPRoute")
    for rule in ingress["spec"]["rules"] if ingress else []:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            if backend != {"name": name, "port": {"name": "http"}}:
                yield f"the Ingress leads to {backend}"
    for rule in route["spec"]["rules"] if route else []:
        if rule["backendRefs"] != [{"name": name, "port": port["port"]}]:
            yield f"the HTTPRoute leads to {rule['backendRefs']}"


def selections(documents, deployment):
    """Whatever selects pods selects those of the Deployment, and no other."""
    ours = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [("Deployment", deployment["spec"]["selector"]["matchLabels"])]
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
        for document in every(documents, kind):
            spec = document["spec"]
            selector = spec.get("podSelector", spec.get("selector"))
            selectors.append((kind, selector.get("matchLabels", selector)))
    spread = deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
    selectors += [("a spread", c["labelSelector"]["matchLabels"]) for c in spread]
    for who, selector in selectors:
        if not selector.items() <= ours.items():
            yield f"{who} selects {selector}, which our pods are not"
        for name, metadata, _ in pods(documents):
            if name != deployment["metadata"]["name"] and selector.items() <= metadata["labels"].items():
                yield f"{who} selects the pod {name} too"


def scale(documents, deployment):
    autoscaler, budget = one(documents, "HorizontalPodAutoscaler"), one(documents, "PodDisruptionBudget")
    spec = deployment["spec"]
    if autoscaler:
        target = autoscaler["spec"]["scaleTargetRef"]
        wanted = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
        if target != wanted:
            yield f"the autoscaler is for {target}"
        if "replicas" in spec:
            yield "each upgrade would undo what the autoscaler has done"
    many = autoscaler or spec.get("replicas", 1) > 1
    if bool(many) != ("topologySpreadConstraints" in spec["template"]["spec"]):
        yield "several replicas are spread, and one is not"
    if budget and not many:
        yield "a single pod could never be moved"
    if many and spec["strategy"]["type"] != "RollingUpdate":
        yield "several replicas are not replaced one by one"


def network(documents):
    """With a policy, the management port is open to those who are named, and what we call is open."""
    policy = one(documents, "NetworkPolicy")
    if not policy:
        return
    if policy["spec"]["policyTypes"] != ["Ingress", "Egress"]:
        yield "the policy leaves a direction open"
    for rule in policy["spec"]["ingress"]:
        ports = [port["port"] for port in rule["ports"]]
        if ports == ["management"] and not rule.get("from"):
            yield "everybody may read the metrics"
        if ports == ["http"] and rule.get("from"):
            tests = [m["labels"] for name, m, _ in pods(documents) if name.endswith("-test")]
            peers = [p.get("podSelector", {}).get("matchLabels") for p in rule["from"]]
            if not any(peer and peer.items() <= tests[0].items() for peer in peers):
                yield "`helm test` cannot reach us"
    outside = [port for rule in policy["spec"]["egress"] for port in rule.get("ports", [])]
    for needed in ({"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}):
        if needed not in outside:
            yield f"names cannot be looked up: {needed}"


def watching(documents):
    """What Prometheus and Grafana are given is there, and is what stands in files/."""
    monitor, rule = one(documents, "ServiceMonitor"), one(documents, "PrometheusRule")
    if monitor:
        wanted = monitor["spec"]["selector"]["matchLabels"]
        services = every(documents, "Service")
        found = [s for s in services if wanted.items() <= s["metadata"]["labels"].items()]
        endpoint = monitor["spec"]["endpoints"][0]
        if set(endpoint) != {"port", "path", "interval"} or set(monitor["spec"]) != {"selector", "endpoints"}:
            yield "the ServiceMonitor says what we do not know"
        if len(found) != 1:
            yield f"the ServiceMonitor finds {len(found)} Services"
        elif (endpoint["port"], "management") not in [
            (p["name"], p["targetPort"]) for p in found[0]["spec"]["ports"]
        ]:
            yield "the ServiceMonitor finds no port"
    if rule and rule["spec"] != yaml.load((CHART / "files/alerts.yaml").read_text(), Loader=Strict):
        yield "the PrometheusRule is not files/alerts.yaml"
    for document in every(documents, "ConfigMap"):
        text = document["data"].get("keywright.json")
        if text and json.loads(text) != json.loads((CHART / "files/dashboard.json").read_text()):
            yield "the dashboard is not files/dashboard.json"


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


def migration(pod, container):
    """What migrates sees exactly what serves."""
    (migrate,) = pod["initContainers"]
    for field in ("image", "imagePullPolicy", "env", "envFrom", "volumeMounts"):
        if migrate.get(field) != container.get(field):
            yield f"migrate has another {field} than the server"
    if (migrate["args"], container["args"]) != (["migrate"], ["serve"]):
        yield "the containers run something else"


def rules(path, _version):
    documents = load(path)
    deployment = one(documents, "Deployment")
    for name, _, pod in pods(documents):
        for problem in restricted(pod):
            yield f"{name}: {problem}"
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for container in containers(pod):
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{name}: the mount {mount['name']} has no volume"
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    if pod.get("terminationGracePeriodSeconds", 30) < 45:
        yield "the grace period is shorter than what the server takes to end"
    names = [(d["kind"], d["metadata"]["name"]) for d in documents]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"{name} is rendered twice"
    yield from migration(pod, container)
    yield from probes(container)
    yield from exposure(documents)
    yield from selections(documents, deployment)
    yield from scale(documents, deployment)
    yield from network(documents)
    yield from watching(documents)
    yield from environment(documents, container)


def custom(path, _version):
    print(json.dumps([d for d in load(path) if d["kind"] in CUSTOM]))
    return []


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
    checks = {"parse": parse, "schema": schema, "rules": rules, "leaves": leaves, "custom": custom}
    problems = list(checks[verb](path, version))
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
