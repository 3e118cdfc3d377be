//! What is made while something ends does not outlive it (RX-03).

use std::sync::Arc;

use keywright::{
    foundation::ids::UserId,
    sessions,
    store::{grants::RevokedBecause, users},
};
use tokio::task::JoinSet;

use super::{FAST, send};
use crate::{
    personal_access_tokens::ask_for,
    refresh::family::{present_patiently, sign_in_with},
    sessions::{cookie_line, form_token, sign_in},
    support::{
        app::{TestApp, breathe},
        browser::{Browser, Form, Page},
        inbox::Inbox,
        journey::authorize_path,
    },
};

const ROUNDS: usize = 30;

/// Whether anything lives that belongs to somebody or something that is dead.
async fn assert_no_orphans(app: &TestApp, what: &str) {
    let shut = "(SELECT id FROM users WHERE disabled_at IS NOT NULL)";
    let dead = "(SELECT id FROM sessions WHERE ended_at IS NOT NULL)";
    for living in [
        format!("sessions WHERE ended_at IS NULL AND user_id IN {shut}"),
        format!("grants WHERE revoked_at IS NULL AND user_id IN {shut}"),
        format!("grants WHERE revoked_at IS NULL AND session_id IN {dead}"),
        format!(
            "refresh_tokens WHERE consumed_at IS NULL AND grant_id IN \
             (SELECT id FROM grants WHERE revoked_at IS NULL AND user_id IN {shut})"
        ),
        format!("personal_access_tokens WHERE revoked_at IS NULL AND user_id IN {shut}"),
    ] {
        assert_eq!(app.count(&living).await, 0, "{what}: {living}");
    }
}

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Disabling,
    Deletion,
}

/// A browser that waits with a password, and one that is signed in.
async fn people(app: &TestApp, name: &str) -> (Browser, (Browser, Page, Form)) {
    let mut owner = app.browser();
    sign_in(&mut owner, name).await;
    let mut newcomer = app.browser();
    let page = newcomer.visit(&authorize_path("web", &[])).await.last().clone();
    let password = format!("{name}-password");
    let form = page.form_to("/login").fill("username", name).fill("password", &password);
    (owner, (newcomer, page, form))
}

/// Shuts an account as the command line does.
async fn disable(app: &TestApp, user: &UserId) {
    let now = app.app.now();
    let mut connection = app.app.connection().await.unwrap();
    connection
        .transaction(async |conn| {
            let _ = users::disable(conn, user, now).await?;
            let because = RevokedBecause::UserDisabled;
            sessions::end_all_of_user(conn, user, &app.app.clients, because, now).await
        })
        .await
        .unwrap();
}

async fn end(app: &TestApp, ending: Ending, owner: &mut Browser, user: &UserId, name: &str) {
    if ending == Ending::Disabling {
        return disable(app, user).await;
    }
    // Whoever is told to come back comes back.
    let mut page = send(owner, "/account/delete", &[("username", name)]).await;
    while page.status == 503 {
        breathe().await;
        page = send(owner, "/account/delete", &[("username", name)]).await;
    }
    assert_eq!(page.status, 200, "{}", page.text());
}

/// RX-03: an account that is shut or deleted, against a sign-in, a refresh and a new token at the same
/// moment. Afterwards nothing of it lives, whoever was first.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_past_the_end_of_an_account() {
    let inbox = Inbox::open();
    let app = Arc::new(inbox.builder(FAST).start().await);
    let (mut got_in, mut refreshed, mut made) = (0, 0, 0);
    for round in 0..ROUNDS {
        let ending = if round % 2 == 0 { Ending::Disabling } else { Ending::Deletion };
        let name = format!("bob{round}");
        let user = app.add_user(&name, &[]).await.id;
        let (mut owner, (mut newcomer, page, form)) = people(&app, &name).await;
        let tokens = sign_in_with(&app, &mut app.browser(), "web", &name).await;
        let mut maker = app.browser();
        sign_in(&mut maker, &name).await;

        let wait = async move || {
            if round % 3 == 0 {
                breathe().await;
            }
        };
        let mut racers: JoinSet<(&str, bool)> = JoinSet::new();
        racers.spawn(async move {
            wait().await;
            let answer = newcomer.submit(&page, &form).await;
            ("sign-in", answer.status == 303)
        });
        let (own, token) = (Arc::clone(&app), tokens.refresh.clone());
        racers.spawn(async move {
            wait().await;
            ("refresh", present_patiently(&own, "web", &token).await.status == 200)
        });
        racers.spawn(async move {
            let page = try_token(&mut maker).await;
            ("token", page.is_some_and(|page| page.text().contains("<pre id=\"token\"")))
        });
        end(&app, ending, &mut owner, &user, &name).await;
        for (what, done) in racers.join_all().await {
            match what {
                "sign-in" => got_in += usize::from(done),
                "refresh" => refreshed += usize::from(done),
                _ => made += usize::from(done),
            }
        }
        assert_no_orphans(&app, &format!("round {round}, {ending:?}")).await;
        tokens.assert_dead(&app).await;
    }
    println!("of {ROUNDS}: {got_in} signed in, {refreshed} refreshed, {made} made a token");
}

/// Makes a token, if the session lets them.
async fn try_token(browser: &mut Browser) -> Option<Page> {
    let page = browser.get("/account/tokens").await;
    if page.status != 200 {
        return None;
    }
    let forms = page.forms();
    let form = forms.iter().find(|form| form.action.path() == "/account/tokens")?;
    let csrf = form.value("csrf")?.to_owned();
    let fields =
        [("csrf", csrf.as_str()), ("name", "t"), ("lifetime", "30d"), ("scope.openid", "yes")];
    Some(browser.post_form("/account/tokens", &fields).await)
}

/// RX-03: who signs out everywhere, tokens included, against a token that another browser of theirs is
/// making: there is none afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_made_past_the_end_of_its_session() {
    let app = Arc::new(TestApp::builder().config(FAST).start().await);
    app.add_user("bob", &[]).await;
    let mut made = 0;
    for round in 0..ROUNDS {
        let mut thief = app.browser();
        sign_in(&mut thief, "bob").await;
        let mut owner = app.browser();
        sign_in(&mut owner, "bob").await;
        let csrf = form_token(&mut owner).await;
        let name = format!("t{round}");
        let cookies = cookie_line(&thief);
        assert!(cookies.contains("__Host-kw-session"));
        let mut racers = JoinSet::new();
        racers.spawn(async move {
            if round % 2 == 0 {
                breathe().await;
            }
            let fields = [("name", name.as_str()), ("lifetime", "30d"), ("scope.openid", "yes")];
            let csrf = thief.get("/account").await;
            let forms = csrf.forms();
            let csrf = forms.iter().find_map(|form| form.value("csrf").map(str::to_owned))?;
            let fields = [&fields[..], &[("csrf", csrf.as_str())]].concat();
            Some(thief.post_form("/account/tokens", &fields).await)
        });
        let fields = [("csrf", csrf.as_str()), ("tokens", "yes")];
        let page = owner.post_form("/account/everywhere", &fields).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = racers.join_all().await.remove(0);
        made += usize::from(page.is_some_and(|page| page.text().contains("<pre id=\"token\"")));
        let living = app.count("personal_access_tokens WHERE revoked_at IS NULL").await;
        assert_eq!(living, 0, "round {round}");
        assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0, "round {round}");
    }
    println!("of {ROUNDS}: {made} were made, and revoked");
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let fields = [("name", "last"), ("lifetime", "30d"), ("scope.openid", "yes")];
    assert_eq!(ask_for(&mut browser, &fields).await.status, 200, "tokens can be made");
}
