"""The upstream lease with a real Keycloak: whoever is gone there is gone here, in time.

Two realms of it are two upstreams, each with the shortest lease that is allowed. An upstream is
asked again from half of the lease on, by refreshes and in the background, so nothing that an
administrator does in Keycloak takes longer than that to be known; an upstream that is away has
the whole lease. A third upstream is another provider, which none of it concerns.
"""

import time
from dataclasses import dataclass

import processes
from browser import Browser
from journeys.oidc_provider import go_through, provider_settings, start_provider
from keycloak import CLIENT_SECRET, Administrator, Keycloak
from keywright import CALLBACK, Keywright, client, sign_in_locally, upstream
from keywright import CLIENT_SECRET as APP_SECRET
from processes import wait_until
from receiver import Receiver
from relying_party import RelyingParty

LEASE = 60
HALF = LEASE // 2
# The background looks every five seconds, and times are kept in whole ones; the rest is for a machine
# that has other things to do. Together with half of the lease it is less than the lease.
SLACK = 15
# How long Keywright waits for an upstream: five seconds by default, and a little.
TIMEOUT = 8
# What takes no time at all, for a debug build.
AT_ONCE = 3
REALMS = {"staff": "corp", "guests": "visitors"}
NAMES = {"staff": "Corporate", "guests": "Visitors"}
OLGA = ("olga", "a long enough password")


def walk(journey):
    places = _start(journey)
    with journey.step("people sign in at both; the adas of two realms are two people"):
        bob = places.sign_in(places.told, "staff", "bob")
        guest, other = (places.sign_in(places.wiki, "guests", username) for username in ("bob", "ada"))
        # The last, for what happens to her in the first half of her lease.
        ada = places.sign_in(places.wiki, "staff", "ada")
        names = [visit.app.userinfo(visit.tokens)["preferred_username"] for visit in (other, ada)]
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
        self.certified = provider_settings(start_provider(journey, self.keywright.issuer))
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
        realms = [
            upstream(slug, NAMES[realm], self.keycloak.issuer(realm), "keywright", CLIENT_SECRET, **shared)
            for realm, slug in REALMS.items()
        ]
        return [*realms, self.certified]

    def sign_in(self, app, realm, username):
        """Signs somebody in at an app, by the login page of a realm, in a browser of their own."""
        browser = Browser()
        choice = browser.open(app.authorization_url())
        page = browser.open(choice.link_with(f"/upstream/{REALMS[realm]}/start"))
        assert page.url.startswith(self.keycloak.issuer(realm)), page
        before = time.time()
        callback = Keycloak.sign_in(browser, page, username, f"{username}-at-keycloak", stop_at=CALLBACK)
        return Visit(app, browser, before, time.time(), app.exchange(callback))


@dataclass
class Visit:
    """Somebody who is signed in at an app: after `before`, and before `at`.

    Keywright keeps when, without the fraction of the second.
    """

    app: RelyingParty
    browser: Browser
    before: float
    at: float
    tokens: dict

    def __post_init__(self):
        claims = self.app.identity(self.tokens)
        self.sub, self.sid = claims["sub"], claims["sid"]
        # When an administrator did something about them.
        self.changed_at = None

    def age(self):
        """At least so old is the lease that began with the sign-in."""
        return time.time() - self.at

    def most_age(self):
        """At most so old, as Keywright reckons."""
        return time.time() - self.before + 1

    def wait_for_half(self):
        """Waits until the upstream has been asked after whatever was done about them last, or is by
        the next refresh."""
        since = self.changed_at or self.at
        wait_until(lambda: time.time() > since + HALF + 1, within=HALF + 2)

    def refresh(self):
        """Has the app refresh its tokens; what the new ID token says."""
        self.tokens.update(self.app.refresh(self.tokens))
        return self.app.claims(self.tokens["id_token"])

    def longest_refresh(self, until):
        """Has the app refresh every second until an age; the longest that it had to wait."""
        longest = 0
        while True:
            started = time.monotonic()
            self.refresh()
            longest = max(longest, time.monotonic() - started)
            if self.age() > until:
                return longest
            time.sleep(1)

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
    with journey.step("Keycloak starts with two realms, one of which takes refresh tokens once; and another provider"):
        places = Places(journey)
        places.guests.change(revokeRefreshToken=True, refreshTokenMaxReuse=0)
    with journey.step("Keywright starts with all as upstreams, and leases of a minute at Keycloak's"):
        places.serve(journey.stack)
    return places


def _group_taken_away(journey, places, ada, bob, other):
    with journey.step("no token is good for longer than the upstream's word"):
        assert ada.ends() <= ada.at + LEASE, ada.ends() - ada.at
    with journey.step("in Keycloak, ada leaves a group"):
        places.staff.leave("ada", "admins")
        ada.changed_at = time.time()
    with journey.step("in the first half of the lease nobody asks, and she is still in it"):
        groups = ada.refresh()["groups"]
        assert sorted(groups) == ["admins", "staff"], f"{groups}, {ada.most_age()} s after her sign-in"
        assert ada.ends() <= ada.at + LEASE, "a refresh without a question must not lengthen the lease"
    with journey.step("bob is disabled there, and the other ada is signed out"):
        places.staff.disable("bob")
        bob.changed_at = time.time()
        places.guests.sign_out("ada")
        other.changed_at = time.time()
    with journey.step("from its half on a refresh asks, and she is out of it"):
        wait_until(lambda: ada.refresh()["groups"] == ["staff"], within=HALF + SLACK, every=1)
        journey.measured("after she left, the app knows", time.time() - ada.changed_at, HALF + SLACK)
        assert ada.most_age() >= HALF, f"it was asked {ada.most_age()} s after her sign-in"
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
        ada.changed_at = time.time()
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
        # The first confirmation comes with the background, the second half a lease later at most.
        wait_until(lambda: guest.age() > LEASE + SLACK + 2, within=LEASE + SLACK + 3)
        assert guest.refresh()["sub"] == guest.sub
        assert guest.ends() + 1 >= guest.before + 2 * LEASE, "there was no second confirmation"


def _away(journey, places):
    with journey.step("ada signs in once more, and Keycloak hangs"):
        ada = places.sign_in(places.told, "staff", "ada")
        places.keycloak.hang()
    with journey.step("Keywright starts again without it"):
        processes.stop(places.server)
        places.server = places.keywright.serve(journey.stack)
    olga = _local_sign_in(journey, places)
    _elsewhere(journey, places, "hangs")
    _door_to_nowhere(journey, places, "hangs", TIMEOUT)
    with journey.step("an app whose refreshes have to ask it waits no longer than its time-out"):
        # The background may be the first to ask; then the app waits for the same answer.
        longest = ada.longest_refresh(until=HALF + 6)
        journey.measured("of waiting for Keycloak, in vain", longest, TIMEOUT)
    places.keycloak.crash()
    _door_to_nowhere(journey, places, "has crashed", AT_ONCE)
    _run_out(journey, places, ada)
    _elsewhere(journey, places, "has crashed")
    with journey.step("and a person with a local account never noticed any of it"):
        assert olga.refresh()["sub"] == olga.sub
        olga.app.exchange(olga.browser.open(olga.app.authorization_url(prompt="none"), stop_at=CALLBACK))


def _run_out(journey, places, ada):
    so_far = len(places.receiver.told)
    with journey.step("ada is not disturbed as long as Keycloak's last word counts"):
        ends = ada.refreshes_until_refused(within=LEASE + SLACK)
        journey.measured("after Keycloak's last word, the app is refused", ada.age(), LEASE + SLACK)
        assert ada.most_age() >= LEASE and ends <= ada.at + LEASE, (ada.most_age(), ends - ada.at)
        ada.is_over()
    with journey.step("then her app is told"):
        wait_until(lambda: places.receiver.told[so_far:], within=SLACK)
        at, token = places.receiver.told[-1]
        journey.measured("after Keycloak's last word, the app is told", at - ada.at, LEASE + SLACK)
        assert ada.app.logout(token)["sid"] == ada.sid
    _on_record(journey, places, ada, "lease_run_out")


def _local_sign_in(journey, places):
    with journey.step("a local account signs in as ever, by a page that still offers all upstreams"):
        browser = Browser()
        page = browser.open(places.wiki.authorization_url())
        for slug in (*REALMS.values(), places.certified["slug"]):
            page.link_with(f"/upstream/{slug}/start")
        before = time.time()
        callback = sign_in_locally(browser, page, *OLGA, stop_at=CALLBACK)
        return Visit(places.wiki, browser, before, time.time(), places.wiki.exchange(callback))


def _elsewhere(journey, places, state):
    with journey.step(f"a sign-in at the other provider is as ever, while Keycloak {state}"):
        browser = Browser()
        choice = browser.open(places.wiki.authorization_url())
        page = browser.open(choice.link_with(f"/upstream/{places.certified['slug']}/start"))
        callback = go_through(browser, page, "grace", stop_at=CALLBACK)
        said = places.wiki.userinfo(places.wiki.exchange(callback))
        assert "sea-staff" in said["groups"], said


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
