"""Proves that a generated secret key is kept: `lookup.py HELM CHART`.

Helm's `lookup` answers only with a cluster, so this stands in for the few answers of a Kubernetes
API that `helm template --dry-run=server` asks for, on a loopback port, and renders three times:
with no former Secret, with one, and with one that lacks the key.
"""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET_PATH = "/api/v1/namespaces/default/secrets/kw-keywright-secret-key"
FORMER = base64.b64encode(b"the-key-of-the-former-install-0123456789").decode()
VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
RESOURCES = {
    "kind": "APIResourceList",
    "groupVersion": "v1",
    "resources": [
        {
            "name": "secrets",
            "singularName": "secret",
            "namespaced": True,
            "kind": "Secret",
            "verbs": ["get", "list"],
        }
    ],
}


class Cluster(BaseHTTPRequestHandler):
    secret_data = None
    asked = False

    def do_GET(self):
        path = self.path.split("?")[0]
        answers = {
            "/version": VERSION,
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": RESOURCES,
        }
        if path == SECRET_PATH:
            Cluster.asked = True
            if Cluster.secret_data is not None:
                answers[path] = {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": path.rsplit("/", 1)[1], "namespace": "default"},
                    "data": Cluster.secret_data,
                }
        missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
        self.answer(200 if path in answers else 404, answers.get(path, missing))

    def answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


def render(helm, chart, port, home):
    command = [helm, "template", "kw", chart, "--dry-run=server", "--namespace", "default"]
    command += ["--kube-version", VERSION["gitVersion"]]
    command += ["--kube-apiserver", f"http://127.0.0.1:{port}"]
    command += ["--set", "publicUrl=https://id.example.org"]
    # A home of its own: nobody's kubeconfig is read, no real cluster is asked.
    env = {"PATH": os.environ["PATH"], "HOME": home, "KUBECONFIG": os.path.join(home, "none")}
    Cluster.asked = False
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    if not Cluster.asked:
        sys.exit(f"the chart did not look for a former key\n{done.stderr}")
    found = re.search(r'"secret-key": "([^"]+)"', done.stdout)
    return (found.group(1) if found else None), done.stderr


def main():
    helm, chart = sys.argv[1:3]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as home:

        def with_secret(data):
            Cluster.secret_data = data
            return render(helm, chart, server.server_port, home)

        fresh, errors = with_secret(None)
        if not fresh or len(base64.b64decode(fresh)) < 32:
            sys.exit(f"no key was generated: {fresh}\n{errors}")
        if with_secret(None)[0] == fresh:
            sys.exit("two installs got the same key")
        kept, errors = with_secret({"secret-key": FORMER})
        if kept != FORMER:
            sys.exit(f"the former key was replaced\n{errors}")
        lost, errors = with_secret({"other": FORMER})
        if lost or "stored signing keys unreadable" not in errors:
            sys.exit(f"a Secret without the key was not refused: {lost}\n{errors}")
    server.shutdown()


if __name__ == "__main__":
    main()
