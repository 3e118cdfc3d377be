//! IJ-01..IJ-04: whatever people, apps and upstreams write, it is text. A page with hostile text has
//! the bones of the same page with harmless text: not one element or attribute more.

use serde_json::json;

use super::html::{bones, elements};
use crate::support::{
    app::{ISSUER, TestApp},
    browser::Page,
    fake_upstream::{FakeUpstream, Outcome},
    journey::authorize_path,
};

/// What would be active if it were not text. Each holds `pwn`, to be found again.
const HOSTILE: [&str; 24] = [
    "<script>pwn()</script>",
    "</title><script>pwn()</script>",
    "</textarea><img src=x onerror=pwn()>",
    "\"><img src=x onerror=pwn()>",
    "'><svg/onload=pwn()>",
    "\" autofocus onfocus=\"pwn()",
    "' onmouseover='pwn()",
    "x\" style=\"background:url(//evil.test/pwn)",
    "javascript:pwn()",
    "<a href=\"javascript:pwn()\">pwn</a>",
    "<iframe srcdoc='<script>pwn()</script>'>",
    "<base href=//evil.test/pwn>",
    "<meta http-equiv=refresh content=0;url=//evil.test/pwn>",
    "<form action=//evil.test/pwn><input name=q>",
    "<!--pwn",
    "--><pwn>",
    "]]><pwn>",
    "&lt;script&gt;pwn()&lt;/script&gt;",
    "&#60;script&#62;pwn()",
    "\u{2028}<pwn>\u{2029}",
    "\u{ff1c}script\u{ff1e}pwn()",
    "{{ pwn }}{% pwn %}${pwn}<%= pwn %>",
    "<math><mtext><table><mglyph><style><pwn>",
    "pwn`\\'\"<>&/\u{0}",
];

/// The page is as it would be with harmless text.
fn assert_same_bones(what: &str, hostile: &Page, harmless: &Page) {
    assert_eq!(hostile.status, harmless.status, "{what}: {}", hostile.text());
    let text = hostile.text();
    assert_eq!(bones(&text), bones(&harmless.text()), "{what}: {text}");
    for element in elements(&text) {
        for name in ["href", "src", "action", "data", "formaction"] {
            let Some(address) = element.get(name) else { continue };
            let good =
                ["/", "#", "data:image/svg+xml;", "https://web.test", "https://pictures.test/"];
            assert!(good.iter().any(|start| address.starts_with(start)), "{what}: {element:?}");
            assert!(!address.starts_with("//"), "{what}: {element:?}");
        }
    }
}

/// IJ-01, IJ-02: what an upstream says of a person, on the account page.
#[tokio::test(flavor = "multi_thread")]
async fn what_upstreams_say_of_people_is_text() {
    let upstream = FakeUpstream::start().await;
    let section = "groups = { claim = \"groups\" }";
    let app = TestApp::builder().upstream("kc", &upstream, section).start().await;
    let mut pages = Vec::new();
    for (number, text) in ["harmless"].into_iter().chain(HOSTILE).enumerate() {
        // OIDC Core §2: a subject is ASCII.
        let plain = text.replace(|c: char| !c.is_ascii_graphic(), "");
        upstream.set_person(json!({
            "sub": format!("{number}{plain}"), "preferred_username": format!("u{number}{text}"),
            "name": format!("N {text}"), "groups": [format!("G {text}")],
            "email": format!("{text}@corp.test"), "picture": text,
        }));
        let mut browser = app.browser();
        browser.set_header("user-agent", &plain);
        let page = browser.visit("/account").await.last().clone();
        assert_eq!(page.url.path(), "/account", "{text}: {}", page.text());
        pages.push((text, page));
    }
    let harmless = pages[0].1.clone();
    let without_address = |page: &Page| {
        // What is no address is not taken over, and the page says that there is none.
        let mut page = page.clone();
        let text = page.text().replace("<bdi dir=\"ltr\">harmless@corp.test</bdi>", "");
        let text = text.replace("<span class=\"tag\">Not known if verified</span>", "");
        page.body =
            text.replace("<dt>Email</dt><dd>", "<dt>Email</dt><dd><span class=\"quiet\">").into();
        page
    };
    for (text, page) in &pages[1..] {
        let has_address = !page.text().contains("<dt>Email</dt><dd><span class=\"quiet\">None");
        let twin = if has_address { harmless.clone() } else { without_address(&harmless) };
        assert_same_bones(text, page, &twin);
        assert!(page.text().contains("pwn"), "{text}: the name is shown, as text");
    }
}

/// IJ-03: a picture is an `https` address or none.
#[tokio::test(flavor = "multi_thread")]
async fn only_https_pictures_are_shown() {
    let (app, upstream) = TestApp::with_upstream().await;
    let pictures = [
        ("https://pictures.test/a.png", true),
        ("https://pictures.test/\"onerror=pwn()", true),
        ("javascript:pwn()", false),
        ("data:text/html,<script>pwn()</script>", false),
        ("data:image/svg+xml,<svg onload=pwn()>", false),
        ("//evil.test/pwn.png", false),
        ("/logout", false),
        ("http://pictures.test/a.png", false),
        ("vbscript:pwn", false),
        ("\tjavascript:pwn()", false),
    ];
    for (number, (picture, shown)) in pictures.into_iter().enumerate() {
        let sub = format!("p{number}");
        upstream.set_person(json!({ "sub": sub, "preferred_username": sub, "picture": picture }));
        let page = app.browser().visit("/account").await.last().clone();
        let elements = elements(&page.text());
        let images: Vec<_> = elements.iter().filter(|e| e.name == "img").collect();
        assert_eq!(images.len(), usize::from(shown), "{picture}");
        for image in images {
            assert!(image.get("src").unwrap().starts_with("https://pictures.test/"), "{image:?}");
            let names: Vec<&str> = image.attributes.keys().map(String::as_str).collect();
            assert_eq!(names, ["alt", "height", "referrerpolicy", "src", "width"]);
        }
    }
}

/// A TOML string. JSON's strings are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(&text.replace('\0', "")).unwrap()
}

/// IJ-01, AZ-35: names of apps, upstreams and of the house itself.
#[tokio::test(flavor = "multi_thread")]
async fn names_from_the_configuration_are_text() {
    let upstream = FakeUpstream::start().await;
    let mut seen: Option<Vec<Page>> = None;
    for text in ["harmless", HOSTILE[1], HOSTILE[3], HOSTILE[5], HOSTILE[9], HOSTILE[21]] {
        let name = quoted(text);
        let sections = format!(
            "[branding]\nname = {name}\n[[clients]]\nid = \"named\"\nname = {name}\n\
             secret = \"named-secret-0123456789\"\nredirect_uris = [\"https://web.test/named\"]\n\
             post_logout_redirect_uris = [\"https://web.test/bye\"]"
        );
        let builder = TestApp::builder().config(&sections);
        let builder = builder.upstream("kc", &upstream, "").upstream("two", &upstream, "");
        let app = builder.start().await;
        app.add_user("bob", &[]).await;
        let change = ("redirect_uri", "https://web.test/named");
        let mut browser = app.browser();
        let login = browser.visit(&authorize_path("named", &[change])).await;
        crate::support::journey::sign_in_on_page(&mut browser, &login, "bob").await.landing();
        let asks = browser.get("/logout?client_id=named").await;
        let wrong = [("redirect_uri", "https://evil.test/cb")];
        let fault = browser.get(&authorize_path("named", &wrong)).await;
        let form_post = [change, ("response_mode", "form_post")];
        let handover = browser.get(&authorize_path("named", &form_post)).await;
        let done = browser.submit(&asks, &asks.form()).await;
        let pages = vec![login.last().clone(), asks, fault, handover, done];
        match &seen {
            None => seen = Some(pages),
            Some(harmless) => {
                for (page, twin) in pages.iter().zip(harmless) {
                    assert_same_bones(text, page, twin);
                }
            }
        }
    }
}

/// IJ-01, IJ-04: what stands in addresses and forms.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_addresses_is_text() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut signed_in = app.browser();
    crate::sessions::sign_in(&mut signed_in, "bob").await;
    let mut seen: Option<Vec<Page>> = None;
    for text in ["harmless"].into_iter().chain(HOSTILE) {
        let query = |name: &str| {
            url::form_urlencoded::Serializer::new(String::new()).append_pair(name, text).finish()
        };
        let mut browser = app.browser();
        let hint = authorize_path("web", &[("login_hint", text)]);
        let mut pages = vec![browser.visit(&hint).await.last().clone()];
        let post = authorize_path("web", &[("response_mode", "form_post"), ("state", text)]);
        pages.push(signed_in.get(&post).await);
        for path in [
            format!("/authorize?{}", query("client_id")),
            authorize_path("web", &[("redirect_uri", text)]),
            format!("/login?{}", query("flow")),
            format!("/login?flow=x&{}", query("ui_locales")),
            format!("/upstream/none/callback?{}", query("error_description")),
            format!("/logout?client_id=web&{}", query("state")),
            format!("/nowhere?{}", query("q")),
            format!("/nowhere/{}", query("").trim_start_matches('=')),
        ] {
            pages.push(signed_in.get(&path).await);
        }
        let Some(harmless) = &seen else {
            seen = Some(pages);
            continue;
        };
        for (page, twin) in pages.iter().zip(harmless) {
            assert_same_bones(text, page, twin);
        }
        for silent in [&pages[8], &pages[9], &pages[6]] {
            assert!(!silent.text().contains("pwn"), "{text}: {}", silent.text());
        }
    }
}

/// IJ-04: what an upstream or a stranger gives as a reason is kept, and not shown.
#[tokio::test(flavor = "multi_thread")]
async fn reasons_from_elsewhere_are_not_shown() {
    let (app, upstream) = TestApp::with_upstream().await;
    for text in HOSTILE {
        let description = Some(text.to_owned());
        upstream.set_outcome(Outcome::Refuse { error: text.to_owned(), description });
        let page = app.browser().visit(&authorize_path("web", &[])).await.last().clone();
        assert_eq!(page.status, 400, "{}", page.text());
        assert!(page.text().contains("code: upstream_refused"), "{text}: {}", page.text());
        assert!(!page.text().contains("pwn"), "{text}: {}", page.text());
    }
    assert_eq!(app.refusals("sign_in").await, ["upstream_refused"; HOSTILE.len()]);
    let events = app.events().await;
    let kept = events.iter().filter(|event| event.detail.contains("pwn")).count();
    assert_eq!(kept, HOSTILE.len(), "an administrator can read it");
    assert_eq!(app.count("sessions").await, 0);
}

/// IJ-12: a state in a redirect stays in its parameter, and in one header.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_state_comes_back_as_it_went() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    crate::sessions::sign_in(&mut browser, "bob").await;
    let more = ["a\r\nset-cookie: b=c", "a&code=1", "a#b", "\u{1f511}", "%0d%0a", "a\tb", "+ +"];
    for state in HOSTILE.into_iter().chain(more) {
        let page = browser.get(&authorize_path("web", &[("state", state)])).await;
        assert_eq!(page.location_param("state").as_deref(), Some(state));
        assert_eq!(page.location_param("iss").as_deref(), Some(ISSUER));
        assert!(page.set_cookies().is_empty());
        assert!(page.header("location").unwrap().is_ascii());
    }
}
