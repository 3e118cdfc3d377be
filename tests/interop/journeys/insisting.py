"""A real Keycloak that insists on what it offers: pushed requests, and tokens that are bound to a key."""

import time
import urllib.parse
import urllib.request

import processes
from browser import Browser
from journeys.keycloak import trace_id
from keycloak import CLIENT_SECRET, Administrator, Keycloak
from keywright import CALLBACK, Keywright, client, upstream
from keywright import CLIENT_SECRET as APP_SECRET
from relying_party import RelyingParty

LEASE = 60


def walk(journey):
    keywright = Keywright(journey.binary, journey.folder)
    with journey.step("Keycloak starts, and insists on pushed requests and bound tokens"):
        keycloak = Keycloak(journey.stack, journey.folder, keywright.issuer, realms={"staff": "corp"})
        staff = Administrator(keycloak, "staff")
        staff.insist("keywright", "require.pushed.authorization.requests", "dpop.bound.access.tokens")
    with journey.step("Keywright starts with it as its upstream"):
        keywright.configure(clients=[client("wiki")], upstreams=[_upstream(keycloak)])
        server = keywright.serve(journey.stack)
    wiki = RelyingParty(keywright.issuer, "wiki", APP_SECRET, CALLBACK)
    browser = Browser()

    with journey.step("the browser carries the name of a request to Keycloak, and nothing of it"):
        sent = browser.open(wiki.authorization_url(), stop_at=keycloak.address)
        names = sorted(urllib.parse.parse_qs(urllib.parse.urlsplit(sent).query))
        assert names == ["client_id", "request_uri"], sent
        page = browser.open(sent)
    with journey.step("the sign-in asks its UserInfo with a bound token, and is good"):
        callback = Keycloak.sign_in(browser, page, "ada", "ada-at-keycloak", stop_at=CALLBACK)
        tokens = wiki.exchange(callback)
        assert sorted(wiki.userinfo(tokens)["groups"]) == ["admins", "staff"]
    with journey.step("the lease is renewed with the same key, and groups follow"):
        staff.leave("ada", "admins")
        # Half a lease after the last word that can have known nothing of it.
        time.sleep(LEASE // 2 + 1)
        tokens.update(wiki.refresh(tokens))
        assert wiki.userinfo(tokens)["groups"] == ["staff"]
        line = 'keywright_lease_checks_total{upstream="corp",means="refresh",outcome="confirmed"} '
        assert line in _metrics(keywright), _metrics(keywright)
    with journey.step("a Keywright that shows no key gets no token there"):
        processes.stop(server)
        keywright.configure(clients=[client("wiki")], upstreams=[_upstream(keycloak, dpop="never")])
        keywright.serve(journey.stack)
        stranger = Browser()
        page = stranger.open(wiki.authorization_url())
        page = Keycloak.sign_in(stranger, page, "ada", "ada-at-keycloak")
        assert page.url.startswith(keywright.issuer) and page.status == 400, page
        story = keywright.run("trace", trace_id(page))
        assert "sign_in refused: upstream_token_refused" in story, story
        log = journey.folder / "keycloak.log"
        processes.wait_until(lambda: "DPoP proof is missing" in processes.tail(log))


def _upstream(keycloak, dpop="auto"):
    # A claim that is nowhere has UserInfo asked at each sign-in.
    groups = [{"claim": "groups"}, {"claim": "nowhere"}]
    return upstream(
        "corp", "Corporate", keycloak.issuer("staff"), "keywright", CLIENT_SECRET,
        preset="keycloak", groups=groups, max_staleness=f"{LEASE}s", par="always", dpop=dpop,
    )


def _metrics(keywright):
    with urllib.request.urlopen(f"http://127.0.0.1:{keywright.management_port}/metrics") as answer:
        return answer.read().decode()
