//! What people do with their accounts: sign out, another password, tokens for programs.

use super::{good_session, is_unknown};
use crate::{
    house::Site,
    ledger::{Doubt, Household, Personal, Session, Standing},
    tokens_of::introspect,
    wire::{Deed, broken},
};

/// A person signs out.
pub(super) fn sign_out(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let Some(at) = good_session(home, site, who, false) else { return Ok(()) };
    let person = &mut home.people[who];
    let id = person.sessions[at].id;
    // The cookies stay, to show later that they are worth nothing.
    let mut browser = person.sessions[at].browser.clone();
    let page = browser.visit("/logout")?.page("sign-out")?;
    let form = page.need_form("/logout")?;
    let done = browser.submit(&form, &[]);
    let done = done.and_then(|answer| answer.expect("sign-out", &[200, 303]));
    if is_unknown(&done) {
        person.doubt = Some(Doubt::SignOut(id));
        home.counts.unanswered("sign-out");
    }
    done?;
    home.people[who].sign_out(id);
    home.counts.acknowledged("sign-out");
    Ok(())
}

/// A person takes another password.
pub(super) fn change_password(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    if home.people[who].is_federated {
        return Ok(());
    }
    let Some(at) = good_session(home, site, who, true) else { return Ok(()) };
    let (new, id) = (home.password(), home.next_number());
    let person = &mut home.people[who];
    let mut browser = person.sessions[at].browser.clone();
    let page = browser.visit("/account/password")?.page("another password")?;
    let form = page.need_form("/account/password")?;
    let fields = [("current", person.password.as_str()), ("password", new.as_str())];
    let done = browser.submit(&form, &fields);
    let done = done.and_then(|answer| answer.expect("another password", &[200]));
    if is_unknown(&done) {
        person.doubt = Some(Doubt::Password { new: vec![new.clone()], by_link: false });
        home.counts.unanswered("password changed");
    }
    done?;
    let since = person.sessions[at].since;
    person.take_password(new, false);
    person.sessions.push(Session { id, browser, standing: Standing::Good, since });
    home.counts.acknowledged("password changed");
    Ok(())
}

/// A person makes a token for a program.
pub(super) fn make_token(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let Some(at) = good_session(home, site, who, true) else { return Ok(()) };
    let name = format!("program {}", home.next_number());
    let person = &mut home.people[who];
    let page = person.sessions[at].browser.visit("/account/tokens")?.page("tokens")?;
    let form = page.need_form("/account/tokens")?;
    let fields = [
        ("name", name.as_str()),
        ("lifetime", "30d"),
        ("scope.openid", "yes"),
        ("scope.profile", "yes"),
    ];
    let done = person.sessions[at].browser.submit(&form, &fields);
    let done = done.and_then(|answer| answer.expect("a token for a program", &[200]));
    if is_unknown(&done) {
        home.counts.unanswered("program token made");
    }
    let page = done?;
    let shown = page.body.split_once("<pre id=\"token\" dir=\"ltr\">");
    let secret = shown.and_then(|(_, rest)| rest.split('<').next());
    let Some(secret) = secret.map(str::to_owned) else {
        return Err(page.unexpected("a token for a program is not shown"));
    };
    home.people[who].personal.push(Personal { secret, standing: Standing::Good });
    home.counts.acknowledged("program token made");
    Ok(())
}

/// A person revokes one.
pub(super) fn revoke_token(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let Some(at) = good_session(home, site, who, false) else { return Ok(()) };
    let person = &mut home.people[who];
    let good = person.personal.iter().position(|own| own.standing == Standing::Good);
    let Some(personal) = good else { return Ok(()) };
    let answer = introspect(site, &person.personal[personal].secret)?;
    let Some(handle) = answer.text("jti") else {
        return broken(format!("{}: a token for a program is gone", person.name));
    };
    let browser = &mut person.sessions[at].browser;
    let page = browser.visit("/account/tokens")?.page("tokens")?;
    let mut form = page.need_form("/account/tokens/revoke")?;
    form.fields.retain(|(name, _)| name != "handle");
    let done = browser.submit(&form, &[("handle", &handle)]);
    let done = done.and_then(|answer| answer.expect("revoking a token for a program", &[303]));
    let standing = &mut person.personal[personal].standing;
    if is_unknown(&done) {
        *standing = Standing::InDoubt;
        home.counts.unanswered("program token revoked");
    }
    done?;
    *standing = Standing::Over;
    home.counts.acknowledged("program token revoked");
    Ok(())
}
