//! The requests of apps, and what their answers say.

use crate::{
    house::Site,
    keys::subject_of,
    ledger::{Access, Family, Standing},
    wire::{self, APPS, Answer, App, Deed, broken, encode, post_as},
};

/// The PKCE verifier of every flow: no house sees it before the code is redeemed, so one is enough.
const VERIFIER: &str = "endurance-verifier-0123456789-0123456789-0123456789";

/// An authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3).
pub(crate) fn authorize_path(app: &App) -> String {
    let challenge = keywright::protocol::pkce::CodeChallenge::of(VERIFIER);
    let query = encode(&[
        ("response_type", "code"),
        ("client_id", app.id),
        ("redirect_uri", &app.callback()),
        ("scope", "openid profile offline_access"),
        ("state", "state-of-the-endurance-run"),
        ("nonce", "nonce-of-the-endurance-run"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ]);
    format!("/authorize?{query}")
}

/// An app redeems a code (RFC 6749 §4.1.3).
pub(crate) fn redeem(site: &Site, app: &App, code: &str) -> Deed<Answer> {
    let callback = app.callback();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &callback),
        ("code_verifier", VERIFIER),
    ];
    post_as(site.port, app, "/token", &form)
}

/// An app uses a refresh token (RFC 6749 §6).
pub(crate) fn refresh(site: &Site, app: &App, token: &str) -> Deed<Answer> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    post_as(site.port, app, "/token", &form)
}

/// What an app with a secret is told about a token (RFC 7662 §2).
pub(crate) fn introspect(site: &Site, token: &str) -> Deed<Answer> {
    let answer = post_as(site.port, &APPS[0], "/introspect", &[("token", token)])?;
    answer.expect("introspection", &[200])
}

/// Whether an access token is worth something.
pub(crate) fn is_good(site: &Site, token: &str) -> Deed<bool> {
    let answer = wire::get_as_bearer(site.port, "/userinfo", token)?;
    Ok(answer.expect("userinfo", &[200, 401])?.status == 200)
}

/// The family that a code has become.
pub(crate) fn family_of(
    site: &Site,
    app: &'static App,
    session: u64,
    code: String,
    answer: &Answer,
) -> Deed<Family> {
    let mut family = Family {
        app,
        session,
        code,
        tokens: Vec::new(),
        access: Vec::new(),
        standing: Standing::Good,
        issued_at: site.now(),
        rotating_since: None,
        subject: String::new(),
    };
    take_answer(site, &mut family, answer)?;
    Ok(family)
}

/// What a family gets at the token endpoint. A token whose key nobody could know breaks a promise.
pub(crate) fn take_answer(site: &Site, family: &mut Family, answer: &Answer) -> Deed<()> {
    let named = ["access_token", "refresh_token", "id_token"].map(|name| answer.text(name));
    let [Some(access), Some(refresh), id] = named else {
        return Err(answer.unexpected("an answer without tokens"));
    };
    let expires_at = site.keys.note(site.port, &access, family.app.algorithms.0)?;
    if family.subject.is_empty() {
        family.subject = subject_of(&access);
    }
    let mut subjects = vec![subject_of(&access)];
    if let Some(id) = id {
        site.keys.note(site.port, &id, family.app.algorithms.1)?;
        subjects.push(subject_of(&id));
    }
    if subjects.iter().any(|subject| *subject != family.subject || subject.is_empty()) {
        return broken(format!("tokens of {} are about {subjects:?}", family.subject));
    }
    if family.tokens.last() == Some(&refresh) {
        return broken("a refresh token is its own successor");
    }
    family.access.push(Access { token: access, expires_at, standing: Standing::Good });
    family.tokens.push(refresh);
    family.issued_at = site.now();
    family.rotating_since = None;
    Ok(())
}
