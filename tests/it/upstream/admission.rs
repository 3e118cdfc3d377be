//! Who may enter through an upstream at all, known or new.

use serde_json::{Value, json};

use super::{Witness, gets_in, is_refusal_page, no_session_cookie, rebuilt, sign_in_at, user};
use crate::support::{
    app::TestApp,
    fake_upstream::{FakeUpstream, Placement},
};

const GATE: &str = "groups = { claim = \"groups\" }\n\
     admit = { claims = { tid = \"t1\", kind = [\"member\", \"owner\"] }, groups = [\"staff\"], \
     domains = [\"corp.test\"] }";

fn person(changes: Value) -> Value {
    let mut person = json!({
        "sub": "1", "preferred_username": "anna", "email": "anna@corp.test",
        "email_verified": true, "tid": "t1", "kind": ["guest", "owner"], "groups": ["staff"],
    });
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    person.as_object_mut().unwrap().extend(changes);
    person
}

/// Signs in with a new browser and expects to be refused at the gate: a page in plain words, one
/// event, and nothing changed.
async fn is_refused(app: &TestApp, reason: &str) -> Result<(), String> {
    let witness = Witness::of(app).await;
    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, "kc").await;
    if let Some(target) = journey.stopped_at {
        return Err(format!("got through to {target}"));
    }
    let event = witness.only_refusal().await?;
    is_refusal_page(journey.last(), 403, &event)?;
    no_session_cookie(&browser)?;
    let said = journey.last().text();
    // The administrator is told what was missing; the person is not.
    let told = event.detail.contains("\"what\":") && !said.contains("tid");
    if told && event.reason.as_deref() == Some(reason) && said.contains("may not enter here") {
        return Ok(());
    }
    Err(format!("{:?} instead of {reason}: {said}", event.reason))
}

/// Every list that is given must be met, by people who are known as by those who are new.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_is_met_as_a_whole_or_nobody_enters() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, GATE).start().await;
    let refusals = [
        (json!({"tid": "t2"}), "not_admitted_claim"),
        (json!({"tid": null}), "not_admitted_claim"),
        (json!({"tid": ["t2"]}), "not_admitted_claim"),
        (json!({"kind": "guest"}), "not_admitted_claim"),
        (json!({"kind": {"owner": true}}), "not_admitted_claim"),
        (json!({"groups": ["/staff/leads"]}), "not_admitted_group"),
        (json!({"groups": []}), "not_admitted_group"),
        (json!({"email": "anna@evil.test"}), "not_admitted_domain"),
        (json!({"email_verified": "true"}), "not_admitted_domain"),
        (json!({"email_verified": null}), "not_admitted_domain"),
    ];
    for known in [false, true] {
        for (changes, reason) in &refusals {
            upstream.set_person(person(changes.clone()));
            let refused = is_refused(&app, reason).await;
            refused.unwrap_or_else(|fault| panic!("known: {known}, {changes}: {fault}"));
        }
        upstream.set_person(person(json!({"kind": "member"})));
        gets_in(&app, "kc").await.unwrap();
        assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
    }
    assert_eq!(user(&app, "anna").await.email.as_deref(), Some("anna@corp.test"));
}

/// A gate is no permission to sign up: both rules have to be met by whoever is new.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_enter_may_still_be_refused_an_account() {
    let upstream = FakeUpstream::start().await;
    let rules = "admit = { claims = { tid = \"t1\" } }\nsignup = { domains = [\"corp.test\"] }";
    let app = TestApp::builder().upstream("kc", &upstream, rules).start().await;
    upstream.set_person(person(json!({"email": "anna@other.test"})));
    super::signup::is_turned_away(&app, "kc", "signup_domain").await.unwrap();
    upstream.set_person(person(json!({"email": "anna@other.test", "tid": "t2"})));
    is_refused(&app, "not_admitted_claim").await.unwrap();
    upstream.set_person(person(json!({})));
    gets_in(&app, "kc").await.unwrap();
}

/// A gate that is put up later holds for those who were in before; its claims may be in UserInfo.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_is_put_up_later_holds_for_everybody() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    upstream.place_claims(Placement::UserinfoOnly);
    upstream.set_person(person(json!({"tid": "t2"})));
    gets_in(&app, "kc").await.unwrap();
    let gate = "admit = { claims = { tid = \"t1\" } }";
    let app = rebuilt(app, |builder| builder.upstream("kc", &upstream, gate)).await;
    is_refused(&app, "not_admitted_claim").await.unwrap();
    upstream.set_person(person(json!({})));
    gets_in(&app, "kc").await.unwrap();
}
