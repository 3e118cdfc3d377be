// Checks objects against the schemas that the Gateway API and the Prometheus operator publish:
// check.mjs FILE, a list of objects as JSON. It first convinces itself that it can say no.
import { readFile } from "node:fs/promises";

const MAKERS = {
  HTTPRoute: "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
  ServiceMonitor: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
  PrometheusRule: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
};
const BAD = [
  { kind: "HTTPRoute", spec: { rules: [{ backendRefs: [{ name: "a", port: 70000 }] }] } },
  { kind: "ServiceMonitor", spec: { endpoints: [] } },
  { kind: "PrometheusRule", spec: { groups: [{ rules: [] }] } },
];

async function fault(document) {
  const { [document.kind]: Kind } = await import(MAKERS[document.kind]);
  const kind = new Kind(document);
  if (document.apiVersion && document.apiVersion !== Kind.apiVersion) {
    return `${document.apiVersion} is not ${Kind.apiVersion}`;
  }
  try {
    kind.validate();
  } catch (error) {
    return error.message;
  }
}

for (const document of BAD) {
  if (!(await fault(document))) {
    console.error(`a wrong ${document.kind} is taken for a right one`);
    process.exitCode = 1;
  }
}
for (const document of JSON.parse(await readFile(process.argv[2], "utf8"))) {
  const found = await fault(document);
  if (found) {
    console.error(`${document.kind}: ${found}`);
    process.exitCode = 1;
  }
}
