//! One rotation, step by step.

use std::collections::BTreeSet;

use keywright::{
    foundation::clock::Span,
    keys::{KeyState, state_of},
    protocol::jwa::SigningAlgorithm::{EdDsa, Es256, Rs256},
};
use serde_json::Value;

use super::{ALL, DAY, HOUR, Instance, MINUTE, Settings, at, jwk_set, kids};
use crate::support::{app::TestApp, database::TestDatabase};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_one_key_of_each_kind_that_signs_at_once() {
    let database = TestDatabase::new().await;
    let one = Instance::start(&database, &Settings::default(), at(0)).await;
    assert!(one.keys.is_ready(at(0)));
    let (jwks, _) = one.keys.jwks(at(0));
    let algs: Vec<Value> = jwk_set(&jwks).iter().map(|jwk| jwk["alg"].clone()).collect();
    assert_eq!(algs[0], "RS256", "some apps take the first key they find");
    assert_eq!(algs.len(), 3);
    for alg in ALL {
        let rows = one.rows(*alg).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(one.signer(*alg, at(0)), rows[0].id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_is_announced_published_and_takes_over_in_time() {
    let database = TestDatabase::new().await;
    let one = Instance::start(&database, &Settings::default(), at(0)).await;
    let old = one.signer(Es256, at(0));
    let ends = one.row(&old).await.signs_from.plus(Span::from_days(90));
    let due = ends.unix() - at(0).unix() - DAY - 2 * MINUTE;
    for early in [due - 30 * DAY, due - HOUR, due - 1] {
        one.tend(at(early)).await;
        assert_eq!(one.rows(Es256).await.len(), 1, "too early");
    }
    let made = due + MINUTE;
    one.tend(at(made)).await;
    let rows = one.rows(Es256).await;
    let new = rows[1].clone();
    assert_eq!((rows.len(), rows[0].signs_until), (2, Some(new.signs_from)));
    assert_eq!(state_of(&new, at(made)), KeyState::Announced);
    assert!(new.signs_from >= ends, "the old key signs for its whole interval");
    assert!(new.published_at >= at(made + MINUTE), "every instance learns of it before");
    assert!(new.signs_from.since(new.published_at) >= Span::from_days(1));

    let second = Span::from_seconds(1);
    let stands = |moment| kids(&one.keys.jwks(moment).0).contains(&new.id);
    assert!(!stands(new.published_at.minus(second)));
    assert!(stands(new.published_at));
    one.refresh(new.signs_from.minus(second)).await;
    assert_eq!(one.signer(Es256, new.signs_from.minus(second)), old);
    let last = one.sign(Es256, new.signs_from.minus(second)).unwrap();
    assert_eq!(one.signer(Es256, new.signs_from), new.id);

    let gone = one.row(&old).await.gone_at.unwrap();
    assert!(gone > new.signs_from.plus(Settings::default().token_lifetime));
    for (moment, there) in [(new.signs_from, true), (gone.minus(second), true), (gone, false)] {
        assert_eq!(kids(&one.keys.jwks(moment).0).contains(&old), there, "{moment:?}");
        assert_eq!(one.verifies(&last, moment), there, "{moment:?}");
    }
    assert!(kids(&one.keys.jwks(gone).0).contains(&new.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jwks_is_never_cached_beyond_its_next_change() {
    let database = TestDatabase::new().await;
    let one = Instance::start(&database, &Settings::default(), at(0)).await;
    let cap = Settings::default().keys.jwks_max_age;
    assert_eq!(one.keys.jwks(at(0)).1, cap);
    one.rotate(Es256, at(0)).await.unwrap();
    one.refresh(at(0)).await;
    let rows = one.rows(Es256).await;
    let changes = [rows[1].published_at, rows[0].gone_at.unwrap()];
    for change in changes {
        let before = kids(&one.keys.jwks(change.minus(Span::from_seconds(1))).0);
        for seconds in [1, 2, 59, 60, 299, 300, 301, 3_600] {
            let now = change.minus(Span::from_seconds(seconds));
            one.refresh(now).await;
            let (jwks, max_age) = one.keys.jwks(now);
            if changes.iter().all(|other| *other == change || *other < now || *other > change) {
                assert!(now.plus(max_age) <= change, "{seconds} s before a change: {max_age}");
            }
            if seconds <= 60 {
                assert_eq!(kids(&jwks), before);
                assert_eq!(max_age, Span::from_seconds(seconds), "no shorter than it could be");
            }
        }
        one.refresh(change).await;
        assert_ne!(kids(&one.keys.jwks(change).0), before, "nothing changed at {change:?}");
    }
    let after = changes[1];
    assert_eq!(one.keys.jwks(after).1, cap);
}

/// The same over HTTP: `Cache-Control` follows the next change, and the entity tag the content.
#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_says_how_long_and_whether_it_changed() {
    let app = TestApp::start().await;
    let jwks = "/.well-known/jwks.json";
    let first = app.get(jwks, None).await;
    assert_eq!(first.headers["cache-control"], "public, max-age=300");
    let (rotation, now) = (app.app.keys.rotation(), app.app.now());
    rotation.rotate(&app.app.store, Es256, now).await.unwrap().unwrap();
    app.app.keys.refresh(&app.app.store, now).await.unwrap();
    let announced = app.get(jwks, None).await;
    assert_eq!(announced.headers["cache-control"], "public, max-age=120");
    assert_eq!(announced.body, first.body);
    assert_eq!(announced.headers["etag"], first.headers["etag"]);
    app.clock.advance(120);
    let published = app.get(jwks, None).await;
    assert_ne!(published.headers["etag"], first.headers["etag"]);
    assert_eq!(published.json()["keys"].as_array().unwrap().len(), 4);
    let request = |tag: &axum::http::HeaderValue| {
        axum::http::Request::builder()
            .uri(format!("{}{jwks}", crate::support::app::ISSUER))
            .header("if-none-match", tag)
            .body(bytes::Bytes::new())
            .unwrap()
    };
    let same = app.send(request(&published.headers["etag"])).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    let changed = app.send(request(&first.headers["etag"])).await;
    assert_eq!((changed.status.as_u16(), changed.body), (200, published.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn rotating_by_hand_twice_makes_one_successor() {
    let database = TestDatabase::new().await;
    let one = Instance::start(&database, &Settings::default(), at(0)).await;
    let old = one.signer(Rs256, at(0));
    let new = one.rotate(Rs256, at(DAY)).await.unwrap();
    assert_eq!(one.rotate(Rs256, at(DAY + 1)).await, None);
    one.tend(at(DAY + HOUR)).await;
    assert_eq!(one.rows(Rs256).await.len(), 2);
    assert_eq!(one.signer(Rs256, at(DAY + HOUR)), old, "not before everybody can know it");
    assert_eq!(one.rows(Es256).await.len(), 1, "the other algorithms are left alone");
    let takes_over = one.row(&new).await.signs_from;
    assert!(takes_over <= at(2 * DAY + HOUR), "a rotation by hand does not wait for the schedule");
    one.tend(takes_over).await;
    assert_eq!(one.signer(Rs256, takes_over), new);
    assert!(one.rotate(Rs256, takes_over).await.is_some(), "the next one may follow");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_halves_are_neither_published_nor_stored_in_the_open() {
    const PUBLIC: [&str; 8] = ["kid", "use", "alg", "kty", "n", "e", "crv", "x"];
    let database = TestDatabase::new().await;
    let one = Instance::start(&database, &Settings::default(), at(0)).await;
    let (jwks, _) = one.keys.jwks(at(0));
    for jwk in jwk_set(&jwks) {
        let members: BTreeSet<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = match jwk["kty"].as_str().unwrap() {
            "RSA" => BTreeSet::from(["n", "e"]),
            "EC" => BTreeSet::from(["crv", "x", "y"]),
            "OKP" => BTreeSet::from(["crv", "x"]),
            other => panic!("{other}"),
        };
        expected.extend(["kid", "use", "alg", "kty"]);
        assert_eq!(members, expected);
        assert!(members.iter().all(|name| PUBLIC.contains(name) || *name == "y"));
        assert_eq!(jwk["use"], "sig");
    }
    for alg in [Rs256, Es256, EdDsa] {
        let row = &one.rows(alg).await[0];
        let shows =
            |text: &str| row.private_key.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        assert!(!shows("\"d\"") && !shows("kty") && !shows("PRIVATE"), "{alg}");
        let public: Value = serde_json::from_str(&row.public_jwk).unwrap();
        assert_eq!((public.get("d"), &public["kid"]), (None, &Value::from(row.id.as_str())));
    }
}
