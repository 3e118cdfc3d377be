//! Which way somebody signs in: by button, by the app's choice, by a hint, by their address.

mod addresses;
mod apps;
mod hints;

use serde_json::json;
use url::Url;

use crate::{
    support::{
        app::{Builder, TestApp},
        browser::{Browser, Journey, Page},
        fake_upstream::FakeUpstream,
        journey::authorize_path,
    },
    upstream::SESSION_COOKIE,
};

/// An app of the tests beside those of all tests, with its own settings as TOML lines.
fn client(id: &str, lines: &str) -> String {
    format!(
        "[[clients]]\nid = {id:?}\nname = \"The {id} app\"\nsecret = \"{id}-secret-0123456789\"\n\
         redirect_uris = [\"https://{id}.test/cb\"]\n{lines}\n"
    )
}

/// Two upstreams, `kc` and `eve`, whose people are two.
async fn two_upstreams() -> (FakeUpstream, FakeUpstream) {
    let (kc, eve) = (FakeUpstream::start().await, FakeUpstream::start().await);
    for (upstream, name) in [(&kc, "kate"), (&eve, "evan")] {
        upstream.set_person(json!({ "sub": name, "preferred_username": name }));
    }
    (kc, eve)
}

fn both(builder: Builder, kc: &FakeUpstream, eve: &FakeUpstream) -> Builder {
    builder.upstream("kc", kc, "").upstream("eve", eve, "")
}

/// A browser that stops at these apps too.
fn browser(app: &TestApp, clients: &[&str]) -> Browser {
    let mut browser = app.browser();
    for client in clients {
        browser.stop_at(&format!("https://{client}.test/"));
    }
    browser
}

/// Where an app's request leads before anybody does anything: a page of ours, an upstream, an app.
async fn leads_to(browser: &mut Browser, client: &str, changes: &[(&str, &str)]) -> Url {
    let page = browser.get(&authorize_path(client, changes)).await;
    assert_eq!(page.status, 303, "{}", page.text());
    page.location().unwrap()
}

fn is_choice(url: &Url) -> bool {
    url.as_str().starts_with("https://id.test/login?")
}

fn is_at(url: &Url, upstream: &FakeUpstream) -> bool {
    url.as_str().starts_with(&upstream.origin())
}

/// The names on the buttons of the page.
fn buttons(page: &Page) -> Vec<String> {
    let start =
        |url: &Url| Some(url.path().strip_prefix("/upstream/")?.split('/').next()?.to_owned());
    page.links().iter().filter_map(start).collect()
}

async fn choice(browser: &mut Browser, client: &str, changes: &[(&str, &str)]) -> Page {
    let journey = browser.visit(&authorize_path(client, changes)).await;
    let page = journey.last().clone();
    assert_eq!((page.status, page.url.path()), (200, "/login"), "{:?}", journey.hops());
    page
}

/// Got to the app with a code, and is signed in here.
fn is_in(browser: &Browser, journey: &Journey) -> bool {
    journey.param("code").is_some() && browser.cookies().get(SESSION_COOKIE).is_some()
}
