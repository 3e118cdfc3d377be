"""A real Keycloak with one realm, and a person's way through its pages."""

import fcntl
import pathlib

import cache
import processes

REALM = pathlib.Path(__file__).with_name("keycloak-realm.json")
CLIENT_SECRET = "shared-by-keycloak-and-keywright"
START_WITHIN = 240


class Keycloak:
    """Development mode with a database in memory: each run imports the realm afresh."""

    def __init__(self, stack, folder, keywright_issuer):
        home = cache.keycloak_home()
        # The distribution is shared and its import folder is part of it: one run at a time.
        lock = stack.enter_context(open(home / "in-use", "w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        realm = REALM.read_text().replace("@KEYWRIGHT_ISSUER@", keywright_issuer)
        realm = realm.replace("@CLIENT_SECRET@", CLIENT_SECRET)
        (home / "data/import").mkdir(parents=True, exist_ok=True)
        (home / "data/import/staff-realm.json").write_text(realm)
        port = processes.free_port()
        self.issuer = f"http://localhost:{port}/realms/staff"
        processes.start(
            stack,
            [home / "bin/kc.sh", "start-dev", "--import-realm", "--http-host=localhost", f"--http-port={port}"],
            log=folder / "keycloak.log",
            ready=f"{self.issuer}/.well-known/openid-configuration",
            within=START_WITHIN,
            environment={"KC_DB": "dev-mem", "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m"},
        )

    @staticmethod
    def sign_in(browser, page, username, password, stop_at=None):
        """Fills in Keycloak's own login form."""
        form = page.form_with("username", "password")
        return browser.submit(page, form, {"username": username, "password": password}, stop_at=stop_at)
