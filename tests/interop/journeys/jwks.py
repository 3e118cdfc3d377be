"""APIs that check our tokens by the JWKS: PyJWT and jose, in three algorithms, across a rotation.

Both keep the key set that they fetched first. A token that is good right after a rotation is
good for them only if its key was already published before.
"""

import json
import subprocess

import jwt

import cache
import processes
from browser import Browser
from keywright import CALLBACK, CLIENT_SECRET, Keywright, client, sign_in_locally
from relying_party import RelyingParty

ALGORITHMS = ["ES256", "RS256", "EdDSA"]


def walk(journey):
    keywright = Keywright(journey.binary, journey.folder)
    with journey.step("Keywright starts with one app for each algorithm"):
        keywright.configure(clients=[
            client(alg, access_token_signing_alg=alg, id_token_signing_alg=alg) for alg in ALGORITHMS
        ])
        keywright.add_user("olga", "a long enough password")
        keywright.serve(journey.stack)
    apps = [RelyingParty(keywright.issuer, alg, CLIENT_SECRET, CALLBACK) for alg in ALGORITHMS]
    jose = Jose(journey, apps[0])
    browser = Browser()
    page = browser.open(apps[0].authorization_url())
    callback = sign_in_locally(browser, page, "olga", "a long enough password", stop_at=CALLBACK)
    before = {"ES256": apps[0].exchange(callback)}
    for app in apps[1:]:
        before[app.client_id] = app.exchange(browser.open(app.authorization_url(), stop_at=CALLBACK))

    _verify(journey, apps, jose, before, "before the rotation")
    with journey.step("the keys are rotated"):
        known = _kids(apps[0])
        assert _states(keywright) == ["signing"] * 3
        keywright.run("key", "rotate")
        # The successors are made, and sign only once every key set can have them.
        assert _states(keywright) == ["announced"] * 3 + ["signing"] * 3
    after = {app.client_id: app.refresh(before[app.client_id]) for app in apps}
    _verify(journey, apps, jose, after, "issued after it, by the key sets fetched before it")
    with journey.step("a newcomer's key set still has every key of the tokens from before"):
        assert known <= _kids(apps[0]), (known, _kids(apps[0]))
        latecomers = [RelyingParty(keywright.issuer, alg, CLIENT_SECRET, CALLBACK) for alg in ALGORITHMS]
        for app in latecomers:
            for kind in ("access_token", "id_token"):
                app.claims(before[app.client_id][kind], app.client_id)
    _emergency(journey, keywright, apps[0], before["ES256"]["access_token"])


def _emergency(journey, keywright, app, old):
    with journey.step("a key thrown away in an emergency is gone, and what it signed is worth nothing"):
        dropped = jwt.get_unverified_header(old)["kid"]
        keywright.run("key", "drop", dropped)
        processes.wait_until(lambda: dropped not in _kids(app))
        latecomer = RelyingParty(keywright.issuer, app.client_id, CLIENT_SECRET, CALLBACK)
        assert not _accepts(_by_pyjwt, latecomer, old), "a token of the dropped key was accepted"
    with journey.step("tokens of the key that replaced it are good for whoever fetches the keys now"):
        own = app.token(grant_type="client_credentials")["access_token"]
        assert _by_pyjwt(latecomer, own) == app.client_id


def _states(keywright):
    keys = json.loads(keywright.run("key", "list", "--json"))
    return sorted(key["state"] for key in keys)


def _verify(journey, apps, jose, tokens, when):
    for library, check in (("PyJWT", _by_pyjwt), ("jose", jose.check)):
        with journey.step(f"{library} accepts access and ID tokens {when}"):
            for app in apps:
                for kind in ("access_token", "id_token"):
                    assert check(app, tokens[app.client_id][kind]), kind
    with journey.step(f"and both refuse them for another audience and with a changed signature ({when})"):
        _refusals(apps, jose, tokens)


def _refusals(apps, jose, tokens):
    token = tokens[apps[0].client_id]["access_token"]
    middle = token.rindex(".") + 20
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1:]
    for check in (_by_pyjwt, jose.check):
        assert not _accepts(check, apps[0], changed), "a changed signature was accepted"
        assert not _accepts(check, apps[1], token), "another audience's token was accepted"


def _accepts(check, app, token):
    try:
        return check(app, token)
    except Exception:  # PyJWT raises, jose's answer becomes an assertion: either is a refusal
        return False


def _by_pyjwt(app, token):
    return app.claims(token, app.client_id)["sub"]


def _kids(app):
    return {key["kid"] for key in app.get_json(app.metadata["jwks_uri"])["keys"]}


class Jose:
    """One long-lived API process."""

    def __init__(self, journey, app):
        self._process = processes.start(
            journey.stack,
            [cache.node(), cache.node_script("jose.mjs")],
            log=journey.folder / "jose.log",
            environment={"ISSUER": app.issuer, "JWKS_URI": app.metadata["jwks_uri"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def check(self, app, token):
        """Its answer about one token: whom it is about."""
        question = {"token": token, "audience": app.client_id, "alg": app.client_id}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "sub" in answer, answer
        return answer["sub"]
