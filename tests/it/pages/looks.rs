//! What pages are made of, how large they are, and what they tell browsers.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use axum::http::header;

use super::{
    continue_with, every_page, house,
    html::{Element, elements},
};
use crate::support::{
    browser::Page,
    journey::{STATE, VERIFIER, authorize_path, redirect_uri, sign_in_on_page},
};

/// The addresses that a browser loads with a page, without being asked.
fn loaded(page: &Page) -> Vec<String> {
    let address = |element: &Element| {
        let name = match (element.name.as_str(), element.get("rel")) {
            ("link", Some("stylesheet" | "icon" | "preload" | "modulepreload")) => "href",
            ("script" | "img" | "iframe" | "audio" | "video" | "source" | "embed" | "input", _) => {
                "src"
            }
            ("object", _) => "data",
            _ => return None,
        };
        element.get(name).filter(|address| !address.starts_with("data:")).map(str::to_owned)
    };
    elements(&page.text()).iter().filter_map(address).collect()
}

fn gzipped(bytes: &[u8]) -> usize {
    let mut gzip = Command::new("gzip")
        .args(["-9", "-c", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writing = std::thread::spawn(move || input.write_all(&bytes).unwrap());
    let output = gzip.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success());
    output.stdout.len()
}

/// The sign-in page, with everything that it loads, is at most 15 KB of gzip in 3 requests.
#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_page_is_small() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    assert_eq!((page.status, page.url.path()), (200, "/login"));
    let addresses = loaded(&page);
    assert!(addresses.len() <= 2, "{addresses:?}");
    let mut size = gzipped(&page.body);
    for address in &addresses {
        let asset = browser.get(address).await;
        assert_eq!(asset.status, 200, "{address}");
        // What an asset loads is a request too.
        let text = asset.text();
        assert!(!text.contains("@import") && !text.contains("url("), "{address}");
        assert!(!text.contains("import ") && !text.contains("fetch("), "{address}");
        size += gzipped(&asset.body);
    }
    assert!(size <= 15 * 1_024, "{size} bytes");
}

/// AZ-31: nothing comes from elsewhere, but for the picture that the person's provider names.
#[tokio::test(flavor = "multi_thread")]
async fn pages_load_nothing_from_elsewhere() {
    let (app, _upstreams) = house().await;
    for (name, page) in every_page(&app).await {
        for address in loaded(&page) {
            let own = address.starts_with("/assets/");
            let picture =
                name == "account by upstream" && address == "https://pictures.test/alice.png";
            assert!(own || picture, "{name}: {address}");
        }
        let images = elements(&page.text()).into_iter().filter(|element| element.name == "img");
        assert!(images.into_iter().all(|image| image.get("referrerpolicy") == Some("no-referrer")));
    }
}

/// No script, no style and no handler stands in a page, so that the strict policy holds.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_inline() {
    let (app, _upstreams) = house().await;
    for (name, page) in every_page(&app).await {
        let elements = elements(&page.text());
        assert!(elements.len() > 10, "{name}");
        for element in elements {
            let what = format!("{name}: {element:?}");
            assert!(
                !["style", "iframe", "object", "embed", "base"].contains(&&*element.name),
                "{what}"
            );
            if element.name == "script" {
                assert!(
                    element.get("src").is_some_and(|src| src.starts_with("/assets/")),
                    "{what}"
                );
                assert!(element.text.trim().is_empty(), "{what}");
            }
            for (attribute, value) in &element.attributes {
                assert!(attribute != "style" && !attribute.starts_with("on"), "{what}");
                assert!(!value.trim().to_ascii_lowercase().starts_with("javascript:"), "{what}");
            }
            if element.name == "meta" {
                assert!(element.get("http-equiv").is_none(), "{what}");
            }
        }
    }
}

/// AZ-31, AZ-32: no cache keeps a page, no frame shows one, no address leaks from one.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_the_strict_headers() {
    let (app, _upstreams) = house().await;
    for (name, page) in every_page(&app).await {
        let text = |header: &str| page.header(header).unwrap_or_default().to_owned();
        assert_eq!(text("content-type"), "text/html; charset=utf-8", "{name}");
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store", "{name}");
        assert_eq!(text("x-frame-options"), "DENY", "{name}");
        assert_eq!(text("referrer-policy"), "no-referrer", "{name}");
        assert_eq!(text("x-content-type-options"), "nosniff", "{name}");
        let policy = text("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|own| own == part), "{name}: no {part} in {policy}");
        }
        assert!(!policy.contains("unsafe-") && !policy.contains('*'), "{name}: {policy}");
    }
}

/// Redirects carry codes and states: no cache keeps them either.
#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_is_kept() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let login = journey.last().clone();
    let mut pages = journey.pages;
    let link = login.links().into_iter().find(|l| l.path() == "/upstream/kc/start").unwrap();
    let page = browser.click(&login, link.as_str()).await;
    pages.extend(browser.follow(page).await.pages);
    pages.push(browser.get("/").await);
    pages.push(browser.get(&authorize_path("web", &[("scope", "nonsense")])).await);
    let redirects = pages.iter().filter(|p| p.status == 303 && p.url.host_str() == Some("id.test"));
    let mut count = 0;
    for redirect in redirects {
        assert_eq!(redirect.headers[header::CACHE_CONTROL], "no-store", "{}", redirect.url);
        assert_eq!(redirect.header("referrer-policy"), Some("no-referrer"));
        count += 1;
    }
    assert!(count >= 5, "{count}");
}

/// The whole way works with plain links and forms: the browser of these tests runs no script.
#[tokio::test(flavor = "multi_thread")]
async fn everything_works_without_scripts() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    let asked = authorize_path("web", &[("response_mode", "form_post")]);
    let login = browser.visit(&asked).await;
    let last = sign_in_on_page(&mut browser, &login, "bob").await.last().clone();
    let form = last.form();
    assert_eq!(form.action.as_str(), redirect_uri("web"));
    assert_eq!(form.value("state"), Some(STATE));
    let buttons = elements(&last.text()).into_iter().filter(|element| element.name == "button");
    let buttons: Vec<_> = buttons.collect();
    assert_eq!(buttons.len(), 1);
    assert_eq!((buttons[0].get("type"), buttons[0].text.as_str()), (Some("submit"), "Continue"));
    assert!(buttons[0].get("hidden").is_none());
    let code = form.value("code").unwrap();
    let uri = redirect_uri("web");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &uri),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(app.post_as("web", "/token", &fields).await.status, 200);

    let account = browser.get("/account").await;
    let page = browser.submit(&account, &account.form_to("/logout")).await;
    let again = page.links().into_iter().find(|link| link.path() == "/account").unwrap();
    let page = browser.click(&page, again.as_str()).await;
    let login = browser.follow(page).await.last().clone();
    let page = continue_with(&mut browser, "kc", &login).await;
    assert_eq!((page.status, page.url.path()), (200, "/account"));
}
