//! The sign-up table: who gets an account through an upstream, and who always gets in.

use keywright::config;
use serde_json::json;

use super::{Witness, gets_in, is_refusal_page, no_session_cookie, rebuilt, sign_in_at, user};
use crate::support::{
    app::{Builder, TestApp},
    fake_upstream::FakeUpstream,
};

/// Signs in with a new browser and expects to be turned away at the door: a page that says that
/// there is no account yet, nothing created, one event.
pub(super) async fn is_turned_away(app: &TestApp, slug: &str, reason: &str) -> Result<(), String> {
    let witness = Witness::of(app).await;
    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, slug).await;
    if let Some(target) = journey.stopped_at {
        return Err(format!("got through to {target}"));
    }
    let event = witness.only_refusal().await?;
    is_refusal_page(journey.last(), 403, &event)?;
    no_session_cookie(&browser)?;
    let said = journey.last().text();
    if event.reason.as_deref() == Some(reason) && said.contains("no account") {
        return Ok(());
    }
    Err(format!("{:?} instead of {reason}: {said}", event.reason))
}

/// `[signup]` with this for people of upstreams, and settings of the upstream.
fn with(builder: Builder, upstream: &FakeUpstream, federated: &str, more: &str) -> Builder {
    builder.config(&format!("[signup]\nfederated = {federated:?}")).upstream("kc", upstream, more)
}

async fn app_with(upstream: &FakeUpstream, federated: &str, more: &str) -> TestApp {
    with(TestApp::builder(), upstream, federated, more).start().await
}

const GROUPS: &str = "groups = { claim = \"groups\" }\n";

/// Unknown and allowed by `signup.federated`, which is open unless said otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_an_account_where_signing_up_is_open() {
    let (app, _upstream) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    let upstream = FakeUpstream::start().await;
    let app = app_with(&upstream, "open", "").await;
    gets_in(&app, "kc").await.unwrap();
    assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
}

/// Unknown and not allowed; and the first person to come gets nothing either.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_away_where_signing_up_is_closed() {
    for federated in ["closed", "invite"] {
        let upstream = FakeUpstream::start().await;
        let app = app_with(&upstream, federated, "").await;
        for _ in 0..2 {
            is_turned_away(&app, "kc", "signup_closed").await.unwrap();
        }
        assert_eq!((app.count("users").await, app.count("identities").await), (0, 0));
    }
}

/// `DISABLE_SIGNUP=true` is both toggles closed, whatever the file says.
#[test]
fn disable_signup_closes_both_ways() {
    let environment = [("DISABLE_SIGNUP", "true")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    let text = "[signup]\nlocal = \"open\"\nfederated = \"open\"";
    let config = config::parse(text, &environment).unwrap();
    assert_eq!(config.signup.local, config::SignupMode::Closed);
    assert_eq!(config.signup.federated, config::SignupMode::Closed);
    assert!(config.signup.disabled, "whatever is set at run time");
}

/// The upstream's own rule decides for this upstream, whether the toggle is open or closed.
#[tokio::test(flavor = "multi_thread")]
async fn the_rule_of_an_upstream_decides_who_gets_an_account() {
    let staff = json!({
        "sub": "staff", "email": "a@corp.test", "email_verified": true, "groups": ["staff"],
    });
    let of_domain = json!({"sub": "domain", "email": "b@corp.test", "email_verified": true});
    let of_group = json!({"sub": "group", "email": "c@evil.test", "groups": ["staff"]});
    let stranger = json!({"sub": "x", "email": "d@evil.test", "groups": ["guests"]});
    let (domains, groups) = ("domains = [\"other.test\", \"corp.test\"]", "groups = [\"staff\"]");
    let both = format!("{domains}, {groups}");
    // Which rule, and what becomes of the four people.
    let table: [(&str, [Option<&str>; 4]); 3] = [
        (domains, [None, None, Some("signup_domain"), Some("signup_domain")]),
        (groups, [None, Some("signup_group"), None, Some("signup_group")]),
        (&both, [None, Some("signup_group"), Some("signup_domain"), Some("signup_domain")]),
    ];
    for federated in ["open", "invite", "closed"] {
        for (rule, outcomes) in &table {
            let upstream = FakeUpstream::start().await;
            let more = format!("{GROUPS}signup = {{ {rule} }}");
            let app = app_with(&upstream, federated, &more).await;
            let people = [&staff, &of_domain, &of_group, &stranger];
            for (person, outcome) in people.into_iter().zip(outcomes) {
                upstream.set_person(person.clone());
                let done = match outcome {
                    None => gets_in(&app, "kc").await,
                    Some(reason) => is_turned_away(&app, "kc", reason).await,
                };
                done.unwrap_or_else(|fault| panic!("{federated} {rule} {person}: {fault}"));
            }
        }
    }
}

/// UP-20: groups of the rule are those that are called so here, after filter and renaming.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_means_groups_as_they_are_called_here() {
    let upstream = FakeUpstream::start().await;
    let more = "groups = { claim = \"groups\", match = \"^app-(.*)$\", rename = \"$1\" }\n\
                signup = { groups = [\"staff\"] }";
    let app = app_with(&upstream, "closed", more).await;
    for groups in [json!(["staff"]), json!(["app-guests"]), json!("xapp-staff"), json!(null)] {
        upstream.set_person(json!({"sub": "x", "groups": groups}));
        is_turned_away(&app, "kc", "signup_group").await.unwrap();
    }
    upstream.set_person(json!({"sub": "x", "groups": ["app-staff"]}));
    gets_in(&app, "kc").await.unwrap();
}

/// Known identities sign in, always, whatever toggles and rules say now.
#[tokio::test(flavor = "multi_thread")]
async fn people_who_are_known_always_get_in() {
    let upstream = FakeUpstream::start().await;
    let mut app = app_with(&upstream, "open", "").await;
    gets_in(&app, "kc").await.unwrap();
    let rules = ["", "signup = { domains = [\"other.test\"] }", "signup = { groups = [\"none\"] }"];
    for federated in ["closed", "invite"] {
        for rule in rules {
            app = rebuilt(app, |builder| with(builder, &upstream, federated, rule)).await;
            gets_in(&app, "kc").await.unwrap_or_else(|fault| panic!("{rule}: {fault}"));
        }
    }
    assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
}

/// Who was turned away gets an account as soon as that is allowed: nothing was left behind.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_turned_away_may_come_again() {
    let upstream = FakeUpstream::start().await;
    let closed = app_with(&upstream, "closed", "").await;
    is_turned_away(&closed, "kc", "signup_closed").await.unwrap();
    let open = rebuilt(closed, |builder| with(builder, &upstream, "open", "")).await;
    gets_in(&open, "kc").await.unwrap();
    assert_eq!(user(&open, "alice").await.email.as_deref(), Some("alice@corp.test"));
}

/// A rule that names nobody would be taken for one that names everybody.
#[test]
fn a_rule_without_names_is_no_configuration() {
    let text = "[[upstreams]]\nslug = \"kc\"\nname = \"K\"\nissuer = \"https://kc.test\"\n\
                client_id = \"c\"\nclient_secret = \"0123456789abcdef\"\nsignup = {}";
    let problems = config::parse(text, &config::Environment::new()).unwrap_err().to_string();
    assert!(problems.contains("upstreams.0.signup"), "{problems}");
}
