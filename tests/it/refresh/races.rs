//! Many at once, on every instance: whoever wins, a family has one living branch, and what was
//! ended stays ended.

use std::sync::Arc;

use keywright::{
    foundation::ids::UserId,
    store::{
        StoreError,
        grants::{self, RevokedBecause},
        sessions, users,
    },
};
use tokio::task::JoinSet;

use crate::{
    refresh::{
        family::{Tokens, open_app, present_patiently, sign_in, sign_in_with},
        outside::deployment,
    },
    support::{
        app::{Answer, TestApp, breathe},
        browser::Browser,
    },
};

const CROWD: usize = 50;
const ROUNDS: usize = 40;
const LIMITS: &str = "[rate_limits]\nsign_in_per_minute = 10000\n";

/// Presents one token many times at once, in turn at every instance.
async fn crowd(instances: &[Arc<TestApp>], token: &str, size: usize) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for instance in instances.iter().cycle().take(size) {
        let (app, token) = (Arc::clone(instance), token.to_owned());
        tasks.spawn(async move { present_patiently(&app, "web", &token).await });
    }
    tasks.join_all().await
}

async fn flush_events(instances: &[Arc<TestApp>]) {
    for instance in instances {
        instance.app.audit.flush().await;
    }
}

/// RT-02: without a grace one of many wins, and the others end the family.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_grace_one_of_fifty_racing_refreshes_wins_and_the_family_ends() {
    let config = format!("{LIMITS}[tokens]\nrefresh_grace = \"0s\"");
    let instances = deployment(&config).await;
    let app = &instances[0];
    app.add_user("bob", &[]).await;
    let first = sign_in(app, "web", "bob").await;

    let answers = crowd(&instances, &first.refresh, CROWD).await;
    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{won:?}");
    for answer in &lost {
        answer.assert_error(400, "invalid_grant");
    }
    flush_events(&instances).await;
    let reasons = app.refusals("token").await;
    assert!(reasons.contains(&"refresh_reuse".to_owned()), "{reasons:?}");
    let expected = ["refresh_reuse", "grant_revoked"];
    assert!(reasons.iter().all(|reason| expected.contains(&reason.as_str())), "{reasons:?}");
    assert_eq!(reasons.len(), CROWD - 1);
    assert_eq!(app.count("refresh_tokens").await, 2);
    for instance in &instances {
        first.assert_dead(instance).await;
        Tokens::of("web", &won[0]).assert_dead(instance).await;
    }
}

/// RT-03: with a grace all of many get one and the same successor, generation after generation.
#[tokio::test(flavor = "multi_thread")]
async fn within_the_grace_fifty_racing_refreshes_get_one_successor() {
    let instances = deployment(LIMITS).await;
    let app = &instances[0];
    app.add_user("bob", &[]).await;
    let mut current = sign_in(app, "web", "bob").await;
    for round in 1..=4 {
        let answers = crowd(&instances, &current.refresh, CROWD).await;
        let tokens: Vec<Tokens> = answers.iter().map(|a| Tokens::of("web", a)).collect();
        assert!(tokens.iter().all(|one| one.refresh == tokens[0].refresh), "{tokens:#?}");
        assert_ne!(tokens[0].refresh, current.refresh);
        assert_eq!(app.count("refresh_tokens").await, round + 1);
        assert_eq!(app.count("refresh_tokens WHERE consumed_at IS NULL").await, 1);
        for instance in &instances {
            tokens[CROWD - 1].assert_alive(instance).await;
        }
        current = tokens[0].clone();
    }
    flush_events(&instances).await;
    assert_eq!(app.refusals("token").await, Vec::<String>::new());
}

/// RT-03, RT-04: when old and new token race, either the new one wins and the old one is theft, or
/// the old one is answered; never do two branches live.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_and_a_new_token_that_race_leave_at_most_one_branch() {
    let instances = deployment(LIMITS).await;
    let app = &instances[0];
    app.add_user("bob", &[]).await;
    for _ in 0..10 {
        let old = sign_in(app, "web", "bob").await;
        let new = old.refreshed(app).await;
        let other = instances.last().unwrap();
        let (of_old, of_new) = tokio::join!(
            crowd(&instances, &old.refresh, 5),
            present_patiently(other, "web", &new.refresh),
        );
        let given: Vec<Tokens> =
            of_old.iter().filter(|a| a.status == 200).map(|a| Tokens::of("web", a)).collect();
        assert!(given.iter().all(|one| one.refresh == new.refresh));
        if of_old.iter().any(|answer| answer.status != 200) {
            new.assert_dead(app).await;
            assert!(of_new.status == 400 || of_new.status == 200);
        } else {
            Tokens::of("web", &of_new).assert_alive(app).await;
        }
    }
}

/// What ends a family while it is being refreshed.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Revoke,
    SignOut,
    Disable,
}

/// Ends everything as the command line does it.
async fn disable(app: &TestApp, user: &UserId) {
    let now = app.app.now();
    let mut connection = app.app.connection().await.unwrap();
    connection
        .transaction(async |conn| {
            let _ = users::disable(conn, user, now).await?;
            sessions::end_all_of_user(conn, user, None, now).await?;
            grants::revoke_of_user(conn, user, RevokedBecause::UserDisabled, now).await?;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
}

async fn end(app: &TestApp, ending: Ending, tokens: &Tokens, browser: &mut Browser, user: &UserId) {
    match ending {
        Ending::Revoke => {
            let answer = app.post_as("web", "/revoke", &[("token", &tokens.refresh)]).await;
            assert_eq!(answer.status, 200);
        }
        Ending::SignOut => {
            let hint = tokens.id.as_ref().unwrap();
            let page = browser.get(&format!("/logout?id_token_hint={hint}")).await;
            assert_eq!(page.status, 200);
            assert!(page.forms().is_empty(), "was asked to confirm");
        }
        Ending::Disable => disable(app, user).await,
    }
}

/// One round: a refresh at one instance, an ending at another, in no order.
async fn refresh_against(instances: &[Arc<TestApp>], ending: Ending, round: usize) -> u16 {
    let (app, other) = (&instances[0], instances.last().unwrap());
    let name = format!("{ending:?}{round}").to_lowercase();
    let user = app.add_user(&name, &[]).await.id;
    let mut browser = app.browser();
    let tokens = sign_in_with(app, &mut browser, "web", &name).await;
    let beside = open_app(app, &mut browser, "evil").await;
    let (refresher, token) = (Arc::clone(other), tokens.refresh.clone());
    let refreshing = async move {
        if round.is_multiple_of(2) {
            breathe().await;
        }
        present_patiently(&refresher, "web", &token).await
    };
    let refreshing = JoinSet::from_iter([refreshing]);
    end(app, ending, &tokens, &mut browser, &user).await;
    let answer = refreshing.join_all().await.remove(0);

    for instance in instances {
        tokens.assert_dead(instance).await;
        if answer.status == 200 {
            Tokens::of("web", &answer).assert_dead(instance).await;
        } else {
            answer.assert_error(400, "invalid_grant");
        }
        match ending {
            // Giving one app's token back is no sign-out.
            Ending::Revoke => beside.assert_alive(instance).await,
            Ending::SignOut | Ending::Disable => beside.assert_dead(instance).await,
        }
    }
    answer.status.as_u16()
}

/// RT-08: whatever ends a family, a refresh at the same moment brings nothing that lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_races_an_ending_leaves_nothing_alive() {
    let instances = deployment(LIMITS).await;
    for ending in [Ending::Revoke, Ending::SignOut, Ending::Disable] {
        for round in 0..ROUNDS {
            refresh_against(&instances, ending, round).await;
        }
    }
    let living = instances[0].count("grants WHERE revoked_at IS NULL").await;
    assert_eq!(living, i64::try_from(ROUNDS).unwrap(), "the other app's, where only one revoked");
}
