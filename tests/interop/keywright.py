"""A Keywright as an administrator runs it: a configuration file, `serve`, and the other verbs."""

import contextlib
import json
import os
import sqlite3
import subprocess

import processes

SECRET_KEY = "interop-interop-interop-interop-interop"
CLIENT_SECRET = "the-app's secret: with / and % and + in it"
CALLBACK = "http://localhost:1/callback"
SIGNED_OUT = "http://localhost:1/signed-out"


def client(client_id, **more):
    """The table of a confidential client that uses every grant."""
    return {
        "id": client_id,
        "name": f"Sample {client_id}",
        "secret": CLIENT_SECRET,
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [SIGNED_OUT],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        **more,
    }


def upstream(slug, name, issuer, client_id, secret, **more):
    """The table of an upstream provider."""
    return {
        "slug": slug,
        "name": name,
        "issuer": issuer,
        "client_id": client_id,
        "client_secret": secret,
        **more,
    }


class Keywright:
    """One instance. Its files are in `folder`; `issuer` differs from its own address behind a proxy."""

    def __init__(self, binary, folder, name="keywright", issuer=None):
        self.binary, self.folder, self.name = binary, folder, name
        self.port, self.management_port = processes.free_port(), processes.free_port()
        self.address = f"http://localhost:{self.port}"
        self.issuer = issuer or self.address
        self.environment = {}
        self._config = folder / f"{name}.toml"
        self._database = folder / "keywright.db"

    def configure(self, clients, upstreams=(), environment=None, **sections):
        """Writes the configuration file; secrets that belong to the environment stay there."""
        tables = {
            "server": {
                "issuer": self.issuer,
                "listen": f"127.0.0.1:{self.port}",
                "management_listen": f"127.0.0.1:{self.management_port}",
                **sections.pop("server", {}),
            },
            # All walks come from this computer.
            "rate_limits": {"requests_per_minute": 100000, **sections.pop("rate_limits", {})},
            **sections,
        }
        lines = [line for name, table in tables.items() for line in _table(f"[{name}]", table)]
        for kind, entries in (("upstreams", upstreams), ("clients", clients)):
            for entry in entries:
                lines += _table(f"[[{kind}]]", entry)
        self._config.write_text("\n".join(lines) + "\n")
        self.environment = {
            "DATABASE_URL": f"sqlite:{self._database}",
            "SECRET_KEY": SECRET_KEY,
            "KEYWRIGHT_CONFIG": str(self._config),
            **(environment or {}),
        }

    def serve(self, stack):
        """Starts `serve` and waits until it says that it is ready."""
        return processes.start(
            stack,
            [self.binary, "serve"],
            log=self.folder / f"{self.name}.log",
            ready=f"http://127.0.0.1:{self.management_port}/readyz",
            environment=self.environment,
            cwd=self.folder,
        )

    def run(self, *verb, given=None):
        """Runs another verb with the same configuration and returns what it prints."""
        return processes.run([self.binary, *verb], environment=self.environment, given=given, cwd=self.folder)

    def add_user(self, username, password):
        """Makes a local account with an address, a group and a password."""
        self.run("user", "add", username, "--email", f"{username}@example.org", "--name",
                 username.title(), "--group", "staff", "--password-stdin", given=password + "\n")

    def trace_of(self, sid):
        """The id of the story in which a session began, which a page shows only when all is not well."""
        return self._ask("SELECT trace_id FROM grants WHERE session_id = ?", sid)[0][0]

    def lost_leases(self, sid):
        """Why a session's lease was lost, from the audit."""
        rows = self._ask("SELECT reason, detail FROM audit_events WHERE action = 'lease'")
        return [reason for reason, detail in rows if json.loads(detail)["session"] == sid]

    def subjects(self, slug):
        """Under which names people are known to an upstream."""
        return [subject for (subject,) in self._ask("SELECT subject FROM identities WHERE upstream = ?", slug)]

    def _ask(self, query, *values):
        with contextlib.closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()


def sign_in_locally(browser, page, username, password, stop_at=None):
    """Fills in Keywright's own password form."""
    form = page.form_with("csrf", "username", "password")
    return browser.submit(page, form, {"username": username, "password": password}, stop_at=stop_at)


def binary(checkout):
    """The debug build, made fresh; `INTEROP_KEYWRIGHT` names another one instead."""
    given = os.environ.get("INTEROP_KEYWRIGHT")
    if given:
        return given
    subprocess.run(["cargo", "build", "--locked", "--quiet"], cwd=checkout, check=True, timeout=3600)
    target = os.environ.get("CARGO_TARGET_DIR", checkout / "target")
    return f"{target}/debug/keywright"


def _table(heading, values):
    return [heading, *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]


def _toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
