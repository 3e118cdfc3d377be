"""A real Keycloak with its realms, a person's way through its pages, and an administrator's."""

import fcntl
import json
import pathlib
import signal
import urllib.parse
import urllib.request

import cache
import processes

REALM = pathlib.Path(__file__).with_name("keycloak-realm.json")
CLIENT_SECRET = "shared-by-keycloak-and-keywright"
ADMINISTRATOR = {"username": "root-of-the-house", "password": "only-for-this-run"}
START_WITHIN = 600


class Keycloak:
    """Development mode with a database in memory: each run imports the realms afresh.

    Every realm has the same people. `realms` says what the upstream of each is called at Keywright.
    """

    def __init__(self, stack, folder, keywright_issuer, realms):
        home = cache.keycloak_home()
        # The distribution is shared and its import folder is part of it: one run at a time.
        lock = stack.enter_context(open(home / "in-use", "w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        _write_realms(home / "data/import", keywright_issuer, realms)
        port = processes.free_port()
        self.address = f"http://localhost:{port}"
        self.process = processes.start(
            stack,
            [home / "bin/kc.sh", "start-dev", "--import-realm", "--http-host=localhost", f"--http-port={port}"],
            log=folder / "keycloak.log",
            ready=self.issuer(next(iter(realms))) + "/.well-known/openid-configuration",
            within=START_WITHIN,
            environment={
                "KC_DB": "dev-mem",
                "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
                "KC_BOOTSTRAP_ADMIN_USERNAME": ADMINISTRATOR["username"],
                "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMINISTRATOR["password"],
            },
        )

    def issuer(self, realm):
        """Who a realm says that it is."""
        return f"{self.address}/realms/{realm}"

    def hang(self):
        """Has it accept connections and answer nothing any more."""
        processes.signal_group(self.process, signal.SIGSTOP)

    def crash(self):
        """Ends it at once, hanging or not."""
        processes.signal_group(self.process, signal.SIGKILL)
        self.process.wait()

    @staticmethod
    def sign_in(browser, page, username, password, stop_at=None):
        """Fills in Keycloak's own login form."""
        form = page.form_with("username", "password")
        return browser.submit(page, form, {"username": username, "password": password}, stop_at=stop_at)


class Administrator:
    """What somebody does in the administration of one realm, by Keycloak's admin REST API."""

    def __init__(self, keycloak, realm):
        self._keycloak, self._realm = keycloak, realm

    def disable(self, username):
        """Switches a person off."""
        person = self._person(username)
        self._ask("PUT", f"/users/{person['id']}", {**person, "enabled": False})

    def sign_out(self, username):
        """Ends a person's sessions."""
        self._ask("POST", f"/users/{self._person(username)['id']}/logout", {})

    def insist(self, client_id, *attributes):
        """Has the realm insist on something that it only offers to a client otherwise."""
        [client] = self._ask("GET", f"/clients?clientId={client_id}")
        client["attributes"].update(dict.fromkeys(attributes, "true"))
        self._ask("PUT", f"/clients/{client['id']}", client)

    def change(self, **settings):
        """Changes settings of the realm."""
        self._ask("PUT", "", settings)

    def leave(self, username, group):
        """Takes a person out of a group."""
        self._ask("DELETE", self._membership(username, group))

    def join(self, username, group):
        """Puts a person into a group."""
        self._ask("PUT", self._membership(username, group))

    def rotate(self, priority):
        """Adds an RSA key with which the realm signs from now on; its name in the key set."""
        before = self._signs_with()
        self._ask("POST", "/components", {
            "name": f"rsa-{priority}",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": self._ask("GET", "")["id"],
            "config": {
                "priority": [str(priority)], "enabled": ["true"], "active": ["true"],
                "algorithm": ["RS256"], "keySize": ["2048"],
            },
        })
        now = self._signs_with()
        assert now != before, f"it still signs with {before}"
        return now

    def _signs_with(self):
        return self._ask("GET", "/keys")["active"]["RS256"]

    def _person(self, username):
        [person] = self._ask("GET", f"/users?exact=true&username={username}")
        return person

    def _membership(self, username, group):
        [found] = self._ask("GET", f"/groups?exact=true&search={group}")
        return f"/users/{self._person(username)['id']}/groups/{found['id']}"

    def _ask(self, method, path, content=None):
        # A token of the administration lives for a minute: each question gets its own.
        url = f"{self._keycloak.address}/admin/realms/{self._realm}{path}"
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        return _send(urllib.request.Request(url, body, headers, method=method))

    def _token(self):
        form = {"grant_type": "password", "client_id": "admin-cli", **ADMINISTRATOR}
        url = self._keycloak.issuer("master") + "/protocol/openid-connect/token"
        return _send(urllib.request.Request(url, urllib.parse.urlencode(form).encode()))["access_token"]


def _write_realms(folder, keywright_issuer, realms):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*-realm.json"):
        old.unlink()
    for realm, slug in realms.items():
        text = REALM.read_text()
        for mark, value in (("ISSUER", keywright_issuer), ("SLUG", slug)):
            text = text.replace(f"@KEYWRIGHT_{mark}@", value)
        text = text.replace("@REALM@", realm).replace("@CLIENT_SECRET@", CLIENT_SECRET)
        (folder / f"{realm}-realm.json").write_text(text)


def _send(request):
    with urllib.request.urlopen(request, timeout=30) as answer:
        content = answer.read()
    return json.loads(content) if content else None
