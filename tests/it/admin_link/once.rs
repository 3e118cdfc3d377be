//! Exactly one, and never again (LK-13, LK-14, PW-22).

use futures_util::future::join_all;
use keywright::accounts::{administrators as rules, invitations::ADMINISTRATOR_LIFE};

use super::{SESSION, SHUT, administrators, another, first, join, open, sign_up};
use crate::{
    invitations::{filled, form},
    sessions::stop,
    support::{app::TestApp, fake_upstream::FakeUpstream},
};

/// LK-13: fifty strangers come first, by the form and from an upstream, and nobody administers.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_administers_because_they_came_first() {
    let kc = FakeUpstream::start().await;
    let config = "[signup]\nlocal = \"open\"\n[rate_limits]\nsign_up_per_hour = 1000";
    let app = TestApp::builder().config(config).upstream("kc", &kc, "").start().await;
    let tried = join_all((0..50).map(async |number| {
        let mut browser = app.browser();
        if number % 2 == 0 {
            return sign_up(&mut browser, &format!("anna{number}")).await.status == 303;
        }
        crate::upstream::sign_in_at(&mut browser, "kc").await.stopped_at.is_some()
    }));
    assert!(tried.await.into_iter().filter(|made| *made).count() > 25);
    assert!(app.count("users").await >= 26);
    assert_eq!(administrators(&app).await, 0);
}

/// LK-13: of fifty at once with the link exactly one does.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_with_the_link_exactly_one_administers() {
    let config = format!("{SHUT}[rate_limits]\nsign_up_per_hour = 1000");
    let app = TestApp::builder().config(&config).start().await;
    // Two servers have started, and each has printed its own.
    let links = [first(&app).await.1, first(&app).await.1];
    let mut ready = Vec::new();
    for number in 0..50 {
        let mut browser = app.browser();
        let page = open(&mut browser, &links[number % 2]).await;
        let (page, form) = form(&mut browser, &page).await;
        ready.push((browser, page, filled(&form, &format!("anna{number}"))));
    }
    let tried = join_all(ready.iter_mut().map(|(browser, page, form)| browser.submit(page, form)));
    let statuses: Vec<u16> = tried.await.into_iter().map(|page| page.status).collect();
    let of = |status| statuses.iter().filter(|own| **own == status).count();
    assert_eq!((of(303), of(410)), (1, 49), "{statuses:?}");
    assert_eq!((app.count("users").await, administrators(&app).await), (1, 1));
}

/// PW-22: a link is random, good for an hour, and dies on its first use.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_random_and_short_lived() {
    let app = TestApp::builder().config(SHUT).start().await;
    let (row, path) = first(&app).await;
    let (_, other) = first(&app).await;
    assert_ne!(path, other);
    assert!(path.split_once("kw_in_").unwrap().1.len() >= 43, "256 bits: {path}");
    assert_eq!(row.expires_at, app.app.now().plus(ADMINISTRATOR_LIFE));
    app.clock.advance(3_600);
    assert_eq!(app.browser().get(&path).await.status, 410);
    assert_eq!(app.refusals("invitation").await, ["invitation_expired"]);
    // No account can sign in on a fresh installation, whatever is tried.
    for name in ["admin", "administrator", "root", "keywright"] {
        for password in ["admin", "password", "keywright", "changeme"] {
            let mut browser = app.browser();
            let fields = [("username", name), ("password", password)];
            assert!(browser.post_form("/login", &fields).await.status >= 400);
            assert!(browser.cookies().get(SESSION).is_none());
        }
    }
    assert_eq!(app.count("users").await, 0);
}

/// LK-14: once there was one, no link for the first is taken, whatever became of the accounts; only the
/// command line on the host makes another.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_never_opened_again() {
    let app = TestApp::builder().config(SHUT).start().await;
    let (_, kept) = first(&app).await;
    assert_eq!(join(&mut app.browser(), &first(&app).await.1, "anna").await.status, 303);
    let wanted = async |app: &TestApp| {
        let mut connection = app.app.connection().await.unwrap();
        let meanings = connection.meanings();
        rules::is_first_wanted(&mut connection, &meanings).await.unwrap()
    };
    assert!(!wanted(&app).await);
    let url = app.database.url.clone();
    crate::stores::raw::run(&url, "DELETE FROM grants; DELETE FROM sessions; DELETE FROM users")
        .await;
    assert_eq!(app.count("users").await, 0);
    let app = stop(app).await.config(SHUT).start().await;
    assert!(!wanted(&app).await, "an empty table opens nothing");
    let answer = join(&mut app.browser(), &kept, "eve").await;
    assert_eq!(answer.status, 410, "{}", answer.text());
    assert_eq!(app.count("users").await, 0);
    for path in ["/setup", "/admin", "/admin/setup", "/install", "/signup"] {
        assert!(app.browser().get(path).await.status >= 400, "{path}");
    }
    // The way back in, from the host.
    let (_, path) = another(&app).await;
    assert_eq!(join(&mut app.browser(), &path, "anna").await.status, 303);
    assert_eq!(administrators(&app).await, 1);
}

/// Somebody who administers already, by whatever way, is the first.
#[tokio::test(flavor = "multi_thread")]
async fn one_who_came_another_way_is_the_first() {
    let config = format!("{SHUT}[[groups]]\nname = \"chiefs\"\nrole = \"admin\"\n");
    let app = TestApp::builder().config(&config).start().await;
    let (_, path) = first(&app).await;
    app.add_user("bob", &["chiefs"]).await;
    let answer = join(&mut app.browser(), &path, "anna").await;
    assert_eq!(answer.status, 410, "{}", answer.text());
    assert_eq!(app.count("users").await, 1);
    let mut connection = app.app.connection().await.unwrap();
    let meanings = connection.meanings();
    assert!(!rules::is_first_wanted(&mut connection, &meanings).await.unwrap());
    assert!(rules::ever(&mut connection).await.unwrap());
}
