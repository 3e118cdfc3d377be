//! Taking a way in away: never the last one, and with everything that came in by it.

use super::{House, assert_refused, handles};
use crate::{
    sessions::{SESSION, cookie, form_token, person_of},
    support::{
        app::Answer,
        browser::{Browser, Page},
        journey::{code_by_session, is_active, redeem},
    },
    upstream::{Witness, rebuilt, sign_in_at, user},
};

const TOLD: &str = r#"
[[clients]]
id = "told"
name = "Told"
secret = "told-secret-0123456789"
redirect_uris = ["https://told.test/cb"]
backchannel_logout_uri = "https://told.test/bye"
"#;

const OFFLINE: &str = r#"
[[clients]]
id = "off"
name = "Offline"
secret = "off-secret-0123456789"
redirect_uris = ["https://off.test/cb"]
offline_after_logout = true
"#;

const PASSWORDS_OFF: &str =
    "[passwords]\nlogin = \"off\"\nargon2_memory_kib = 64\nargon2_passes = 1";

async fn tokens(house: &House, browser: &mut Browser) -> Answer {
    let code = code_by_session(browser, "web", &[]).await;
    redeem(&house.app, "web", &code).await
}

async fn unlink(browser: &mut Browser, handle: &str) -> Page {
    let token = form_token(browser).await;
    browser.post_form("/account/unlink", &[("csrf", &token), ("handle", handle)]).await
}

/// Unlinking ends what was begun through the upstream, and nothing else; the apps are told.
#[tokio::test(flavor = "multi_thread")]
async fn unlinking_ends_what_came_in_by_it() {
    let house = House::with(|builder| builder.config(TOLD), "").await;
    let mut bob = house.signed_in("bob").await;
    house.link(&mut bob, "kc").await;
    house.link(&mut bob, "other").await;
    let mut through = Vec::new();
    for slug in ["kc", "other"] {
        let mut browser = house.passing();
        sign_in_at(&mut browser, slug).await.landing();
        let tokens = tokens(&house, &mut browser).await;
        browser.stop_at("https://told.test/");
        let code = code_by_session(&mut browser, "told", &[]).await;
        assert_eq!(redeem(&house.app, "told", &code).await.status, 200);
        let csrf = form_token(&mut browser).await;
        let form = [("csrf", csrf.as_str()), ("name", slug), ("lifetime", "1d")];
        let form = [&form[..], &[("scope.openid", "yes")]].concat();
        assert_eq!(browser.post_form("/account/tokens", &form).await.status, 200);
        through.push((cookie(&browser, SESSION), tokens));
    }
    let own = (cookie(&bob, SESSION), tokens(&house, &mut bob).await);
    let mut stranger = house.signed_in("mallory").await;
    let theirs = (cookie(&stranger, SESSION), tokens(&house, &mut stranger).await);

    let identity = house.identities("bob").await.into_iter().find(|one| one.subject == "7");
    let page = unlink(&mut bob, identity.unwrap().id.as_str()).await;
    assert_eq!(page.header("location"), Some("/account"), "{}", page.text());
    let alive = async |(secret, tokens): &(String, Answer)| {
        let person = person_of(&house.app, secret).await;
        let token = tokens.text("refresh_token");
        (person, is_active(&house.app, "web", &token).await)
    };
    assert_eq!(alive(&through[0]).await, (None, false));
    for kept in [&through[1], &own] {
        assert_eq!(alive(kept).await, (Some("bob".to_owned()), true));
    }
    assert_eq!(alive(&theirs).await, (Some("mallory".to_owned()), true));
    assert_eq!(house.app.count("logout_deliveries").await, 1);
    assert_eq!(house.app.count("grants WHERE revoked_because = 'unlinked'").await, 2);
    let living = "personal_access_tokens WHERE name = 'other' AND revoked_at IS NULL";
    assert_eq!(house.app.count(living).await, 1, "what was made on the word of the other");
    let dead = "personal_access_tokens WHERE name = 'kc' AND revoked_at IS NOT NULL";
    assert_eq!(house.app.count(dead).await, 1);
    let event = house.done("unlink").await.remove(0);
    assert_eq!(event.user_id, Some(user(&house.app, "bob").await.id));

    // Who is there leads to nobody now, and can be linked again.
    sign_in_at(&mut house.passing(), "kc").await.landing();
    assert_eq!(house.identities("seven").await.len(), 1);
    assert_eq!(house.identities("bob").await.len(), 1);
}

/// Tokens that outlive their session end with the link as well.
#[tokio::test(flavor = "multi_thread")]
async fn unlinking_ends_what_outlived_its_session() {
    let house = House::with(|builder| builder.config(OFFLINE), "").await;
    let mut bob = house.signed_in("bob").await;
    house.link(&mut bob, "kc").await;
    let mut browser = house.passing();
    browser.stop_at("https://off.test/");
    sign_in_at(&mut browser, "kc").await.landing();
    let code = code_by_session(&mut browser, "off", &[]).await;
    let tokens = redeem(&house.app, "off", &code).await;
    let page = browser.get("/account").await;
    browser.submit(&page, &page.form_to("/logout")).await;
    let refresh = tokens.text("refresh_token");
    assert!(is_active(&house.app, "off", &refresh).await, "it works without the person");
    let handle = house.identities("bob").await.remove(0).id.to_string();
    unlink(&mut bob, &handle).await;
    assert!(!is_active(&house.app, "off", &refresh).await);
}

/// LK-19: the last way in is not taken away. A password counts only where passwords do.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_in_stays() {
    let house = House::build().await;
    let mut browser = house.passing();
    sign_in_at(&mut browser, "kc").await.landing();
    let handle = house.identities("seven").await.remove(0).id.to_string();
    let page = browser.get("/account").await;
    assert!(handles(&page).is_empty() && page.text().contains("Your only way in"));
    let witness = Witness::of(&house.app).await;
    let page = unlink(&mut browser, &handle).await;
    assert_refused(&witness, &page, 409, ("unlink", "last_way_in")).await;

    // Another way in, and each may go; then the other is the last.
    let page = super::connect(&mut browser, "other").await;
    assert_eq!(browser.follow(page).await.last().url.path(), "/account");
    let page = browser.get("/account").await;
    assert_eq!(handles(&page).len(), 2);
    let other = house.identities("seven").await.into_iter().find(|one| one.subject == "8").unwrap();
    assert_eq!(unlink(&mut browser, other.id.as_str()).await.status, 303);
    assert_eq!(unlink(&mut browser, &handle).await.status, 409);
    assert_eq!(house.app.count("identities").await, 1);
}

/// LK-19: an upstream that is switched off is no way in, and neither is a password where passwords
/// are.
#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_is_shut_is_no_way_in() {
    let house = House::build().await;
    let mut bob = house.signed_in("bob").await;
    house.link(&mut bob, "kc").await;
    house.link(&mut bob, "other").await;
    let all = house.identities("bob").await;
    let of = |subject: &str| all.iter().find(|one| one.subject == subject).unwrap().id.to_string();
    let cookies = bob.cookies().clone();
    drop(bob);
    let (seven, eight) = (of("7"), of("8"));
    let House { app, kc, other } = house;
    let shut = rebuilt(app, |builder| {
        builder.config(PASSWORDS_OFF).upstream("kc", &kc, "").upstream(
            "other",
            &other,
            "enabled = false",
        )
    });
    let shut = shut.await;
    let mut bob = shut.browser();
    *bob.cookies_mut() = cookies;
    let witness = Witness::of(&shut).await;
    let page = unlink(&mut bob, &seven).await;
    assert_refused(&witness, &page, 409, ("unlink", "last_way_in")).await;
    assert_eq!(unlink(&mut bob, &eight).await.status, 303, "kc is still there");
}

/// LK-19: of two that would leave nothing together, one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_leave_one_way_in() {
    let house = House::build().await;
    let cookies = house.signed_in("bob").await.cookies().clone();
    let House { app, kc, other } = house;
    let app = rebuilt(app, |builder| {
        builder.config(PASSWORDS_OFF).upstream("kc", &kc, "").upstream("other", &other, "")
    });
    let house = House { app: app.await, kc, other };
    let mut bob = house.browser();
    *bob.cookies_mut() = cookies;
    for _ in 0..5 {
        for slug in ["kc", "other"] {
            if house.app.count(&format!("identities WHERE upstream = '{slug}'")).await == 0 {
                house.link(&mut bob, slug).await;
            }
        }
        let page = bob.get("/account").await;
        let token = page.form_to("/logout").value("csrf").unwrap().to_owned();
        let both = handles(&page).into_iter().map(|handle| {
            let (mut browser, token) = (bob.clone(), token.clone());
            async move {
                let fields = [("csrf", token.as_str()), ("handle", handle.as_str())];
                browser.post_form("/account/unlink", &fields).await.status
            }
        });
        let mut statuses = futures_util::future::join_all(both).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 409]);
        assert_eq!(house.app.count("identities").await, 1);
    }
}

/// Nobody takes away what is somebody else's, or learns whether it is there.
#[tokio::test(flavor = "multi_thread")]
async fn links_of_others_are_unknown() {
    let house = House::build().await;
    let mut bob = house.signed_in("bob").await;
    house.link(&mut bob, "kc").await;
    let handle = house.identities("bob").await.remove(0).id.to_string();
    let mut mallory = house.signed_in("mallory").await;
    for handle in [handle.as_str(), "", "x", "' OR 1=1 --", "\0", &"9".repeat(10_000)] {
        let witness = Witness::of(&house.app).await;
        let page = unlink(&mut mallory, handle).await;
        assert_refused(&witness, &page, 404, ("unlink", "identity_unknown")).await;
    }
    assert_eq!(house.identities("bob").await.len(), 1);
}
