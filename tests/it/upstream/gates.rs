//! Providers at which anybody can sign in, and the gates for them: tenants, Workspace domains,
//! organisations. And providers without ID tokens.

use serde_json::{Value, json};

use super::{
    Witness, fails, is_refusal_page,
    presets::{Fixture, sign_in_by_form},
};
use crate::support::{
    app::TestApp,
    fake_upstream::{Endpoint, FakeUpstream},
};

async fn is_refused(app: &TestApp, upstream: &FakeUpstream, reason: &str) {
    let event = fails(app, upstream, "up").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some(reason), "{event:?}");
}

/// UP-19: with a templated issuer only people of listed tenants get in, each under the issuer of
/// their tenant.
#[tokio::test(flavor = "multi_thread")]
async fn people_of_other_tenants_stay_out() {
    let fixture = Fixture::read("entra-many-tenants");
    let upstream = fixture.provider().await;
    let app = fixture.builder(&upstream).start().await;
    let ours = "8f1c2a4e-3b5d-4c6e-9a7b-0123456789ab";
    let theirs = "99999999-9999-9999-9999-999999999999";
    let issuer = |tenant: &str| format!("{}/{tenant}/v2.0", upstream.origin());
    let cases = [
        (json!(theirs), issuer(theirs), "upstream_tenant"),
        (json!(theirs), issuer(ours), "upstream_tenant"),
        (json!(ours), issuer(theirs), "id_token_issuer"),
        (json!(ours), issuer("{tenantid}"), "id_token_issuer"),
        (json!("{tenantid}"), issuer("{tenantid}"), "upstream_tenant"),
        (json!([ours]), issuer(ours), "upstream_tenant"),
        (json!(ours.to_uppercase()), issuer(&ours.to_uppercase()), "upstream_tenant"),
        (Value::Null, issuer(ours), "upstream_tenant"),
    ];
    for (tid, iss, reason) in cases {
        fixture.behave(&upstream);
        upstream.misbehave(|lies| {
            lies.claims.set("tid", tid).set("iss", iss);
        });
        is_refused(&app, &upstream, reason).await;
    }
}

/// UP-19: a list of tenants also counts where the issuer is that of one tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_listed_tenant_is_refused_under_any_issuer() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("up", &upstream, "tenants = [\"t1\"]").start().await;
    is_refused(&app, &upstream, "upstream_tenant").await;
    upstream.misbehave(|lies| {
        lies.claims.set("tid", "t1");
    });
    super::gets_in(&app, "up").await.unwrap();
}

/// UP-20: the domain is in the ID token, to the letter. What was asked for, what the address looks
/// like and what UserInfo says is nothing.
#[tokio::test(flavor = "multi_thread")]
async fn people_of_other_workspaces_stay_out() {
    let fixture = Fixture::read("google");
    let upstream = fixture.provider().await;
    let app = fixture.builder(&upstream).start().await;
    let wrong = [
        Value::Null,
        json!(""),
        json!("evil.test"),
        json!("CORP.TEST"),
        json!("corp.test."),
        json!("sub.corp.test"),
        json!(["corp.test"]),
        json!(true),
    ];
    for domain in wrong {
        fixture.behave(&upstream);
        upstream.misbehave(|lies| {
            lies.claims.set("hd", domain);
            lies.userinfo.set("hd", "corp.test");
        });
        is_refused(&app, &upstream, "upstream_hosted_domain").await;
    }
    fixture.behave(&upstream);
    upstream.misbehave(|lies| {
        lies.claims.remove("hd");
    });
    is_refused(&app, &upstream, "upstream_hosted_domain").await;
    let asked = upstream.requests_to(Endpoint::Authorize);
    assert!(asked.iter().all(|request| request.param("hd") == Some("corp.test")));
}

async fn github() -> (Fixture, FakeUpstream, TestApp) {
    let fixture = Fixture::read("github");
    let upstream = fixture.provider().await;
    let app = fixture.builder(&upstream).start().await;
    (fixture, upstream, app)
}

/// Only members of a listed organisation get in, on whatever page of the list it stands.
#[tokio::test(flavor = "multi_thread")]
async fn people_of_other_organisations_stay_out() {
    let (_, upstream, app) = github().await;
    let crowd = |last: Value| {
        let mut page: Vec<Value> = (0..99).map(|n| json!({"login": format!("org-{n}")})).collect();
        page.push(last);
        json!(page)
    };
    let orgs = "/api/v3/user/orgs";
    for (pages, reason) in [
        (vec![json!([])], "upstream_organisation"),
        (vec![json!([{"login": "acme-labs"}, {"id": "acme"}, "acme"])], "upstream_organisation"),
        (vec![crowd(json!({"login": "x"})), json!([])], "upstream_organisation"),
        (vec![json!({"login": "acme"})], "upstream_userinfo_malformed"),
    ] {
        upstream.set_document(orgs, pages);
        is_refused(&app, &upstream, reason).await;
    }
    upstream.set_document(orgs, vec![crowd(json!({"login": "x"})), json!([{"login": "ACME"}])]);
    assert!(sign_in_by_form(&mut app.browser()).await.stopped_at.is_some());
}

/// UP-14: the address is the primary one, verified if the list says so; what the profile shows
/// never counts.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_comes_from_the_list_and_nowhere_else() {
    let (_, upstream, app) = github().await;
    let entry = |primary: Value, verified: Value| json!([[{"email": "alice@corp.test", "primary": primary, "verified": verified}]]);
    let cases = [
        (entry(json!(true), json!(false)), Some("alice@corp.test"), Some(false)),
        (entry(json!(true), json!("true")), Some("alice@corp.test"), Some(false)),
        (entry(json!(true), json!(true)), Some("alice@corp.test"), Some(true)),
    ];
    for (pages, email, verified) in cases {
        upstream.set_document("/api/v3/user/emails", pages.as_array().unwrap().clone());
        assert!(sign_in_by_form(&mut app.browser()).await.stopped_at.is_some());
        let account = super::user(&app, "alice").await;
        assert_eq!((account.email.as_deref(), account.email_verified), (email, verified));
    }
    let (_, upstream, app) = github().await;
    let pages = entry(json!(false), json!(true));
    upstream.set_document("/api/v3/user/emails", pages.as_array().unwrap().clone());
    assert!(sign_in_by_form(&mut app.browser()).await.stopped_at.is_some());
    assert_eq!(super::user(&app, "alice").await.email, None);
}

/// UP-15: whoever takes over a login that has become free is somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_changes_hands_is_another_account() {
    let (_, upstream, app) = github().await;
    assert!(sign_in_by_form(&mut app.browser()).await.stopped_at.is_some());
    let mallory = json!({"login": "alice", "id": 666, "email": "alice@corp.test"});
    upstream.set_document("/api/v3/user", vec![mallory]);
    assert!(sign_in_by_form(&mut app.browser()).await.stopped_at.is_some());
    assert_eq!(app.count("users").await, 2);
    assert_eq!(super::user(&app, "alice-2").await.email_verified, Some(true));
}

/// Without a subject there is nobody, whatever else is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_a_subject_stays_out() {
    let (_, upstream, app) = github().await;
    let odd = [
        json!(null),
        json!(""),
        json!(-1),
        json!(1.5),
        json!(true),
        json!([7]),
        json!({"id": 7}),
        json!("a\u{0}b"),
        json!("x".repeat(300)),
    ];
    for id in odd {
        upstream.set_document("/api/v3/user", vec![json!({"login": "alice", "id": id})]);
        is_refused(&app, &upstream, "upstream_userinfo_malformed").await;
    }
    for body in [json!([]), json!("x"), json!(7)] {
        upstream.set_document("/api/v3/user", vec![body]);
        is_refused(&app, &upstream, "upstream_userinfo_malformed").await;
    }
}

/// A refusal that comes with status 200, as GitHub sends it, is a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_with_status_200_is_one() {
    let (_, upstream, app) = github().await;
    upstream.misbehave(|lies| {
        for name in ["access_token", "token_type", "expires_in", "scope"] {
            lies.token_response.remove(name);
        }
        lies.token_response.set("error", "bad_verification_code");
    });
    let event = fails(&app, &upstream, "up").await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_token_refused"));
    assert!(event.detail.contains("bad_verification_code"), "{}", event.detail);
}

/// UP-13: an OpenID Provider without an ID token is no OAuth 2.0 server: UserInfo is never asked.
#[tokio::test(flavor = "multi_thread")]
async fn an_openid_provider_never_goes_without_an_id_token() {
    for name in ["authelia", "gitlab", "oidc"] {
        let fixture = Fixture::read(name);
        let upstream = fixture.provider().await;
        let app = fixture.builder(&upstream).start().await;
        upstream.misbehave(|lies| {
            lies.token_response.remove("id_token");
        });
        is_refused(&app, &upstream, "id_token_missing").await;
        assert_eq!(upstream.count(Endpoint::Userinfo), 0, "{name}");
    }
}

/// UP-31: the token of an OAuth 2.0 server reaches its endpoints and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_an_id_token_stays_as_secret() {
    let (_, upstream, app) = github().await;
    upstream.misbehave(|lies| {
        lies.token_response.set("refresh_token", "ghr_upstream-refresh-secret");
    });
    let mut browser = app.browser();
    let journey = sign_in_by_form(&mut browser).await;
    let mut traffic = format!("{:?} {:?}", browser.cookies().log(), app.events().await);
    for page in &journey.pages {
        traffic.extend([page.url.to_string(), format!("{:?}", page.headers), page.text()]);
    }
    assert!(!traffic.contains("upstream-access") && !traffic.contains("ghr_"), "{traffic}");
}

/// A list that cannot be fetched lets nobody in.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_cannot_be_asked_is_shut() {
    let fixture = Fixture::read("github");
    let upstream = fixture.provider().await;
    let lines = fixture.lines(&upstream).replace("groups = {}", "orgs_endpoint = \"ORIGIN/gone\"");
    let lines = lines.replace("ORIGIN", &upstream.origin());
    let app = TestApp::builder().preset("up", &upstream, &lines).start().await;
    let witness = Witness::of(&app).await;
    let journey = sign_in_by_form(&mut app.browser()).await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(journey.last(), 400, &event).unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_userinfo_failed"));
}
