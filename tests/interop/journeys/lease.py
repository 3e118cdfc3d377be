"""The upstream lease with a real Keycloak: whoever is gone there is gone here, in time.

Two realms of it are two upstreams, each with the shortest lease that is allowed. An upstream is
asked again from half of the lease on, by refreshes and in the background, so nothing that an
administrator does in Keycloak takes longer than that to be known; an upstream that is away has
the whole lease.
"""

import time
from dataclasses import dataclass

import processes
from browser import Browser
from keycloak import CLIENT_SECRET, Administrator, Keycloak
from keywright import CALLBACK, Keywright, client, sign_in_locally, upstream
from keywright import CLIENT_SECRET as APP_SECRET
from processes import wait_until
from receiver import Receiver
from relying_party import RelyingParty

LEASE = 60
HALF = LEASE // 2
# The background looks every five seconds, and times are kept in whole ones.
SLACK = 8
# How long Keywright waits for an upstream: the default, and a little.
TIMEOUT = 6
REALMS = {"staff": "corp", "guests": "visitors"}
NAMES = {"staff": "Corporate", "guests": "Visitors"}
OLGA = ("olga", "a long enough password")


def walk(journey):
    places = _start(journey)
    with journey.step("people sign in at both; the adas of two realms are two people"):
        ada, bob = places.sign_in(places.wiki, "staff", "ada"), places.sign_in(places.told, "staff", "bob")
        other, guest = (places.sign_in(places.wiki, "guests", username) for username in ("ada", "bob"))
        names = [visit.app.userinfo(visit.tokens)["preferred_username"] for visit in (ada, other)]
        assert ada.sub != other.sub and names[0] == "ada" and names[1] != "ada", names
    _group_taken_away(journey, places, ada, bob, other)
    _told(journey, places, bob)
    _signed_out_there(journey, places, other)
    _disabled_while_keys_change(journey, places)
    _for_ever(journey, guest)
    _away(journey, places)


class Places:
    """Where the journey goes: Keycloak, Keywright and its two apps."""

    def __init__(self, journey):
        self.keywright = Keywright(journey.binary, journey.folder)
        self.keycloak = Keycloak(journey.stack, journey.folder, self.keywright.issuer, REALMS)
        self.staff, self.guests = (Administrator(self.keycloak, realm) for realm in REALMS)
        self.receiver = Receiver(journey.stack)
        self.wiki = self.told = self.server = None

    def serve(self, stack):
        """Starts Keywright, and the apps that read its discovery document."""
        told = client("told", backchannel_logout_uri=self.receiver.address)
        self.keywright.configure(clients=[client("wiki"), told], upstreams=self._upstreams())
        self.keywright.add_user(*OLGA)
        self.server = self.keywright.serve(stack)
        issuer = self.keywright.issuer
        self.wiki, self.told = (RelyingParty(issuer, app, APP_SECRET, CALLBACK) for app in ("wiki", "told"))

    def _upstreams(self):
        shared = {"preset": "keycloak", "groups": {"claim": "groups"}, "max_staleness": f"{LEASE}s"}
        return [
            upstream(slug, NAMES[realm], self.keycloak.issuer(realm), "keywright", CLIENT_SECRET, **shared)
            for realm, slug in REALMS.items()
        ]

    def sign_in(self, app, realm, username):
        """Signs somebody in at an app, by the login page of a realm, in a browser of their own."""
        browser = Browser()
        choice = browser.open(app.authorization_url())
        page = browser.open(choice.link_with(f"/upstream/{REALMS[realm]}/start"))
        assert page.url.startswith(self.keycloak.issuer(realm)), page
        callback = Keycloak.sign_in(browser, page, username, f"{username}-at-keycloak", stop_at=CALLBACK)
        return Visit(app, browser, time.time(), app.exchange(callback))


@dataclass
class Visit:
    """Somebody who is signed in at an app, since `at`."""

    app: RelyingParty
    browser: Browser
    at: float
    tokens: dict

    def __post_init__(self):
        claims = self.app.identity(self.tokens)
        self.sub, self.sid = claims["sub"], claims["sid"]
        # When an administrator did something about them.
        self.changed_at = None

    def age(self):
        return time.time() - self.at

    def wait_for_half(self):
        """Waits until the next refresh asks the upstream: times are kept in whole seconds."""
        wait_until(lambda: self.age() > HALF + 1, within=HALF + 2)

    def refresh(self):
        """Has the app refresh its tokens; what the new ID token says."""
        self.tokens.update(self.app.refresh(self.tokens))
        return self.app.claims(self.tokens["id_token"])

    def ends(self):
        """When the newest access token does, or did."""
        return self.app.claims(self.tokens["access_token"], over=True)["exp"]

    def refreshes_until_refused(self, within):
        """Has the app refresh every second until it may not; when the last access token ends."""
        give_up = time.monotonic() + within
        while time.monotonic() < give_up:
            before = self.tokens["refresh_token"]
            status, body = self.app.ask_for_tokens(grant_type="refresh_token", refresh_token=before)
            if status != 200:
                assert (status, body["error"]) == (400, "invalid_grant"), (status, body)
                return self.ends()
            self.tokens.update(body)
            time.sleep(1)
        raise AssertionError(f"the app can still refresh after {within} s")

    def is_over(self):
        """Nothing of it is left: no token, no session."""
        last = self.tokens["refresh_token"]
        refused = self.app.token(expect=400, grant_type="refresh_token", refresh_token=last)
        assert refused["error"] == "invalid_grant", refused
        assert not self.app.is_active(self.tokens["access_token"]), "its access token is still active"
        silent = self.browser.open(self.app.authorization_url(prompt="none"), stop_at=CALLBACK)
        assert self.app.answer(silent).get("error") == "login_required", silent


def _start(journey):
    with journey.step("Keycloak starts with two realms, one of which takes each refresh token once"):
        places = Places(journey)
        places.guests.change(revokeRefreshToken=True, refreshTokenMaxReuse=0)
    with journey.step("Keywright starts with both as upstreams, and leases of a minute"):
        places.serve(journey.stack)
    return places


def _group_taken_away(journey, places, ada, bob, other):
    with journey.step("no token is good for longer than the upstream's word"):
        assert ada.ends() <= ada.at + LEASE, ada.ends() - ada.at
    with journey.step("in Keycloak, ada leaves a group, bob is disabled, the other ada is signed out"):
        places.staff.leave("ada", "admins")
        ada.changed_at = time.time()
        places.staff.disable("bob")
        bob.changed_at = time.time()
        places.guests.sign_out("ada")
        other.changed_at = time.time()
    with journey.step("in the first half of the lease nobody asks, and she is still in it"):
        assert sorted(ada.refresh()["groups"]) == ["admins", "staff"] and ada.age() < HALF - 2, ada.age()
        assert ada.ends() <= ada.at + LEASE, "a refresh without a question must not lengthen the lease"
    with journey.step("from its half on a refresh asks, and she is out of it"):
        wait_until(lambda: ada.refresh()["groups"] == ["staff"], within=HALF + SLACK, every=1)
        journey.measured("after she left, the app knows", time.time() - ada.changed_at, HALF + SLACK)
        assert ada.age() >= HALF - 2, ada.age()
        assert ada.app.userinfo(ada.tokens)["groups"] == ["staff"]
        assert ada.at + LEASE < ada.ends() <= time.time() + LEASE, "the lease was not renewed"


def _told(journey, places, bob):
    with journey.step("bob's app is told that he is gone, although it asked for nothing"):
        wait_until(lambda: places.receiver.told, within=LEASE)
        [(at, token)] = places.receiver.told
        journey.measured("after bob was disabled, his app is told", at - bob.changed_at, HALF + SLACK)
    with journey.step("by a good logout token for his session, at once with nothing left of it"):
        claims = bob.app.logout(token)
        assert (claims["sid"], claims["sub"], claims["aud"]) == (bob.sid, bob.sub, "told"), claims
        assert not bob.app.is_active(token), "a logout token is no access token"
        bob.is_over()
    _on_record(journey, places, bob, "upstream_refresh_refused")


def _signed_out_there(journey, places, other):
    with journey.step("whoever was signed out in Keycloak, and not here, is signed out here"):
        other.wait_for_half()
        other.is_over()
    _on_record(journey, places, other, "upstream_refresh_refused")


def _disabled_while_keys_change(journey, places):
    with journey.step("Keycloak signs with a new key, and nobody notices at the next sign-in"):
        first = places.staff.rotate(200)
        ada = places.sign_in(places.wiki, "staff", "ada")
        assert ada.refresh()["groups"] == ["staff"]
    with journey.step("it signs with yet another, and ada is back in the group"):
        assert places.staff.rotate(300) != first
        places.staff.join("ada", "admins")
    with journey.step("the other realm's ada signs in, and is disabled the moment after"):
        other = places.sign_in(places.wiki, "guests", "ada")
        places.guests.disable("ada")
        other.changed_at = time.time()
    with journey.step("her app, which never stops refreshing, is refused"):
        ends = other.refreshes_until_refused(within=LEASE)
        journey.measured("after she was disabled, the app is refused", time.time() - other.changed_at, HALF + SLACK)
        assert ends <= other.changed_at + LEASE, f"a token lives for {ends - other.changed_at} s more"
        other.is_over()
    _on_record(journey, places, other, "upstream_refresh_refused")
    with journey.step("the first realm's ada goes on, confirmed with a key that came after her sign-in"):
        ada.wait_for_half()
        assert sorted(ada.refresh()["groups"]) == ["admins", "staff"]
        assert ada.ends() > ada.at + LEASE, "the lease was not renewed"


def _for_ever(journey, guest):
    with journey.step("a guest goes on after a minute, by refresh tokens that Keycloak takes once each"):
        wait_until(lambda: guest.age() > LEASE + 2, within=LEASE)
        assert guest.refresh()["sub"] == guest.sub
        assert guest.ends() >= guest.at + 2 * LEASE - 2, "there was no second confirmation"


def _away(journey, places):
    with journey.step("ada signs in once more, and Keycloak hangs"):
        ada = places.sign_in(places.told, "staff", "ada")
        places.keycloak.hang()
    with journey.step("Keywright starts again without it"):
        processes.stop(places.server)
        places.server = places.keywright.serve(journey.stack)
    olga = _local_sign_in(journey, places)
    _door_to_nowhere(journey, places, "hangs", TIMEOUT)
    with journey.step("when an app's refresh has to ask it, that takes no longer than its time-out"):
        ada.wait_for_half()
        started = time.time()
        ada.refresh()
        journey.measured("of waiting for Keycloak, in vain", time.time() - started, TIMEOUT)
    places.keycloak.crash()
    _door_to_nowhere(journey, places, "has crashed", 1)
    _run_out(journey, places, ada)
    with journey.step("and a person with a local account never noticed any of it"):
        assert olga.refresh()["sub"] == olga.sub
        olga.app.exchange(olga.browser.open(olga.app.authorization_url(prompt="none"), stop_at=CALLBACK))


def _run_out(journey, places, ada):
    so_far = len(places.receiver.told)
    with journey.step("ada is not disturbed as long as Keycloak's last word counts"):
        ends = ada.refreshes_until_refused(within=LEASE + SLACK)
        journey.measured("after Keycloak's last word, the app is refused", ada.age(), LEASE + SLACK)
        assert LEASE - 2 <= ada.age() and ends <= ada.at + LEASE, (ada.age(), ends - ada.at)
        ada.is_over()
    with journey.step("then her app is told"):
        wait_until(lambda: places.receiver.told[so_far:], within=SLACK)
        at, token = places.receiver.told[-1]
        journey.measured("after Keycloak's last word, the app is told", at - ada.at, LEASE + SLACK)
        assert ada.app.logout(token)["sid"] == ada.sid
    _on_record(journey, places, ada, "lease_run_out")


def _local_sign_in(journey, places):
    with journey.step("a local account signs in as ever, by a page that still offers both upstreams"):
        browser = Browser()
        page = browser.open(places.wiki.authorization_url())
        for slug in REALMS.values():
            page.link_with(f"/upstream/{slug}/start")
        callback = sign_in_locally(browser, page, *OLGA, stop_at=CALLBACK)
        return Visit(places.wiki, browser, time.time(), places.wiki.exchange(callback))


def _door_to_nowhere(journey, places, state, most):
    with journey.step(f"whoever chooses an upstream that {state} reads so, and can choose again"):
        browser = Browser()
        page = browser.open(places.wiki.authorization_url())
        started = time.time()
        page = browser.open(page.link_with("/upstream/corp/start"))
        journey.measured("until the page says so", time.time() - started, most)
        assert page.status == 503 and "Corporate cannot be reached at the moment" in page.text, page
        again = browser.open(page.link_with("Choose another way"))
        callback = sign_in_locally(browser, again, *OLGA, stop_at=CALLBACK)
        places.wiki.exchange(callback)


def _on_record(journey, places, visit, reason):
    with journey.step(f"the audit has it once ({reason}), and so does the story of the sign-in"):
        assert places.keywright.lost_leases(visit.sid) == [reason], places.keywright.lost_leases(visit.sid)
        story = places.keywright.run("trace", places.keywright.trace_of(visit.sid))
        assert "lease_lost" in story, story
