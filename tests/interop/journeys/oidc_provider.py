"""The certified npm package oidc-provider as the only upstream: /authorize leads straight to it."""

import cache
import processes
from browser import Browser
from keywright import CALLBACK, SIGNED_OUT, Keywright, client, upstream
from keywright import CLIENT_SECRET as APP_SECRET
from relying_party import RelyingParty

SECRET = "between npm and Keywright: +/ %25 &="


def walk(journey):
    keywright = Keywright(journey.binary, journey.folder)
    with journey.step("oidc-provider and Keywright start"):
        issuer = start_provider(journey, keywright.issuer)
        keywright.configure(clients=[client("wiki")], upstreams=[provider_settings(issuer)])
        keywright.serve(journey.stack)
    wiki = RelyingParty(keywright.issuer, "wiki", APP_SECRET, CALLBACK)
    browser = Browser()

    with journey.step("the app leads straight to oidc-provider, and from there back with a code"):
        tokens = wiki.exchange(sign_in(browser, wiki, "grace"))
    with journey.step("what only its UserInfo says is in our ID token and in our UserInfo"):
        for claims in (wiki.identity(tokens), wiki.userinfo(tokens)):
            assert claims["preferred_username"] == "grace", claims
            assert claims["email"] == "grace@example.org" and claims["email_verified"] is True, claims
            assert sorted(claims["groups"]) == ["sea-navy", "sea-staff"], claims
    with journey.step("a refresh works"):
        tokens.update(wiki.refresh(tokens))
        assert wiki.userinfo(tokens)["preferred_username"] == "grace"
    with journey.step("a second sign-in is silent"):
        wiki.exchange(browser.open(wiki.authorization_url(), stop_at=wiki.redirect_uri))
    with journey.step("somebody without an address gets none, and no word on its verification"):
        claims = wiki.userinfo(wiki.exchange(sign_in(Browser(), wiki, "linus")))
        assert claims["name"] == "Linus", claims
        assert "email" not in claims and "email_verified" not in claims, claims
    with journey.step("somebody who turns back at oidc-provider gets a page that explains itself"):
        other = Browser()
        page = other.open(wiki.authorization_url())
        page = other.open(page.link_with("/abort"))
        assert page.url.startswith(keywright.issuer) and 400 <= page.status < 500, page
        assert "Certified" in page.text, page
    with journey.step("signing out ends the session"):
        url = wiki.logout_url(tokens, post_logout_redirect_uri=SIGNED_OUT)
        assert browser.open(url, stop_at=SIGNED_OUT) == SIGNED_OUT
        page = browser.open(wiki.authorization_url(prompt="none"), stop_at=wiki.redirect_uri)
        assert wiki.answer(page).get("error") == "login_required", page


def start_provider(journey, keywright_issuer):
    """Starts oidc-provider for one Keywright; returns its issuer."""
    port = processes.free_port()
    issuer = f"http://localhost:{port}"
    processes.start(
        journey.stack,
        [cache.node(), cache.node_script("oidc-provider.mjs")],
        log=journey.folder / "oidc-provider.log",
        ready=f"{issuer}/.well-known/openid-configuration",
        environment={
            "PORT": str(port),
            "CLIENT_SECRET": SECRET,
            "REDIRECT_URI": f"{keywright_issuer}/upstream/certified/callback",
        },
    )
    return issuer


def provider_settings(issuer):
    """The upstream's table for it."""
    return upstream(
        "certified",
        "Certified",
        issuer,
        "keywright",
        SECRET,
        scopes=["openid", "profile", "email", "groups"],
        groups={"claim": "groups", "prefix": "sea-"},
    )


def sign_in(browser, relying_party, username):
    """Walks from the app through oidc-provider's login and consent pages to the app's callback."""
    page = browser.open(relying_party.authorization_url())
    return go_through(browser, page, username, stop_at=relying_party.redirect_uri)


def go_through(browser, page, username, stop_at):
    """Fills in oidc-provider's login page, and agrees on the one after it."""
    login = page.form_with("login", "password")
    page = browser.submit(page, login, {"login": username, "password": "anything"})
    consent = page.form_with("prompt")
    assert consent.fields["prompt"] == "consent", page
    return browser.submit(page, consent, stop_at=stop_at)
