//! The claims of the last sign-in are kept with the identity: sealed, bound to their row, bounded,
//! and without anything that belongs to tokens.

use keywright::{
    accounts::recorded,
    foundation::ids::{IdentityId, UpstreamSlug},
    store::identities::{self, Recorded},
};
use serde_json::{Map, Value, json};

use super::gets_in;
use crate::support::{
    app::TestApp,
    fake_upstream::{FakeUpstream, Placement},
};

async fn rows(app: &TestApp) -> Vec<Recorded> {
    let mut connection = app.app.connection().await.unwrap();
    let slug = UpstreamSlug::new("kc");
    let first = IdentityId::new("");
    let rows = identities::list_recorded(&mut connection, &slug, &first, 100).await.unwrap();
    rows.into_iter().map(|(row, _)| row).collect()
}

fn opened(app: &TestApp, row: &Recorded) -> Option<Map<String, Value>> {
    recorded::open(&app.app.rows_ring, row)
}

/// UP-31: claims are kept, and nothing of tokens; the row alone opens them.
#[tokio::test(flavor = "multi_thread")]
async fn claims_of_the_last_sign_in_are_kept_sealed() {
    let (app, upstream) = TestApp::with_upstream().await;
    let anna = |name: &str| json!({"sub": "1", "name": name, "email": "canary@corp.test"});
    upstream.misbehave(|lies| {
        lies.claims.set("jti", "canary-jti").set("refresh_token", "canary-token");
    });
    for name in ["First", "Second"] {
        upstream.set_person(anna(name));
        gets_in(&app, "kc").await.unwrap();
    }
    upstream.set_person(json!({"sub": "2", "name": "Other"}));
    gets_in(&app, "kc").await.unwrap();
    let rows = rows(&app).await;
    let of = |subject: &str| rows.iter().find(|row| row.subject == subject).unwrap();
    let (own, other) = (of("1"), of("2"));
    let claims = opened(&app, own).unwrap();
    assert_eq!((&claims["name"], &claims["sub"]), (&json!("Second"), &json!("1")));
    for absent in ["nonce", "at_hash", "jti", "refresh_token", "access_token", "id_token"] {
        assert!(!claims.contains_key(absent), "{absent}");
    }
    let sealed = own.claims.as_deref().unwrap();
    assert!(!String::from_utf8_lossy(sealed).contains("canary"));
    // Moved to another row it does not open.
    let moved = Recorded {
        id: other.id.clone(),
        issuer: other.issuer.clone(),
        subject: other.subject.clone(),
        claims: own.claims.clone(),
        confirmed_at: other.confirmed_at,
    };
    assert_eq!(opened(&app, &moved), None);
}

/// UP-34: claims that are too large are not kept; those of the sign-in before are not kept either.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_claims_are_not_kept() {
    let upstream = FakeUpstream::start().await;
    let rule = "groups = { claim = \"groups\" }";
    let app = TestApp::builder().upstream("kc", &upstream, rule).start().await;
    upstream.place_claims(Placement::UserinfoOnly);
    upstream.set_person(json!({"sub": "1", "name": "Small"}));
    gets_in(&app, "kc").await.unwrap();
    assert!(opened(&app, &rows(&app).await[0]).is_some());
    upstream.set_person(json!({"sub": "1", "name": "x".repeat(100_000)}));
    gets_in(&app, "kc").await.unwrap();
    assert_eq!(rows(&app).await[0].claims, None);
}
