"""A certified provider set up the way Authentik is, with the shortest lease: whoever is gone there is
gone here, in time; signing out goes both ways; new keys go unnoticed, and so does its end elsewhere.
"""

import json
import time
import urllib.request

import cache
import processes
from browser import Browser
from journeys.lease import HALF, LEASE, SLACK, Visit
from journeys.oidc_provider import go_through, provider_settings, start_provider
from keywright import CALLBACK, SIGNED_OUT, Keywright, client, sign_in_locally, upstream
from keywright import CLIENT_SECRET as APP_SECRET
from processes import wait_until
from receiver import Receiver
from relying_party import RelyingParty

SLUG = "authentik"
SECRET = "made by Authentik & copied by hand"
PATH = "/application/o/keywright/"
OLGA = ("olga", "a long enough password")


def walk(journey):
    with journey.step("both providers and Keywright start"):
        places = Places(journey)
    with journey.step("people sign in; their subjects are hashes, and no address of theirs is verified"):
        grace, linus = places.sign_in(places.wiki, "grace"), places.sign_in(places.told, "linus")
        said = grace.app.userinfo(grace.tokens)
        assert said["preferred_username"] == "grace" and sorted(said["groups"]) == ["navy", "staff"], said
        assert said["email"] == "grace@example.org" and said["email_verified"] is False, said
        assert sorted([len(subject) for subject in places.subjects()]) == [64, 64], places.subjects()
    with journey.step("there, grace leaves a group, linus is disabled, and the keys change"):
        keys = [places.administer(do="rotate")["signs_with"] for _ in range(2)]
        assert keys[0] != keys[1], keys
        places.administer(do="leave", person="grace", group="navy")
        places.administer(do="disable", person="linus")
        grace.changed_at = linus.changed_at = time.time()
    _confirmed(journey, places, grace, linus)
    _out_there(journey, places)
    _out_here(journey, places)
    _stopped(journey, places, grace)


class Places:
    """Where the journey goes: the provider, another one, Keywright and its two apps."""

    def __init__(self, journey):
        self.keywright = Keywright(journey.binary, journey.folder)
        self.receiver = Receiver(journey.stack)
        port = processes.free_port()
        self.address = f"http://localhost:{port}"
        issuer = self.address + PATH
        self.process = processes.start(
            journey.stack,
            [cache.node(), cache.node_script("authentik-way.mjs")],
            log=journey.folder / "authentik-way.log",
            ready=f"{issuer}.well-known/openid-configuration",
            environment={
                "PORT": str(port),
                "CLIENT_SECRET": SECRET,
                "KEYWRIGHT": self.keywright.issuer,
                "SLUG": SLUG,
            },
        )
        certified = provider_settings(start_provider(journey, self.keywright.issuer))
        told = client("told", backchannel_logout_uri=self.receiver.address)
        self.keywright.configure(clients=[client("wiki"), told], upstreams=[_settings(issuer), certified])
        self.keywright.add_user(*OLGA)
        self.keywright.serve(journey.stack)
        issuer = self.keywright.issuer
        self.wiki, self.told = (RelyingParty(issuer, app, APP_SECRET, CALLBACK) for app in ("wiki", "told"))

    def administer(self, **what):
        """Has the provider's administrator do something."""
        request = urllib.request.Request(f"{self.address}/administration", json.dumps(what).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def subjects(self):
        """The names that the provider has for people, as they are kept here."""
        return self.keywright.subjects(SLUG)

    def sessions_told(self):
        """Of the ends of which sessions the app has been told, and when."""
        return {self.told.logout(token)["sid"]: at for at, token in self.receiver.told}

    def sign_in(self, app, person, browser=None, slug=SLUG):
        """Signs somebody in at an app, by the provider's login and consent pages."""
        browser = browser or Browser()
        page = self.login_page(browser, app, slug)
        before = time.time()
        callback = go_through(browser, page, person, stop_at=CALLBACK)
        return Visit(app, browser, before, time.time(), app.exchange(callback))

    def login_page(self, browser, app, slug=SLUG):
        """What the provider shows to whom an app sends there."""
        page = browser.open(app.authorization_url())
        return browser.open(page.link_with(f"/upstream/{slug}/start"))


def _settings(issuer):
    # Typed without its slash, which is found out. This provider gives refresh tokens only to whom
    # it has just asked, which Authentik does not need.
    return upstream(
        SLUG,
        "Authentik",
        issuer.removesuffix("/"),
        "keywright",
        SECRET,
        preset="authentik",
        prompt="consent",
        scopes=["openid", "profile", "email", "offline_access"],
        groups={"claim": "groups"},
        max_staleness=f"{LEASE}s",
        logout="always",
    )


def _out_there(journey, places):
    with journey.step("margaret signs in by the new key, and signs out there"):
        margaret = places.sign_in(places.told, "margaret")
        page = margaret.browser.open(f"{places.address}{PATH}end-session/")
        left_at = time.time()
        margaret.browser.submit(page, page.form_with("xsrf"), {"logout": "yes"})
    with journey.step("so her session here is over, and her app is told"):
        wait_until(lambda: margaret.sid in places.sessions_told(), within=SLACK)
        told_at = places.sessions_told()[margaret.sid]
        journey.measured("from her signing out there, the app is told", told_at - left_at, SLACK)
        margaret.is_over()


def _out_here(journey, places):
    with journey.step("when she signs out here, the provider asks, and sends her back to the app"):
        margaret = places.sign_in(places.wiki, "margaret")
        browser = margaret.browser
        url = margaret.app.logout_url(margaret.tokens, post_logout_redirect_uri=SIGNED_OUT, state="bye")
        page = browser.open(url)
        assert page.url.startswith(places.address + PATH), page
        form = page.form_with("xsrf")
        assert browser.submit(page, form, {"logout": "yes"}, stop_at=SIGNED_OUT) == f"{SIGNED_OUT}?state=bye"
        margaret.is_over()
    with journey.step("and the next time it wants to know who she is"):
        places.login_page(browser, places.wiki).form_with("login", "password")


def _confirmed(journey, places, grace, linus):
    with journey.step("from half of the lease on, a refresh has her without the group"):
        wait_until(lambda: grace.refresh()["groups"] == ["staff"], within=HALF + SLACK, every=1)
        gone = time.time() - grace.changed_at
        journey.measured("after grace left the group, it is gone", gone, HALF + SLACK)
        assert grace.ends() > grace.at + LEASE, "the lease was not renewed"
    with journey.step("linus has no token any more"):
        ends = linus.refreshes_until_refused(within=HALF + SLACK)
        journey.measured("after linus was disabled, his app is refused", time.time() - linus.changed_at, LEASE)
        assert ends <= linus.changed_at + LEASE, f"a token lives for {ends - linus.changed_at} s more"
        linus.is_over()
        assert places.keywright.lost_leases(linus.sid) == ["upstream_refresh_refused"]
    with journey.step("and his app is told"):
        wait_until(lambda: linus.sid in places.sessions_told(), within=SLACK)


def _stopped(journey, places, grace):
    with journey.step("the provider stops, and who is in stays in, for as long as its last word counts"):
        processes.stop(places.process)
        assert grace.refresh()["sub"] == grace.sub
    with journey.step("without the provider, the other one and local accounts are as ever"):
        places.sign_in(places.wiki, "grace", slug="certified")
        browser = Browser()
        page = browser.open(places.wiki.authorization_url())
        places.wiki.exchange(sign_in_locally(browser, page, *OLGA, stop_at=CALLBACK))
