//! The browser itself, on a small router: a test of it is only as good as its cookies.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::{any, get};
use url::Url;

use super::{Browser, Form, Navigation};

const ISSUER: &str = "https://id.test";
const PAGE: &str = r#"<!doctype html><style>a > b { }</style><!-- <form action="/no"> -->
<a href="/help?a=1&amp;b=2">Help</a>
<form method="post" action="/login?flow=1&#38;x=2">
<input type=hidden name="csrf" value="a&quot;b"><INPUT NAME='username' autofocus>
<input type="checkbox" name="stay" checked><input type="checkbox" name="more">
<select name="lang"><option value="de">Deutsch<option value="en" selected>English</select>
<textarea name="note">one &lt; two</textarea>
<button name="action" value="go">Go</button></form>
<script>"<form action='/nor-this'>"</script>"#;

fn router() -> Router {
    let echo = |peer: ConnectInfo<SocketAddr>, request: Request| async move {
        let header = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or("-").to_owned()
        };
        let names = ["host", "origin", "sec-fetch-site", "cookie"];
        let line = names.map(header).join("|");
        format!("{} {}|{line}|{}", request.method(), request.uri(), peer.0.ip())
    };
    let set = |headers: HeaderMap| async move {
        let wanted = headers.get("x-set").map(|value| value.to_str().unwrap().to_owned());
        AppendHeaders([("set-cookie", wanted.unwrap_or_default())]).into_response()
    };
    let to = |status: u16, target: &'static str| {
        any(move || async move { (StatusCode::from_u16(status).unwrap(), [("location", target)]) })
    };
    Router::new()
        .route("/echo", any(echo))
        .route("/set", get(set))
        .route("/page", get(|| async { axum::response::Html(PAGE) }))
        .route("/see-other", to(303, "/echo"))
        .route("/keep", to(307, "/echo"))
        .route("/away", to(303, "https://far.test/back"))
        .route("/back", to(303, "https://id.test/echo"))
        .route("/loop", to(302, "/loop"))
        .route("/client", to(303, "https://app.test/cb?code=c&state=s"))
}

fn browser() -> Browser {
    let mut browser = Browser::new(router(), ISSUER);
    browser.mount("https://far.test", router());
    browser
}

async fn set_cookie(browser: &mut Browser, url: &str, cookie: &str) {
    let url = Url::parse(ISSUER).unwrap().join(url).unwrap();
    browser.send(Navigation::get(url).header("x-set", cookie)).await;
}

#[tokio::test]
async fn requests_look_like_those_of_a_browser() {
    let mut browser = browser();
    browser.set_peer(SocketAddr::from(([203, 0, 113, 9], 1)));
    let typed = browser.get("/echo?a=1#part").await;
    assert_eq!(typed.text(), "GET /echo?a=1|id.test|-|none|-|203.0.113.9");
    let posted = browser.post_form("/echo", &[("a", "b")]).await;
    assert_eq!(posted.text(), "POST /echo|id.test|https://id.test|same-origin|-|203.0.113.9");
    let attacker = Url::parse("https://evil.test/page").unwrap();
    let echo = Url::parse("https://id.test/echo").unwrap();
    let forged = browser.send(Navigation::post(echo, &[]).started_by(&attacker)).await;
    assert_eq!(forged.text(), "POST /echo|id.test|https://evil.test|cross-site|-|203.0.113.9");
}

#[tokio::test]
async fn redirects_change_the_method_as_the_fetch_standard_says() {
    let mut browser = browser();
    let page = browser.post_form("/see-other", &[("a", "b")]).await;
    let journey = browser.follow(page).await;
    assert!(journey.last().text().starts_with("GET /echo|id.test|-|same-origin"));
    let page = browser.post_form("/keep", &[("a", "b")]).await;
    let journey = browser.follow(page).await;
    assert!(journey.last().text().starts_with("POST /echo|id.test|https://id.test|same-origin"));
    assert_eq!(journey.hops(), ["307 https://id.test/keep", "200 https://id.test/echo"]);
}

#[tokio::test]
async fn a_journey_stops_at_the_redirect_uri() {
    let mut browser = browser();
    browser.stop_at("https://app.test/cb");
    let journey = browser.visit("/client").await;
    assert_eq!(journey.landing().path(), "/cb");
    assert_eq!(journey.param("code").as_deref(), Some("c"));
    assert_eq!(journey.param("absent"), None);
    assert_eq!(journey.hop("/client").location_param("state").as_deref(), Some("s"));
}

#[tokio::test]
#[should_panic(expected = "redirected too often")]
async fn an_endless_redirect_is_noticed() {
    browser().visit("/loop").await;
}

#[tokio::test]
async fn strict_cookies_do_not_survive_a_way_over_another_site() {
    let mut browser = browser();
    set_cookie(&mut browser, "/set", "strict=1; Secure; HttpOnly; SameSite=Strict; Path=/").await;
    set_cookie(&mut browser, "/set", "lax=1; Secure; HttpOnly; SameSite=Lax; Path=/").await;
    let direct = browser.get("/echo").await;
    assert!(direct.text().contains("|none|strict=1; lax=1|"), "{}", direct.text());
    let journey = browser.visit("/away").await;
    assert!(journey.last().text().contains("|cross-site|lax=1|"), "{:?}", journey.last().text());

    let attacker = Url::parse("https://evil.test/").unwrap();
    let echo = Url::parse("https://id.test/echo").unwrap();
    let forged = browser.send(Navigation::post(echo, &[]).started_by(&attacker)).await;
    assert!(forged.text().contains("|cross-site|-|"), "{}", forged.text());
}

#[tokio::test]
async fn cookies_that_browsers_refuse_are_refused() {
    let refused = [
        ("https://id.test/set", "__Host-a=1; Path=/"),
        ("https://id.test/set", "__Host-a=1; Secure"),
        ("https://id.test/x/../set", "__Host-a=1; Secure; Path=/set"),
        ("https://id.test/set", "__Host-a=1; Secure; Path=/; Domain=id.test"),
        ("https://id.test/set", "a=1; Domain=other.test"),
        ("https://id.test/set", "a=1; SameSite=None"),
        ("http://id.test/set", "a=1; Secure"),
    ];
    for (url, cookie) in refused {
        let mut browser = browser();
        browser.mount("http://id.test", router());
        set_cookie(&mut browser, url, cookie).await;
        // A __Host- cookie without Path is fine when the address itself is in the root.
        let fine = cookie == "__Host-a=1; Secure";
        assert_eq!(browser.cookies().all().len(), usize::from(fine), "{url} {cookie}");
        assert_eq!(browser.cookies().log()[0].refused.is_none(), fine, "{url} {cookie}");
    }
}

#[tokio::test]
async fn cookies_are_kept_per_host_and_path_and_can_be_deleted() {
    let mut browser = browser();
    set_cookie(&mut browser, "/set", "host=1; Secure; HttpOnly; Path=/; Max-Age=60").await;
    set_cookie(&mut browser, "/set", "deep=1; Secure; Path=/deep").await;
    set_cookie(&mut browser, "https://far.test/set", "far=1; Secure; Path=/").await;
    assert!(browser.get("/echo").await.text().contains("|host=1|"));
    assert!(browser.get("https://far.test/echo").await.text().contains("|far=1|"));
    assert!(browser.stranger().get("/echo").await.text().contains("|-|"));
    assert!(browser.clone().get("/echo").await.text().contains("|host=1|"));
    assert!(browser.cookies().get("host").unwrap().http_only);

    browser.cookies_mut().close_browser();
    assert_eq!(browser.cookies().all().len(), 1, "only the one with Max-Age is left");
    set_cookie(&mut browser, "/set", "host=; Secure; Path=/; Max-Age=0").await;
    assert!(browser.cookies().all().is_empty());
    let epoch = "host=; Secure; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    set_cookie(&mut browser, "/set", "host=2; Secure; Path=/").await;
    set_cookie(&mut browser, "/set", epoch).await;
    assert!(browser.cookies().all().is_empty());
    assert_eq!(browser.cookies().log().len(), 6);
}

#[tokio::test]
async fn cookies_can_be_stolen_forged_and_lost() {
    let mut browser = browser();
    let url = Url::parse("https://id.test/set").unwrap();
    let page = browser.send(Navigation::get(url).header("x-set", "a=1; Secure; Path=/")).await;
    assert_eq!(page.set_cookies(), ["a=1; Secure; Path=/"]);
    let mut thief = browser.stranger();
    thief.cookies_mut().plant(browser.cookies().get("a").unwrap().clone());
    assert!(thief.get("/echo").await.text().contains("|a=1|"));
    thief.cookies_mut().overwrite("a", "2");
    assert!(thief.get("/echo").await.text().contains("|a=2|"));
    assert_eq!(thief.cookies_mut().remove("a").unwrap().value, "2");
    assert!(thief.get("/echo").await.text().contains("|-|"));
    browser.cookies_mut().clear();
    assert!(browser.get("/echo").await.text().contains("|-|"));
}

#[tokio::test]
async fn headers_of_the_test_replace_those_of_the_browser() {
    let mut browser = browser();
    browser.set_header("origin", "https://proxy.test");
    let page = browser.get("/page").await;
    let next = browser.click(&page, "echo").await;
    assert_eq!(next.text(), "GET /echo|id.test|https://proxy.test|same-origin|-|127.0.0.1");
}

#[tokio::test]
async fn forms_and_links_are_read_from_the_page() {
    let mut browser = browser();
    let page = browser.get("/page").await;
    assert_eq!(page.links(), [Url::parse("https://id.test/help?a=1&b=2").unwrap()]);
    let form: Form = page.form().fill("username", "alice").press("action", "go");
    assert_eq!(form.action.as_str(), "https://id.test/login?flow=1&x=2");
    let fields: Vec<String> =
        form.fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let expected =
        ["csrf=a\"b", "username=alice", "stay=on", "lang=en", "note=one < two", "action=go"];
    assert_eq!(fields, expected);
    let form = page.form_to("/login").without("csrf");
    assert_eq!(form.value("csrf"), None);
    assert_eq!(browser.submit(&page, &form).await.status, 404);
}
