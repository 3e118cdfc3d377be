"""People at the pages of Keywright in Chromium: signing up, signing in, their account and its end.

Each walk is walked with JavaScript and, where no passkey is involved, without. Every page on the way
is looked at with axe-core, narrow and wide, light and dark; no page that there is may be left out.
"""

import json
import re

import cache
import processes
from keywright import CLIENT_SECRET, Keywright, upstream

PASSWORD = "seven purple herons 41"
SCRIPTS = ["people.mjs", "people-accounts.mjs", "people-cast.mjs", "people-looks.mjs", "people-signing-in.mjs"]
BOTH = "on off"
WALKS = [
    ("signUp", BOTH, "sign-up, and the address confirmed by the mail"),
    ("signIn", BOTH, "signing in, and what goes wrong there"),
    ("secondStep", BOTH, "an authenticator app, codes for when it is lost, a device that is remembered"),
    ("enrolment", BOTH, "a second step that is set up while signing in"),
    ("recovery", BOTH, "getting back in by a mail"),
    ("invitation", BOTH, "an invitation, and becoming an administrator"),
    ("changes", BOTH, "another name, password and address"),
    ("belongings", BOTH, "apps, activity and data"),
    ("token", BOTH, "a personal access token"),
    ("sessions", BOTH, "sessions ended from another browser, and everywhere"),
    ("deletion", BOTH, "an account deleted, and kept after all"),
    ("passkeys", "on", "a passkey made, suggested at the sign-in, used by its button, and taken away"),
    ("passkeysWithout", "off", "what the pages of passkeys say without JavaScript"),
]


def walk(journey):
    keywright = Keywright(journey.binary, journey.folder)
    app = f"http://localhost:{processes.free_port()}"
    with journey.step("Keywright starts with accounts of its own"):
        given = prepare(keywright, app)
        keywright.serve(journey.stack)
    looked, pages = set(), 0
    for name, modes, text in WALKS:
        with journey.step(text):
            told = _walk(journey, keywright, app, given, name, modes)
            looked |= set(told["paths"])
            pages += told["pages"]
    with journey.step(f"{pages} pages were looked at, and among them one of every address that draws any"):
        _every_page(looked)


# Addresses at which nobody sees a page of their own, and why.
NO_PAGE = {
    "OPENID_CONFIGURATION": "for programs",
    "OAUTH_METADATA": "for programs",
    "JWKS": "for programs",
    "TOKEN": "for programs",
    "PAR": "for programs",
    "SESSION_TOKEN": "for programs",
    "API_DOCUMENT": "for programs",
    "PICTURE": "a picture",
    "USERINFO": "for programs",
    "INTROSPECT": "for programs",
    "REVOKE": "for programs",
    "UPSTREAM_BACKCHANNEL_LOGOUT": "for programs",
    "LIVEZ": "for programs",
    "READYZ": "for programs",
    "METRICS": "for programs",
    "ASSET": "style, script and icons",
    "UPSTREAM_FRONTCHANNEL_LOGOUT": "an empty frame",
    "UPSTREAM_SIGNED_OUT": "leads on to /logout",
    "PROVE": "leads on to /login",
    "END_SESSION_OF_MINE": "leads back to /account",
    "END_OTHER_SESSIONS_OF_MINE": "leads back to /account",
    "DISCONNECT_APP_OF_MINE": "leads back to /account/apps",
    "EXPORT": "a file",
    "REVOKE_TOKEN_OF_MINE": "leads back to /account/tokens",
    "REMOVE_MY_PASSWORD": "takes an upstream that answers; the same page as after a change",
    "UNLINK": "leads back to /account",
    "CONNECT": "takes an upstream that answers; the form of /recovery/code",
}


def _every_page(looked):
    """Fails if an address that draws pages was never looked at, or the list above is not of this day."""
    urls = (cache.CHECKOUT / "src/urls.rs").read_text()
    paths = dict(re.findall(r'pub const (\w+): &str = "(/[^"]*)";', urls))
    assert len(paths) > 40 and set(NO_PAGE) <= set(paths), set(NO_PAGE) - set(paths)
    missed = {
        path
        for name, path in paths.items()
        if name not in NO_PAGE
        and not any(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), one) for one in looked)
    }
    assert not missed, f"never looked at: {', '.join(sorted(missed))}"


def prepare(keywright, app):
    """Configures Keywright and makes what the walks begin with."""
    keywright.configure(
        clients=[
            {
                "id": "notes",
                "name": "Notes",
                "secret": CLIENT_SECRET,
                "redirect_uris": [f"{app}/callback"],
                "scopes": ["openid", "profile", "notes:read"],
                "allowed_upstreams": ["local"],
            },
        ],
        # Nothing listens there: what the pages say about it is looked at.
        upstreams=[upstream("elsewhere", "Elsewhere", "http://localhost:1", "keywright", "a secret of ours")],
        mail={"sink": "page"},
        signup={"local": "open"},
        second_factors={"required_for_groups": ["guarded"]},
        rate_limits={"sign_in_per_minute": 1000, "sign_up_per_hour": 1000, "recovery_per_hour": 1000},
    )
    keywright.add_user("known", PASSWORD)
    return {"known": "known", "on": _given(keywright, "guard"), "off": _given(keywright, "guard-plain")}


def _given(keywright, guarded):
    """What can be used once, for one way of walking."""
    add = ("user", "add", guarded, "--group", "guarded", "--password-stdin")
    keywright.run(*add, given=PASSWORD + "\n")
    invitation = keywright.run("invite", "create", "--group", "visitors", "--json")
    administration = keywright.run("admin", "link", "--json")
    return {
        "guarded": guarded,
        "invitation": json.loads(invitation)["link"],
        "administration": json.loads(administration)["link"],
    }


def _walk(journey, keywright, app, given, name, modes):
    script, *_ = [cache.node_script(script) for script in SCRIPTS]
    told = processes.run(
        [cache.node(), script],
        timeout=300,
        environment={
            "WALK": name,
            "MODES": modes,
            "ISSUER": keywright.issuer,
            "MAIL": f"http://localhost:{keywright.management_port}/mail",
            "APP": app,
            "APP_SECRET": CLIENT_SECRET,
            "PICTURES": str(journey.folder),
            "GIVEN": json.dumps(given),
        },
    )
    return json.loads(told)
