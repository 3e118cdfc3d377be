"""The certified npm package openid-client as the app; the person has a local account."""

import json
import subprocess

import cache
import processes
from browser import Browser
from keywright import CALLBACK, CLIENT_SECRET, SIGNED_OUT, Keywright, client, sign_in_locally


def walk(journey):
    keywright = Keywright(journey.binary, journey.folder)
    with journey.step("Keywright starts with a local account"):
        keywright.configure(clients=[client("wiki")])
        keywright.add_user("olga", "a long enough password")
        keywright.serve(journey.stack)
    script = processes.start(
        journey.stack,
        [cache.node(), cache.node_script("openid-client.mjs")],
        log=journey.folder / "openid-client.log",
        environment={
            "ISSUER": keywright.issuer,
            "CLIENT_ID": "wiki",
            "CLIENT_SECRET": CLIENT_SECRET,
            "REDIRECT_URI": CALLBACK,
            "SIGNED_OUT": SIGNED_OUT,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    browser = Browser()
    for expected in STEPS:
        with journey.step(f"it {expected}"):
            _until_done(journey, script, browser, expected)


STEPS = [
    "reads the discovery document",
    "exchanges the code, with PKCE, state, nonce, max_age and the iss of the answer checked",
    "reads UserInfo",
    "refreshes, and gets another refresh token",
    "introspects the access token",
    "revokes the refresh token, which then is refused and inactive",
    "gets a token for itself",
    "signs the person out",
]


def _until_done(journey, script, browser, expected):
    """Plays the person until the script reports the step that comes next."""
    for line in script.stdout:
        message = json.loads(line)
        if "done" in message:
            assert message["done"] == expected, message
            return
        script.stdin.write(_visit(browser, message["open"]) + "\n")
        script.stdin.flush()
    raise AssertionError(processes.tail(journey.folder / "openid-client.log"))


def _visit(browser, url):
    if "/logout" in url:
        return browser.open(url, stop_at=SIGNED_OUT)
    return sign_in_locally(browser, browser.open(url), "olga", "a long enough password", stop_at=CALLBACK)
