//! Races that conditional updates and unique columns decide.

use std::sync::Arc;

use keywright::{
    foundation::{
        clock::Span,
        ids::{GrantId, SessionId, UserId},
    },
    store::{
        Connection, Store, facts,
        grants::{self, Grant, RevokedBecause},
        refresh_tokens, sessions, users,
    },
};
use tokio::sync::Barrier;

use super::{
    connection, fresh,
    rows::{
        NOW, digest, grant, insert_family, insert_session, insert_session_of_grants, insert_user,
    },
};

/// Runs `work` fifty times at once, each with a connection of its own, and counts its `true`s.
async fn winners<F>(
    store: &Arc<Store>,
    work: impl Fn(Connection, usize) -> F + Send + Sync + 'static,
) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let line = Arc::new(Barrier::new(50));
    let work = Arc::new(work);
    let racers = (0..50).map(|number| {
        let (store, line, work) = (Arc::clone(store), Arc::clone(&line), Arc::clone(&work));
        tokio::spawn(async move {
            line.wait().await;
            let conn = connection(&store).await;
            work(conn, number).await
        })
    });
    let mut won = 0;
    for racer in racers.collect::<Vec<_>>() {
        won += usize::from(racer.await.unwrap());
    }
    won
}

/// RT-02: of fifty uses of one refresh token at once, one is the first.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_uses_of_a_refresh_token_exactly_one_wins() {
    let (store, _database) = fresh().await;
    let user = insert_user(&mut connection(&store).await, "alice").await;
    for round in 0..5 {
        let name = format!("token {round}");
        let expires = NOW.plus(Span::from_days(30));
        insert_family(&mut connection(&store).await, &user, &name, expires).await;
        let token = digest(&name);
        let won = winners(&store, move |mut conn, _| {
            let token = token.clone();
            async move { refresh_tokens::consume(&mut conn, &token, NOW).await.unwrap() }
        });
        assert_eq!(won.await, 1, "round {round}");
        let mut conn = connection(&store).await;
        let found = refresh_tokens::find(&mut conn, &digest(&name)).await.unwrap().unwrap();
        let token = found.token;
        assert_eq!(token.consumed_at, Some(NOW));
        assert!(!refresh_tokens::consume(&mut conn, &digest(&name), NOW).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_exist_is_consumed_by_nobody() {
    let (store, _database) = fresh().await;
    let mut conn = connection(&store).await;
    assert!(!refresh_tokens::consume(&mut conn, &digest("no such token"), NOW).await.unwrap());
}

/// Nothing begins in a session that has ended, whichever of the two comes first.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_never_slips_past_the_end_of_its_session() {
    let (store, _database) = fresh().await;
    let mut conn = connection(&store).await;
    let user = insert_user(&mut conn, "alice").await;
    let expires = NOW.plus(Span::from_days(30));
    for round in 0..20 {
        let name = format!("session-{round}");
        insert_session(&mut conn, &user, &name, expires).await;
        let id = SessionId::new(name.as_str());
        let grant = Grant { session_id: id.clone(), ..grant(&user, &name, expires) };
        let (mut one, mut other) = (connection(&store).await, connection(&store).await);
        let ending = async {
            sessions::end(&mut one, &id, &user, NOW).await.unwrap();
            grants::revoke_of_session(&mut one, &id, &[], RevokedBecause::SignedOut, NOW)
                .await
                .unwrap();
        };
        let (inserted, ()) = tokio::join!(grants::insert(&mut other, &grant), ending);
        let kept = grants::find_by_code(&mut conn, &grant.code_digest).await.unwrap();
        assert_eq!(kept.is_some(), inserted.unwrap());
        assert!(kept.is_none_or(|kept| kept.revoked_at.is_some()), "{round}");
        let late = Grant { code_digest: digest(&format!("late {round}")), ..grant };
        assert!(
            !grants::insert(&mut conn, &Grant { id: GrantId::new(name), ..late }).await.unwrap()
        );
    }
}

/// CD-09: the digest of a code is unique, so a code is redeemed once, whoever forgets what.
#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_grants_from_one_code_exactly_one_is_kept() {
    let (store, database) = fresh().await;
    let user = insert_user(&mut connection(&store).await, "alice").await;
    insert_session_of_grants(&mut connection(&store).await, &user).await;
    let expires = NOW.plus(Span::from_days(30));
    let won = winners(&store, move |mut conn, _| {
        let grant = grant(&user, "the code", expires);
        async move { grants::insert(&mut conn, &grant).await.unwrap() }
    });
    assert_eq!(won.await, 1);
    let kept = super::raw::texts(&database.url, "SELECT id AS text FROM grants").await;
    assert_eq!(kept.len(), 1);
    let mut conn = connection(&store).await;
    let found = grants::find_by_code(&mut conn, &digest("the code")).await.unwrap().unwrap();
    assert_eq!(found.id.as_str(), kept[0]);
    assert!(grants::find_by_code(&mut conn, &digest("another")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_accounts_with_one_username_exactly_one_is_made() {
    let (store, _database) = fresh().await;
    let id = insert_user(&mut connection(&store).await, "template").await;
    let template = users::find(&mut connection(&store).await, &id).await.unwrap().unwrap();
    let won = winners(&store, move |mut conn, number| {
        let mut user = template.clone();
        user.id = UserId::new(format!("user-{number}"));
        user.username_key = "alice".to_owned();
        async move { users::insert(&mut conn, &user).await.unwrap() }
    });
    assert_eq!(won.await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_increments_at_once_are_all_counted() {
    let (store, _database) = fresh().await;
    let counted = winners(&store, |mut conn, _| async move {
        facts::increment(&mut conn, "counter").await.unwrap() == 1
    });
    assert_eq!(counted.await, 50);
    assert_eq!(facts::find(&mut connection(&store).await, "counter").await.unwrap(), Some(50));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_high_water_mark_only_rises() {
    let (store, _database) = fresh().await;
    let mut conn = connection(&store).await;
    let steps = [(300, true, 300), (300, false, 300), (60, false, 300), (301, true, 301)];
    for (value, rose, mark) in steps {
        assert_eq!(facts::raise(&mut conn, "mark", value).await.unwrap(), rose, "{value}");
        assert_eq!(facts::find(&mut conn, "mark").await.unwrap(), Some(mark));
    }
    assert_eq!(facts::find(&mut conn, "another").await.unwrap(), None);
    // Whatever order fifty instances come in, the highest stays.
    let rose = winners(&store, |mut conn, number| async move {
        facts::raise(&mut conn, "mark", 1_000 + i64::try_from(number).unwrap()).await.unwrap()
    });
    assert!(rose.await >= 1);
    assert_eq!(facts::find(&mut conn, "mark").await.unwrap(), Some(1_049));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_fact_is_kept_once_and_never_replaced() {
    let (store, _database) = fresh().await;
    let mut conn = connection(&store).await;
    assert_eq!(facts::find_sealed(&mut conn, "fact").await.unwrap(), None);
    let first = winners(&store, |mut conn, number| async move {
        let value = [u8::try_from(number).unwrap(); 3];
        facts::insert_sealed(&mut conn, "fact", &value).await.unwrap() == 1
    });
    assert_eq!(first.await, 1);
    let kept = facts::find_sealed(&mut conn, "fact").await.unwrap().unwrap();
    assert_eq!(facts::insert_sealed(&mut conn, "fact", b"other").await.unwrap(), 0);
    assert_eq!(facts::find_sealed(&mut conn, "fact").await.unwrap(), Some(kept));
}
