"""An app that signs people in through Keywright, written against the specifications alone."""

import base64
import hashlib
import http.client
import json
import secrets
import urllib.parse

import jwt

SCOPE = "openid profile email groups offline_access"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class RelyingParty:
    """One downstream client of one Keywright. Its redirect URI is never really visited."""

    def __init__(self, issuer, client_id, secret, redirect_uri="http://localhost:1/callback", scope=SCOPE):
        self.issuer, self.client_id, self.secret = issuer, client_id, secret
        self.redirect_uri, self.scope = redirect_uri, scope
        self.metadata = self.get_json(f"{issuer}/.well-known/openid-configuration")
        assert self.metadata["issuer"] == issuer, self.metadata["issuer"]
        self.keys = jwt.PyJWKClient(self.metadata["jwks_uri"])
        self._state = self._nonce = self._verifier = None

    def authorization_url(self, **more):
        """A new authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3)."""
        self._state, self._nonce, self._verifier = (secrets.token_urlsafe(32) for _ in range(3))
        digest = hashlib.sha256(self._verifier.encode()).digest()
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": self._state,
            "nonce": self._nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            **more,
        }
        return self.metadata["authorization_endpoint"] + "?" + urllib.parse.urlencode(parameters)

    def answer(self, callback):
        """The parameters that came back, after the checks of RFC 6749 §4.1.2 and RFC 9207 §2.4."""
        assert callback.startswith(self.redirect_uri + "?"), callback
        given = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(callback).query))
        assert given.get("state") == self._state, "state differs"
        assert given.get("iss") == self.issuer, f"iss is {given.get('iss')}"
        return given

    def exchange(self, callback, expect=200, verifier=None):
        """Exchanges the code in a callback address for tokens (RFC 6749 §4.1.3)."""
        given = self.answer(callback)
        assert "code" in given, given
        return self.token(
            expect,
            grant_type="authorization_code",
            code=given["code"],
            redirect_uri=self.redirect_uri,
            code_verifier=verifier or self._verifier,
        )

    def refresh(self, tokens):
        """Uses a refresh token (RFC 6749 §6)."""
        return self.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    def token(self, expect=200, **parameters):
        """Asks the token endpoint, authenticated with `client_secret_basic`."""
        status, body = self.ask_for_tokens(**parameters)
        told = body.get("error", "tokens")
        assert status == expect, f"the token endpoint answered {status} with {told}, not {expect}"
        return body

    def ask_for_tokens(self, **parameters):
        """The status and the answer of the token endpoint, whatever they are."""
        return self._post(self.metadata["token_endpoint"], parameters)

    def claims(self, token, algorithm=None, over=False):
        """The claims of an ID token or access token whose signature the JWKS confirms.

        The token may be `over`.
        """
        header = jwt.get_unverified_header(token)
        if algorithm:
            assert header["alg"] == algorithm, f"signed with {header['alg']}, not {algorithm}"
        key = self.keys.get_signing_key_from_jwt(token)
        return jwt.decode(
            token,
            key,
            algorithms=[header["alg"]],
            audience=self.client_id,
            issuer=self.issuer,
            options={"require": ["exp", "iat", "iss", "sub", "aud"], "verify_exp": not over},
        )

    def identity(self, tokens):
        """The claims of the ID token just received; its nonce must be ours (OIDC Core §3.1.3.7)."""
        claims = self.claims(tokens["id_token"])
        assert claims.get("nonce") == self._nonce, "nonce differs"
        return claims

    def logout(self, token):
        """The claims of a logout token, after the checks of OIDC Back-Channel Logout §2.6."""
        assert jwt.get_unverified_header(token)["typ"] == "logout+jwt", jwt.get_unverified_header(token)
        claims = self.claims(token)
        assert claims["events"] == {LOGOUT_EVENT: {}} and "nonce" not in claims, claims
        assert claims["iat"] < claims["exp"] <= claims["iat"] + 120 and claims["jti"], claims
        return claims

    def is_active(self, token):
        """Whether introspection says that a token is good (RFC 7662 §2.2)."""
        status, body = self._post(self.metadata["introspection_endpoint"], {"token": token})
        assert status == 200, f"introspection answered {status}"
        return body["active"]

    def userinfo(self, tokens):
        """What UserInfo says about the person (OIDC Core §5.3)."""
        return self.get_json(self.metadata["userinfo_endpoint"], tokens["access_token"])

    def logout_url(self, tokens, **more):
        """Where to send the person to sign out (OIDC RP-Initiated Logout §2)."""
        parameters = {"id_token_hint": tokens["id_token"], **more}
        return self.metadata["end_session_endpoint"] + "?" + urllib.parse.urlencode(parameters)

    def get_json(self, url, bearer=None):
        """Fetches a JSON document."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        status, body = _ask("GET", url, None, headers)
        assert status == 200, f"{url} answered {status}: {body[:300]}"
        return json.loads(body)

    def _post(self, url, parameters):
        # The credentials are form-encoded before they are joined (RFC 6749 §2.3.1).
        pair = ":".join(urllib.parse.quote_plus(part) for part in (self.client_id, self.secret))
        headers = {
            "Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        status, body = _ask("POST", url, urllib.parse.urlencode(parameters), headers)
        return status, json.loads(body) if body else {}


def _ask(method, url, body, headers):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
