//! How cookies are written and how strictly they are read.

use axum::http::header;
use keywright::foundation::opaque::{Opaque, OpaqueKind};
use url::Url;

use super::{BROWSER, SESSION, get_with_cookies, person_behind, sign_in};
use crate::support::{
    app::TestApp,
    browser::Browser,
    journey::{authorize_path, sign_in_on_page},
};

/// SS-02: of two cookies of one name none counts, in one line or in two.
#[tokio::test(flavor = "multi_thread")]
async fn two_session_cookies_are_none() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    app.add_user("mallory", &[]).await;
    let bob = sign_in(&mut app.browser(), "bob").await;
    let mallory = sign_in(&mut app.browser(), "mallory").await;
    let (bob, mallory) = (format!("{SESSION}={bob}"), format!("{SESSION}={mallory}"));
    assert_eq!(person_behind(&app, &[bob.as_bytes()]).await.as_deref(), Some("bob"));
    for (one, other) in [(&bob, &mallory), (&mallory, &bob), (&bob, &bob)] {
        let line = format!("{one}; {other}");
        assert_eq!(person_behind(&app, &[line.as_bytes()]).await, None, "{line}");
        assert_eq!(person_behind(&app, &[one.as_bytes(), other.as_bytes()]).await, None);
        let empty = format!("{one}; {SESSION}=");
        assert_eq!(person_behind(&app, &[empty.as_bytes()]).await, None, "{empty}");
    }
    assert_eq!(person_behind(&app, &[bob.as_bytes()]).await.as_deref(), Some("bob"));
}

/// SS-02: only the exact name counts, byte by byte.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_only_look_like_ours_do_not_count() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let secret = sign_in(&mut app.browser(), "bob").await;
    let lines = [
        format!("\u{2000}{SESSION}={secret}"),
        format!("\u{a0}{SESSION}={secret}"),
        format!("\u{3000}{SESSION}={secret}; a=b"),
        format!("\"{SESSION}\"={secret}"),
        format!("__host-kw-session={secret}"),
        format!("kw-session={secret}"),
        format!("{SESSION} ={secret}"),
        format!("{SESSION}=\"{secret}\""),
        format!("{SESSION}= {secret}"),
        format!("={SESSION}={secret}"),
        format!("a=\"b; {SESSION}={secret}\""),
        format!("{SESSION}={secret},"),
    ];
    for line in lines {
        assert_eq!(person_behind(&app, &[line.as_bytes()]).await, None, "{line}");
    }
}

/// SS-02: what another site of the same host has put beside our cookie neither hides it nor shows
/// another.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_cookies_beside_ours_change_nothing() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let own = format!("{SESSION}={}", sign_in(&mut app.browser(), "bob").await);
    for foreign in ["a=b", "a", "", "=", "$Version=1", "sid=\u{fc}", "kw-session=x", "a=\t"] {
        for line in [format!("{foreign}; {own}"), format!("{own}; {foreign}")] {
            let seen = person_behind(&app, &[line.as_bytes()]).await;
            assert_eq!(seen.as_deref(), Some("bob"), "{line:?}");
        }
        let lines = [foreign.as_bytes(), own.as_bytes()];
        assert_eq!(person_behind(&app, &lines).await.as_deref(), Some("bob"), "{foreign:?}");
    }
}

fn hostile_values(app: &TestApp) -> Vec<Vec<u8>> {
    let of = |kind| Opaque::generate(kind, app.app.random()).reveal().expose().to_owned();
    let never_issued = of(OpaqueKind::Session);
    let flipped = never_issued.replace("kw_se_", "kw_se_A");
    let mut values: Vec<Vec<u8>> = [
        never_issued.as_str(),
        &flipped,
        &never_issued[..never_issued.len() - 1],
        &format!("{never_issued}="),
        &never_issued.to_uppercase(),
        &of(OpaqueKind::Browser),
        &of(OpaqueKind::RefreshToken),
        &"x".repeat(8_192),
        "",
        "null",
        "0",
        "999",
        "chunks:999",
        "' OR '1'='1",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.",
        "%00%ff",
        "../../../etc/passwd",
    ]
    .map(|value| value.as_bytes().to_vec())
    .to_vec();
    values.push(vec![0xff, 0xfe, 0x80]);
    values.push((0x80..=0xff).collect());
    values
}

/// SS-04: whatever stands in the cookies, the person is nobody, and nothing breaks.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_cookie_values_are_nobody_and_break_nothing() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let silent = authorize_path("web", &[("prompt", "none")]);
    for value in hostile_values(&app) {
        let line = [SESSION.as_bytes(), b"=", &value, b"; ", BROWSER.as_bytes(), b"=", &value];
        let line = line.concat();
        assert_eq!(person_behind(&app, &[&line]).await, None, "{value:?}");
        let refused = get_with_cookies(&app, &silent, &[&line]).await;
        let to = refused.headers[header::LOCATION].to_str().unwrap().to_owned();
        assert!(to.contains("error=login_required") && !to.contains("code="), "{to}");
        for path in [&authorize_path("web", &[]), "/login?flow=x", "/logout", "/nowhere"] {
            let answer = get_with_cookies(&app, path, &[&line]).await;
            assert!(answer.status.as_u16() < 500, "{path} {value:?} {answer:?}");
        }
    }
    assert_eq!(app.count("sessions").await, 0);
}

/// Walks through all that sets a cookie.
async fn walk(browser: &mut Browser) {
    browser.visit(&authorize_path("web", &[])).await;
    let journey = browser.visit("/account").await;
    let journey = if journey.last().url.path() == "/login" {
        let start = journey.last().links();
        let start = start.iter().find(|link| link.path() == "/upstream/kc/start").unwrap().clone();
        let page = browser.click(journey.last(), start.as_str()).await;
        browser.follow(page).await
    } else {
        journey
    };
    assert_eq!(journey.last().url.path(), "/account", "{:?}", journey.hops());
    let form = journey.last().form_to("/logout");
    browser.submit(journey.last(), &form).await;
    browser.get("/nowhere").await;
    let journey = browser.visit(&authorize_path("web", &[("prompt", "select_account")])).await;
    sign_in_on_page(browser, &journey, "bob").await.landing();
    browser.get("/account").await;
}

/// SS-03: every cookie of every route is `__Host-`, `Secure`, `HttpOnly`, `SameSite=Lax`, for the
/// whole host and no other, and is removed with the same attributes.
#[tokio::test(flavor = "multi_thread")]
async fn every_cookie_has_the_strictest_attributes() {
    let (app, _upstream) = TestApp::with_upstream().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    browser.set_header("x-forwarded-proto", "http");
    browser.set_header("forwarded", "proto=http;host=evil.test");
    walk(&mut browser).await;
    let log = browser.cookies().log();
    let names: std::collections::BTreeSet<&str> =
        log.iter().map(|set| set.cookie.name.as_str()).collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        [BROWSER, "__Host-kw-known", "__Host-kw-last", SESSION, "__Host-kw-signed-out"]
    );
    assert!(log.iter().any(|set| set.cookie.is_deletion()), "sign-out removes the cookie");
    for set in log {
        let (raw, cookie) = (&set.raw, &set.cookie);
        assert_eq!(set.refused, None, "{raw}");
        assert!(cookie.secure && cookie.http_only, "{raw}");
        assert_eq!(
            (cookie.same_site.as_deref(), cookie.path.as_str()),
            (Some("lax"), "/"),
            "{raw}"
        );
        assert!(!cookie.for_subdomains && cookie.host == "id.test", "{raw}");
        assert!(!raw.to_ascii_lowercase().contains("domain"), "{raw}");
        assert!(raw.len() < 512, "{raw}");
        assert!(cookie.max_age.is_some(), "{raw}");
    }
}

/// SS-03: browsers share cookies between the ports of a host, so on loopback the names differ.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_two_loopback_issuers_do_not_meet() {
    let mut names = Vec::new();
    for issuer in ["http://localhost:8080", "http://localhost:8081"] {
        let section = format!("[server]\nissuer = {issuer:?}");
        let app = TestApp::builder().config(&section).start().await;
        app.add_user("bob", &[]).await;
        let mut browser = Browser::new(app.router.clone(), issuer);
        let journey = browser.visit("/account").await;
        let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
        assert_eq!(journey.last().url, Url::parse(issuer).unwrap().join("/account").unwrap());
        for set in browser.cookies().log() {
            assert_eq!(set.refused, None, "{}", set.raw);
            assert!(!set.cookie.secure && set.cookie.http_only, "{}", set.raw);
            assert_eq!(set.cookie.same_site.as_deref(), Some("lax"), "{}", set.raw);
            names.push(set.cookie.name.clone());
        }
    }
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!((names.len(), distinct.len()), (6, 6), "{names:?}");
}
