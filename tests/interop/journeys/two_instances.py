"""Two instances on one PostgreSQL and one Redis, behind a proxy: nobody can tell which answers."""

import subprocess

import jwt

import cache
import processes
from browser import Browser
from journeys.oidc_provider import provider_settings, sign_in, start_provider
from keywright import CALLBACK, CLIENT_SECRET, Keywright, client
from processes import wait_until
from proxy import Proxy
from relying_party import RelyingParty


def walk(journey):
    proxy = Proxy(journey.stack)
    with journey.step("PostgreSQL, Redis and two instances start"):
        environment = _services(journey)
        provider = start_provider(journey, proxy.address)
        instances = [_instance(journey, proxy, provider, environment, name) for name in ("one", "two")]
        proxy.backends = [instance.port for instance in instances]
    wiki = RelyingParty(proxy.address, "wiki", CLIENT_SECRET, CALLBACK)

    with journey.step("both publish the same keys, and sign with them"):
        published = [_kids(wiki, instance) for instance in instances]
        assert published[0] == published[1] and len(published[0]) >= 3, published
    with journey.step("a sign-in begun on one ends on the other"):
        tokens = _sign_in_across(proxy, wiki)
    with journey.step("the code of one is exchanged, its tokens used and refreshed on the other"):
        _use_across(proxy, wiki, tokens)
    with journey.step("a code is good once, whichever instance it is shown to"):
        _replay(proxy, wiki)
    with journey.step("a whole sign-in works with every request on the other instance"):
        proxy.chosen = None
        proxy.served.clear()
        assert wiki.identity(wiki.exchange(sign_in(Browser(), wiki, "grace")))["name"] == "Grace Hopper"
        assert {0, 1} <= set(proxy.served), proxy.served
    with journey.step("a key thrown away on one is gone from both, and its successor signs on both"):
        _drop(proxy, wiki, instances)


def _services(journey):
    """Holds a throw-away PostgreSQL and Redis until the journey ends."""
    holder = processes.start(
        journey.stack,
        [cache.CHECKOUT / "tests/setup/services.sh", "sh", "-c",
         'echo "$TEST_DATABASE_URL"; echo "$TEST_REDIS_URL"; exec cat'],
        log=journey.folder / "services.log",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    database, redis = holder.stdout.readline().strip(), holder.stdout.readline().strip()
    assert database and redis, processes.tail(journey.folder / "services.log")
    return {"DATABASE_URL": database, "REDIS_URL": redis}


def _instance(journey, proxy, provider, environment, name):
    instance = Keywright(journey.binary, journey.folder, name, issuer=proxy.address)
    instance.configure(
        clients=[client("wiki")],
        upstreams=[provider_settings(provider)],
        environment=environment,
        server={"instances": 2},
    )
    instance.serve(journey.stack)
    return instance


def _kids(wiki, instance):
    keys = wiki.get_json(f"http://127.0.0.1:{instance.port}/.well-known/jwks.json")["keys"]
    return {key["kid"] for key in keys}


def _sign_in_across(proxy, wiki):
    browser = Browser()
    proxy.chosen = 0
    page = browser.open(wiki.authorization_url())
    page = browser.submit(page, page.form_with("login"), {"login": "grace", "password": "anything"})
    # The person is at the provider now; everything from the callback on is the other instance's.
    proxy.chosen = 1
    callback = browser.submit(page, page.form_with("prompt"), stop_at=wiki.redirect_uri)
    proxy.chosen = 0
    tokens = wiki.exchange(callback)
    assert wiki.identity(tokens)["preferred_username"] == "grace"
    return tokens


def _use_across(proxy, wiki, tokens):
    proxy.chosen = 1
    assert wiki.userinfo(tokens)["preferred_username"] == "grace"
    tokens = wiki.refresh(tokens)
    proxy.chosen = 0
    assert wiki.userinfo(tokens)["preferred_username"] == "grace"
    wiki.refresh(tokens)
    own = []
    for proxy.chosen in (0, 1):
        own.append(wiki.token(grant_type="client_credentials")["access_token"])
    for proxy.chosen in (1, 0):
        assert wiki.claims(own[1 - proxy.chosen], "ES256")["sub"] == "wiki"


def _replay(proxy, wiki):
    proxy.chosen = 0
    callback = sign_in(Browser(), wiki, "grace")
    tokens = wiki.exchange(callback)
    proxy.chosen = 1
    # Without the verifier a replay is a guess: refused, and no weapon against the first tokens.
    assert wiki.exchange(callback, expect=400, verifier="x" * 43)["error"] == "invalid_grant"
    tokens = wiki.refresh(tokens)
    # With everything that belongs to the code, it ends all that came of it (RFC 6749 §4.1.2).
    assert wiki.exchange(callback, expect=400)["error"] == "invalid_grant"
    proxy.chosen = 0
    last = tokens["refresh_token"]
    refused = wiki.token(expect=400, grant_type="refresh_token", refresh_token=last)
    assert refused["error"] == "invalid_grant", refused


def _drop(proxy, wiki, instances):
    proxy.chosen = 1
    own = wiki.token(grant_type="client_credentials")["access_token"]
    dropped = jwt.get_unverified_header(own)["kid"]
    instances[0].run("key", "drop", dropped)
    wait_until(lambda: all(dropped not in _kids(wiki, instance) for instance in instances))
    published = [_kids(wiki, instance) for instance in instances]
    assert published[0] == published[1], published
    latecomer = RelyingParty(proxy.address, "wiki", CLIENT_SECRET, CALLBACK)
    for proxy.chosen in (0, 1):
        own = wiki.token(grant_type="client_credentials")["access_token"]
        assert jwt.get_unverified_header(own)["kid"] != dropped
        assert latecomer.claims(own, "ES256")["sub"] == "wiki"
