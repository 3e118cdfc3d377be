//! From claims to accounts, case by case.

use serde_json::json;

use super::*;
use crate::config;

fn settings(more: &str) -> UpstreamSettings {
    let text = format!(
        "[[upstreams]]\nslug = \"kc\"\nname = \"Kc\"\nissuer = \"https://kc.test\"\nclient_id = \"a\"\nclient_secret = \"b\"\n{more}"
    );
    config::parse(&text, &config::Environment::new())
        .unwrap_or_else(|problems| panic!("{problems}"))
        .upstreams
        .remove(0)
}

fn mapped(more: &str, claims: &Value) -> MappedPerson {
    map(&settings(more), claims.as_object().unwrap())
}

#[test]
fn the_usual_claims_fill_an_account() {
    let person = mapped(
        "",
        &json!({
            "preferred_username": "alice", "email": "alice@corp.test", "email_verified": true,
            "name": "Alice Berg", "picture": "https://corp.test/a.png", "groups": ["admin"],
        }),
    );
    let other = mapped(
        "claims = { email = [\"upn\"] }",
        &json!({ "upn": "boss@corp.test", "email": "alice@corp.test", "email_verified": true }),
    );
    assert_eq!(other.email_verified, None, "the claim speaks of `email`, not of `upn`");
    let expected = MappedPerson {
        username: Some("alice".to_owned()),
        email: Some("alice@corp.test".to_owned()),
        email_verified: Some(true),
        name: Some("Alice Berg".to_owned()),
        picture: Some("https://corp.test/a.png".to_owned()),
        groups: Vec::new(),
    };
    assert_eq!(person, expected, "UP-33: groups give nothing without a rule");
}

/// UP-14: only the JSON value `true` verifies an address, and silence is not a no.
#[test]
fn email_verified_has_three_values() {
    let said = |value: Value, trust: &str| {
        let claims = json!({ "email": "a@corp.test", "email_verified": value });
        mapped(&format!("email_trust = \"{trust}\""), &claims).email_verified
    };
    assert_eq!(said(json!(true), "claim"), Some(true));
    for no in [json!(false), json!("false"), json!("true"), json!(1), json!("1"), json!([])] {
        assert_eq!(said(no.clone(), "claim"), Some(false), "{no}");
    }
    assert_eq!(said(json!(null), "claim"), None);
    assert_eq!(mapped("", &json!({ "email": "a@corp.test" })).email_verified, None);
    assert_eq!(said(json!(false), "always"), Some(true));
    assert_eq!(said(json!(true), "never"), Some(false));
    assert_eq!(mapped("email_trust = \"always\"", &json!({})).email_verified, None);
}

#[test]
fn groups_are_filtered_renamed_and_prefixed() {
    let claims = json!({
        "realm_access": { "roles": ["app-staff", "app-ops", "offline_access", 7, "app-staff"] },
        "groups": ["/staff", "/staff/leads"],
        "urn:x:roles": { "editor": { "org": "1" } },
    });
    let rules = |rules: &str| mapped(&format!("groups = {{ {rules} }}"), &claims).groups;
    assert_eq!(
        rules(
            "claim = \"realm_access.roles\", match = \"^app-(.*)$\", rename = \"$1\", prefix = \"kc:\""
        ),
        ["kc:staff", "kc:ops"]
    );
    assert_eq!(rules("match = \"^staff\""), ["staff", "staff/leads"]);
    assert_eq!(rules("claim = \"urn:x:roles\""), ["editor"], "an object's names are the roles");
    assert!(rules("claim = \"nothing\"").is_empty());
}

/// UP-34, IJ-03, IJ-15: bombs are cut, dangerous addresses and marks are dropped.
#[test]
fn claim_bombs_are_defused() {
    let many: Vec<String> = (0..50_000).map(|n| format!("g{n}")).collect();
    let person = mapped(
        "groups = { claim = \"groups\" }",
        &json!({
            "preferred_username": "x".repeat(100_000), "email": "a@b@c", "name": "n\u{202e}\u{0}".repeat(100_000),
            "picture": "javascript:alert(1)", "groups": many,
        }),
    );
    assert_eq!(person.groups.len(), 500);
    assert_eq!(person.username.unwrap().len(), 56);
    assert_eq!(person.name.unwrap(), "n".repeat(255));
    assert_eq!((person.email, person.picture), (None, None));
}

#[test]
fn what_is_missing_is_looked_for_in_userinfo() {
    let settings = settings("groups = { claim = \"groups\" }");
    let full = json!({"preferred_username": "a", "email": "a@b.c", "name": "A", "groups": []});
    assert!(!lacks_claims(&settings, full.as_object().unwrap()));
    for name in ["email", "name", "groups"] {
        let mut less = full.as_object().unwrap().clone();
        less.remove(name);
        assert!(lacks_claims(&settings, &less), "{name}");
    }
}
