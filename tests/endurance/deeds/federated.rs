//! Getting in through the upstream.

use crate::{
    browser::{Browser, Landing},
    house::Site,
    settings::UPSTREAM,
    tokens_of::authorize_path,
    wire::{App, Deed, Trouble, broken},
};

/// Signs in at the upstream with a new browser: the browser, with sessions at both, and a code.
///
/// The way back carries what works once, in an address: a proxy that asks again, because an instance died
/// with it, finds it used. Whoever was on the way while something died may have to begin again.
pub(super) fn enter(site: &Site, app: &App, name: &str, password: &str) -> Deed<(Browser, String)> {
    let mark = site.strikes();
    match on_the_way(site, app, name, password) {
        Err(Trouble::Broken(text)) if site.strikes() != mark && !text.starts_with("twice:") => {
            Err(Trouble::Away)
        }
        done => done,
    }
}

fn on_the_way(site: &Site, app: &App, name: &str, password: &str) -> Deed<(Browser, String)> {
    let mut browser = Browser::new(site.port);
    let page = browser.visit(&authorize_path(app))?.page("authorize")?;
    let Some(start) = page.link(&format!("/upstream/{UPSTREAM}/start")) else {
        return Err(page.answer.unexpected("a sign-in page without the upstream"));
    };
    let page = browser.visit(&start)?.page("the way to the upstream")?;
    let form = page.need_form("/login")?;
    let answer = browser.submit(&form, &[("username", name), ("password", password)])?;
    match browser.follow(form.action.as_str(), answer)? {
        Landing::App(Some(code)) if browser.has_session() => Ok((browser, code)),
        Landing::App(_) => broken(format!("{name}: signed in without a code or a session")),
        Landing::Page(page) => {
            let what = format!("{name}: the way back ends on a page at {}", page.path);
            Err(page.answer.unexpected(&what))
        }
    }
}
