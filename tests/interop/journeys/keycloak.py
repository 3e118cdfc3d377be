"""Keycloak as the upstream: its login form, its consent page, its groups, its word on addresses, and
signing out both ways."""

import re
import time

from browser import Browser
from keycloak import CLIENT_SECRET, Keycloak
from keywright import CALLBACK, SIGNED_OUT, Keywright, client, upstream
from keywright import CLIENT_SECRET as APP_SECRET
from processes import wait_until
from receiver import Receiver
from relying_party import RelyingParty

# The background delivers what apps are told every second; the rest is for a slow machine.
LOGOUT_WITHIN = 15


def walk(journey):
    keywright = Keywright(journey.binary, journey.folder)
    with journey.step("Keycloak starts with its realm"):
        keycloak = Keycloak(journey.stack, journey.folder, keywright.issuer, realms={"staff": "corp"})
    with journey.step("Keywright starts with three upstreams there"):
        receiver = Receiver(journey.stack)
        told = client("told", backchannel_logout_uri=receiver.address)
        clients = [client("wiki"), client("chat"), told]
        keywright.configure(clients=clients, upstreams=_upstreams(keycloak))
        keywright.serve(journey.stack)
    wiki = RelyingParty(keywright.issuer, "wiki", APP_SECRET, CALLBACK)
    chat = RelyingParty(keywright.issuer, "chat", APP_SECRET, CALLBACK)
    browser = Browser()

    tokens = _first_sign_in(journey, browser, wiki)
    _tokens_in_use(journey, wiki, tokens)
    _again(journey, browser, keycloak, wiki, chat, tokens)
    _other_people(journey, wiki)
    _cancelled(journey, keywright, wiki)
    _sign_out(journey, browser, wiki, tokens)
    told = RelyingParty(keywright.issuer, "told", APP_SECRET, CALLBACK)
    _out_there(journey, keycloak, told, receiver)
    _out_here(journey, keycloak, told, receiver)


def _upstreams(keycloak):
    shared = {"preset": "keycloak", "scopes": ["openid", "profile", "email"], "groups": {"claim": "groups"}}
    return [
        # The slash at the end is a common slip, and must be found out.
        upstream("corp", "Corporate", keycloak.issuer("staff") + "/", "keywright", CLIENT_SECRET, **shared),
        upstream("asking", "Asking first", keycloak.issuer("staff"), "keywright-asking", CLIENT_SECRET, **shared),
        upstream("leaving", "Leaving", keycloak.issuer("staff"), "keywright-leaving", CLIENT_SECRET,
                 logout="always", **shared),
    ]


def _to_keycloak(browser, relying_party, slug="corp", stop_at=None):
    choice = browser.open(relying_party.authorization_url())
    return browser.open(choice.link_with(f"/upstream/{slug}/start"), stop_at=stop_at)


def _first_sign_in(journey, browser, wiki):
    with journey.step("the sign-in page leads to Keycloak's"):
        page = _to_keycloak(browser, wiki)
        assert "/realms/staff/" in page.url, page
    with journey.step("a wrong password stays at Keycloak"):
        page = Keycloak.sign_in(browser, page, "ada", "wrong")
        assert "Invalid username or password" in page.text, page
    with journey.step("the right one ends at the app, with a code that becomes tokens"):
        callback = Keycloak.sign_in(browser, page, "ada", "ada-at-keycloak", stop_at=wiki.redirect_uri)
        tokens = wiki.exchange(callback)
        assert tokens["token_type"].lower() == "bearer" and tokens["refresh_token"], tokens.keys()
    with journey.step("the ID token says what Keycloak said"):
        _expect_ada(wiki.identity(tokens))
    return tokens


def _expect_ada(claims):
    assert claims["preferred_username"] == "ada", claims
    assert claims["name"] == "Ada Lovelace", claims
    assert claims["email"] == "ada@example.org" and claims["email_verified"] is True, claims
    assert sorted(claims["groups"]) == ["admins", "staff"], claims


def _tokens_in_use(journey, wiki, tokens):
    with journey.step("UserInfo says the same"):
        said = wiki.userinfo(tokens)
        _expect_ada(said)
        assert said["sub"] == wiki.claims(tokens["id_token"], "RS256")["sub"]
    with journey.step("a refresh gives new tokens for the same person, and another refresh token"):
        fresh = wiki.refresh(tokens)
        assert fresh["refresh_token"] != tokens["refresh_token"]
        assert wiki.claims(fresh["access_token"], "ES256")["sub"] == wiki.userinfo(fresh)["sub"]
        tokens.update(fresh)


def _again(journey, browser, keycloak, wiki, chat, tokens):
    with journey.step("a second app signs her in without a page and without Keycloak"):
        browser.visited.clear()
        second = chat.exchange(browser.open(chat.authorization_url(), stop_at=chat.redirect_uri))
        assert chat.identity(second)["sub"] == wiki.claims(tokens["id_token"])["sub"]
        assert not any(url.startswith(keycloak.address) for url in browser.visited), browser.visited
    with journey.step("without a session here, Keycloak's own signs her in to the same account"):
        stranger = Browser()
        page = _to_keycloak(stranger, wiki)
        Keycloak.sign_in(stranger, page, "ada", "ada-at-keycloak", stop_at=wiki.redirect_uri)
        stranger.forget("kw-")
        third = wiki.exchange(_to_keycloak(stranger, wiki, stop_at=wiki.redirect_uri))
        assert wiki.identity(third)["sub"] == wiki.claims(tokens["id_token"])["sub"]


def _other_people(journey, wiki):
    with journey.step("an address that Keycloak has not verified is not verified here"):
        browser = Browser()
        page = _to_keycloak(browser, wiki)
        callback = Keycloak.sign_in(browser, page, "bob", "bob-at-keycloak", stop_at=wiki.redirect_uri)
        claims = wiki.identity(wiki.exchange(callback))
        assert claims["email"] == "bob@example.org" and claims["email_verified"] is False, claims
        assert claims["groups"] == ["staff"], claims
    with journey.step("a person disabled at Keycloak gets no further than Keycloak"):
        browser = Browser()
        page = Keycloak.sign_in(browser, _to_keycloak(browser, wiki), "eve", "eve-at-keycloak")
        assert "Account is disabled" in page.text and "/realms/staff/" in page.url, page


def _cancelled(journey, keywright, wiki):
    with journey.step("a person who refuses at Keycloak gets a page that explains itself"):
        browser = Browser()
        page = _to_keycloak(browser, wiki, slug="asking")
        page = Keycloak.sign_in(browser, page, "ada", "ada-at-keycloak")
        consent = page.form_with("code")
        page = browser.submit(page, consent, button="cancel")
        assert page.url.startswith(keywright.issuer), page
        assert 400 <= page.status < 500 and "Asking first" in page.text, page
    with journey.step("and the id on that page leads to the story"):
        story = keywright.run("trace", trace_id(page))
        assert "access_denied" in story, story


def trace_id(page):
    found = re.search(r"\btrace: (\S+)", page.text)
    assert found, f"no id at {page}"
    return found.group(1)


def _sign_out(journey, browser, wiki, tokens):
    with journey.step("signing out ends the session here and returns to the app"):
        url = wiki.logout_url(tokens, post_logout_redirect_uri=SIGNED_OUT, state="bye")
        assert browser.open(url, stop_at=SIGNED_OUT) == f"{SIGNED_OUT}?state=bye"
        answer = wiki.answer(browser.open(wiki.authorization_url(prompt="none"), stop_at=wiki.redirect_uri))
        assert answer.get("error") == "login_required", answer


def _enter(told):
    """Signs ada in where signing out goes both ways; her browser, her tokens and the session."""
    browser = Browser()
    page = _to_keycloak(browser, told, slug="leaving")
    tokens = told.exchange(Keycloak.sign_in(browser, page, "ada", "ada-at-keycloak", stop_at=told.redirect_uri))
    return browser, tokens, told.identity(tokens)["sid"]


def _is_over(told, browser, tokens, receiver, sid):
    """The app is told, and nothing of the session is left; when it was told."""
    def told_of():
        return [at for at, token in receiver.told if told.logout(token)["sid"] == sid]

    wait_until(told_of, within=LOGOUT_WITHIN)
    refused = told.token(expect=400, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refused["error"] == "invalid_grant", refused
    assert not told.is_active(tokens["access_token"]), "its access token is still active"
    answer = told.answer(browser.open(told.authorization_url(prompt="none"), stop_at=told.redirect_uri))
    assert answer.get("error") == "login_required", answer
    return told_of()[0]


def _out_there(journey, keycloak, told, receiver):
    with journey.step("ada signs in, and signs out at Keycloak itself"):
        browser, tokens, sid = _enter(told)
        bystander = _enter(told)
        page = browser.open(keycloak.issuer("staff") + "/protocol/openid-connect/logout")
        left_at = time.time()
        browser.submit(page, page.form_with("session_code"))
    with journey.step("Keycloak says so: her session here is over, and the app is told"):
        told_at = _is_over(told, browser, tokens, receiver, sid)
        journey.measured("from her signing out there, the app is told", told_at - left_at, LOGOUT_WITHIN)
    with journey.step("her session in another browser goes on"):
        elsewhere, others, other_sid = bystander
        assert told.refresh(others)["access_token"] and other_sid != sid
        told.exchange(elsewhere.open(told.authorization_url(prompt="none"), stop_at=told.redirect_uri))


def _out_here(journey, keycloak, told, receiver):
    with journey.step("when she signs out here, that leads through Keycloak and back to the app"):
        browser, tokens, sid = _enter(told)
        browser.visited.clear()
        url = told.logout_url(tokens, post_logout_redirect_uri=SIGNED_OUT, state="bye")
        assert browser.open(url, stop_at=SIGNED_OUT) == f"{SIGNED_OUT}?state=bye"
        assert any(url.startswith(keycloak.address) for url in browser.visited), browser.visited
        _is_over(told, browser, tokens, receiver, sid)
    with journey.step("so that Keycloak asks for the password the next time"):
        _to_keycloak(browser, told, slug="leaving").form_with("username", "password")
