//! The address first: it leads to the upstream of its organisation, or on to the password.

use super::{buttons, choice, is_in, two_upstreams};
use crate::support::{
    app::TestApp,
    browser::{Browser, Page},
    fake_upstream::{Endpoint, FakeUpstream, Fault, Outcome},
};

const ROUTED: &str = "email_domains = [\"corp.test\"]\nbutton = false";

async fn house(local: bool) -> (TestApp, FakeUpstream, FakeUpstream) {
    let (kc, eve) = two_upstreams().await;
    let builder = TestApp::builder().upstream("kc", &kc, ROUTED).upstream("eve", &eve, "");
    let app = builder.start().await;
    if local {
        app.add_user("bob", &[]).await;
    }
    (app, kc, eve)
}

/// Types a name on the page, and nothing else.
async fn say(browser: &mut Browser, page: &Page, name: &str) -> Page {
    let form = page.form_to("/login").fill("username", name);
    browser.submit(page, &form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_leads_to_its_upstream() {
    let (app, kc, _eve) = house(true).await;
    let mut browser = app.browser();
    let page = choice(&mut browser, "web", &[]).await;
    assert_eq!(buttons(&page), ["eve"], "whoever is routed needs no button");
    assert!(
        page.text().contains("name=\"username\"") && !page.text().contains("name=\"password\"")
    );
    let away = say(&mut browser, &page, "  Kate@CORP.test ").await;
    assert_eq!(away.status, 303);
    let url = away.location().unwrap();
    assert!(url.as_str().starts_with(&kc.origin()), "{url}");
    let hint = url.query_pairs().find(|(name, _)| name == "login_hint").unwrap().1.into_owned();
    assert_eq!(hint, "Kate@CORP.test");
    let journey = browser.follow(away).await;
    assert!(is_in(&browser, &journey), "{:?}", journey.hops());
}

/// The password page repeats the name, and whoever it is not gets back.
#[tokio::test(flavor = "multi_thread")]
async fn another_name_leads_to_the_password() {
    let (app, _kc, _eve) = house(true).await;
    let mut browser = app.browser();
    let first = choice(&mut browser, "web", &[]).await;
    // Whether there is such an account shows nowhere (IJ-12).
    let mut pages = Vec::new();
    for name in ["bob", "nobody", "nobody@elsewhere.test"] {
        let sent = say(&mut browser, &first, name).await;
        assert_eq!(sent.status, 303);
        let page = browser.follow(sent).await.last().clone();
        let form = page.form_to("/login");
        assert_eq!(form.value("username"), Some(name));
        assert!(page.text().contains("Not you?") && buttons(&page).is_empty());
        pages.push(page.text().replace(&format!("value=\"{name}\""), "value=\"NAME\""));
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");

    let page = browser.get(&format!("{}&other=yes", first.url)).await;
    assert_eq!(page.form_to("/login").value("username"), Some("nobody@elsewhere.test"));
    assert_eq!(buttons(&page), ["eve"]);
    let sent = say(&mut browser, &page, "bob").await;
    let page = browser.follow(sent).await.last().clone();
    let wrong = page.form_to("/login").fill("password", "bobs-password");
    let page = browser.submit(&page, &wrong).await;
    assert_eq!(page.status, 400);
    assert_eq!(page.form_to("/login").value("username"), Some("bob"));
    assert!(page.text().contains("There is a problem") && page.text().contains("Not you?"));
    let right = page.form_to("/login").fill("password", "bob-password");
    let answer = browser.submit(&page, &right).await;
    let journey = browser.follow(answer).await;
    assert!(is_in(&browser, &journey), "{:?}", journey.hops());
}

/// Whoever turns back at the upstream of their address is not asked for a password in its stead; and
/// whoever takes a button is not who the typed name says.
#[tokio::test(flavor = "multi_thread")]
async fn who_turns_back_is_asked_again() {
    let (app, kc, eve) = house(true).await;
    kc.set_outcome(Outcome::Refuse { error: "access_denied".to_owned(), description: None });
    let mut browser = app.browser();
    let page = choice(&mut browser, "web", &[]).await;
    let away = say(&mut browser, &page, "kate@corp.test").await;
    let refused = browser.follow(away).await;
    assert_eq!(refused.last().status, 400, "{:?}", refused.hops());
    let link = refused.last().links().into_iter().find(|link| link.path() == "/login").unwrap();
    let page = browser.get(link.as_str()).await;
    assert!(!page.text().contains("name=\"password\""), "{}", page.text());
    assert_eq!(buttons(&page), ["eve"]);
    let start = page.links().into_iter().find(|link| link.path() == "/upstream/eve/start").unwrap();
    let journey = browser.visit(start.as_str()).await;
    assert!(is_in(&browser, &journey), "{:?}", journey.hops());
    let asked = eve.requests_to(Endpoint::Authorize);
    assert_eq!(asked.last().unwrap().param("login_hint"), None);
}

/// While the upstream of an address is away, a password may be the way in.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_upstream_is_away_there_is_the_password() {
    let (app, kc, _eve) = house(true).await;
    kc.misbehave(|lies| lies.fault(Endpoint::Discovery, Fault::Drop));
    for _ in 0..3 {
        crate::upstream::sign_in_at(&mut app.browser(), "kc").await;
    }
    let mut browser = app.browser();
    let page = choice(&mut browser, "web", &[]).await;
    let sent = say(&mut browser, &page, "bob@corp.test").await;
    let page = browser.follow(sent).await.last().clone();
    let right = page.form_to("/login").fill("password", "bob-password");
    let answer = browser.submit(&page, &right).await;
    let journey = browser.follow(answer).await;
    assert!(is_in(&browser, &journey), "{:?}", journey.hops());
}

/// Without passwords an address that leads nowhere is told so, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn without_passwords_an_unknown_address_leads_nowhere() {
    let (app, kc, _eve) = house(false).await;
    let mut browser = app.browser();
    let page = choice(&mut browser, "web", &[]).await;
    assert!(page.text().contains(">Email</label>"), "usernames mean nothing here");
    for name in [
        "kate@elsewhere.test",
        "kate",
        "kate@corp.test.",
        "a@elsewhere.test@corp.test",
        "\"><script>alert(1)</script>@corp.test",
        "\u{202e}kate@corp.test",
    ] {
        let again = say(&mut browser, &page, name).await;
        assert_eq!(again.status, 400, "{name}");
        assert!(again.text().contains("Nobody signs in here with that address"), "{name}");
        assert!(!again.text().contains("<script>alert"), "{name}");
        assert_eq!(again.form_to("/login").value("username"), Some(name));
        assert_eq!(buttons(&again), ["eve"]);
    }
    assert!(kc.requests().is_empty());
    assert_eq!(app.count("sessions").await, 0);
    let away = say(&mut browser, &page, "kate@corp.test").await;
    let journey = browser.follow(away).await;
    assert!(is_in(&browser, &journey));
}

/// Without a token of our own form nobody is sent anywhere (login CSRF).
#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_our_own() {
    let (app, kc, _eve) = house(true).await;
    let mut browser = app.browser();
    let page = choice(&mut browser, "web", &[]).await;
    let fields = [("step", "name"), ("username", "kate@corp.test")];
    let refused = browser.post_form(page.url.as_str(), &fields).await;
    assert_eq!(refused.status, 403);
    assert_eq!(app.refusals("sign_in").await, ["form_not_ours"]);
    assert!(kc.requests().is_empty());
}

/// A domain leads to one upstream, and is a domain.
#[test]
fn domains_are_checked() {
    let upstream = |slug: &str, lines: &str| {
        format!(
            "[[upstreams]]\nslug = {slug:?}\nname = \"K\"\nissuer = \"https://{slug}.test\"\n\
             client_id = \"x\"\nclient_secret = \"y\"\n{lines}\n"
        )
    };
    let problems = |lines: [&str; 2]| {
        let text = format!("{}{}", upstream("kc", lines[0]), upstream("eve", lines[1]));
        let parsed = keywright::config::parse(&text, &keywright::config::Environment::new());
        parsed.map(drop).map_err(|problems| problems.to_string())
    };
    problems(["email_domains = [\"corp.test\"]", "email_domains = [\"Eve.test\"]"]).unwrap();
    for (second, fix) in [
        ("email_domains = [\"CORP.test\"]", "leads to \"kc\" already"),
        ("email_domains = [\"@eve.test\"]", "must be a domain"),
        ("email_domains = [\"\"]", "must be a domain"),
        ("email_domains = [\"*.eve.test\"]", "must be a domain"),
    ] {
        let problems = problems(["email_domains = [\"corp.test\"]", second]).unwrap_err();
        assert!(problems.contains("upstreams.1.email_domains"), "{second}: {problems}");
        assert!(problems.contains(fix), "{second}: {problems}");
    }
    let text = upstream("local", "");
    let parsed = keywright::config::parse(&text, &keywright::config::Environment::new());
    let problems = parsed.map(drop).unwrap_err().to_string();
    assert!(problems.contains("means accounts of our own"), "{problems}");
}
