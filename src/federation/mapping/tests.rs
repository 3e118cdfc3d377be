//! From claims to accounts, case by case.

use serde_json::json;

use super::{
    gates::Wants::{Claim, Domain, Group},
    *,
};
use crate::config;

fn text(more: &str) -> String {
    format!(
        "[[upstreams]]\nslug = \"kc\"\nname = \"Kc\"\nissuer = \"https://kc.test\"\nclient_id = \"a\"\nclient_secret = \"b\"\n{more}"
    )
}

fn parsed(more: &str) -> Result<config::Config, config::Problems> {
    config::parse(&text(more), &config::Environment::new())
}

pub(super) fn settings(more: &str) -> UpstreamSettings {
    parsed(more).unwrap_or_else(|problems| panic!("{problems}")).upstreams.remove(0)
}

fn mapped(more: &str, claims: &Value) -> MappedPerson {
    map(&settings(more), claims.as_object().unwrap()).person
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

/// Fallbacks: the first source that holds something usable, after `match` and `rename`.
#[test]
fn texts_come_from_the_first_usable_source() {
    let claims = json!({
        "upn": "Anna.Berg@old.example", "mail": "no address", "nickname": "root", "n": 7, "empty": " ",
        "given": "Anna", "deep": {"er.still": {"name": "Deep"}}, "emails": [{"value": "e@corp.test"}],
        "https://app.test/name": "Named",
    });
    let named = |sources: &str| mapped(&format!("claims = {{ name = {sources} }}"), &claims).name;
    let table = [
        (r#""given""#, Some("Anna")),
        (r#"["missing", "n", "empty", "given"]"#, Some("Anna")),
        (r#"["deep.er.still.name"]"#, Some("Deep")),
        (r#"["https://app.test/name"]"#, Some("Named")),
        (r#"["emails.0.value"]"#, Some("e@corp.test")),
        (r#"["emails.1.value", "emails.x", "given.0", "n.n"]"#, None),
        (r#"{ value = "Guest" }"#, Some("Guest")),
        (r#"["missing", { value = "Guest" }]"#, Some("Guest")),
        (r#"[{ claim = "given", match = "^B" }, { claim = "given", match = "^A" }]"#, Some("Anna")),
        (r#"{ claim = "upn", match = '^(\w+)\.(\w+)@', rename = "$2, $1" }"#, Some("Berg, Anna")),
        (r#"[{ claim = "upn", match = "^(x?)", rename = "$1" }, "given"]"#, Some("Anna")),
        ("[]", None),
    ];
    for (sources, expected) in table {
        assert_eq!(named(sources).as_deref(), expected, "{sources}");
    }
    let person = mapped(
        r#"claims = { username = ["nickname", "upn"], email = ["mail", "emails.0.value"] }"#,
        &claims,
    );
    assert_eq!(person.username.as_deref(), Some("Anna.Berg"), "`root` is reserved");
    assert_eq!(person.email.as_deref(), Some("e@corp.test"));
    assert_eq!(person.email_verified, None);
}

/// UP-14: which claim speaks of which address, and how it may be written.
#[test]
fn another_claim_may_say_that_an_address_is_verified() {
    let verified = |more: &str, claims: Value| mapped(more, &claims).email_verified;
    let (entra, loose) = ("email_verified_claim = \"xms_edov\"", "email_verified_as = \"loose\"");
    let both = format!("{entra}\n{loose}");
    let address = "a@corp.test";
    for (value, strictly, loosely) in [
        (json!(true), true, true),
        (json!("true"), false, true),
        (json!("1"), false, true),
        (json!(1), false, true),
        (json!("True"), false, false),
        (json!("yes"), false, false),
        (json!(2), false, false),
        (json!(1.5), false, false),
        (json!([true]), false, false),
        (json!(false), false, false),
        (json!("false"), false, false),
    ] {
        let claims = json!({"email": address, "xms_edov": value, "email_verified": value});
        assert_eq!(verified(entra, claims.clone()), Some(strictly), "{value}");
        assert_eq!(verified("", claims.clone()), Some(strictly), "{value}");
        assert_eq!(verified(&both, claims.clone()), Some(loosely), "{value}");
        assert_eq!(verified(loose, claims), Some(loosely), "{value}");
    }
    // The standard claim is silent for whoever asks another one.
    assert_eq!(verified(entra, json!({"email": address, "email_verified": true})), None);
    // Another claim speaks of the first source, `email_verified` of `email` only.
    let upn = "claims = { email = [\"upn\", \"email\"] }";
    let said =
        json!({"upn": address, "email": "b@corp.test", "verified": true, "email_verified": true});
    assert_eq!(verified(upn, said.clone()), None);
    assert_eq!(verified(&format!("email_verified_claim = \"verified\"\n{upn}"), said), Some(true));
    let fallback = json!({"upn": "none", "email": address, "verified": true});
    assert_eq!(verified(&format!("email_verified_claim = \"verified\"\n{upn}"), fallback), None);
    // An address that was renamed is another address.
    let renamed =
        r#"claims = { email = { claim = "email", match = "^(.*)@", rename = "$1@b.test" } }"#;
    assert_eq!(verified(renamed, json!({"email": address, "email_verified": true})), None);
    let fixed = r#"claims = { email = { value = "all@corp.test" } }"#;
    assert_eq!(verified(fixed, json!({"email": address, "email_verified": true})), None);
}

/// Several rules, several claims, objects and fixed groups, put together in this order.
#[test]
fn groups_of_several_rules_are_put_together() {
    let claims = json!({
        "groups": ["/staff", "/staff/leads"], "department": "IT", "one": "solo",
        "roles": ["admin", "staff"],
        "teams": [{"name": "red", "id": 1}, {"name": "blue"}, {"id": 3}, "plain", 7],
        "by_id": {"1": {"name": "one"}, "2": {"name": "two"}},
        "resource_access": {"wiki.example.org": {"roles": ["editor"]}},
        "urn:zitadel:iam:org:project:roles": {"reader": {"1": "corp.test"}},
        "https://app.test/roles": ["author"],
    });
    let table: [(&str, &[&str]); 11] = [
        (r#"{ claim = ["groups", "roles"] }"#, &["staff", "staff/leads", "admin"]),
        (
            r#"[{}, { claim = "roles", prefix = "r-" }]"#,
            &["staff", "staff/leads", "r-admin", "r-staff"],
        ),
        (r#"[{ claim = "roles" }, { value = "everybody" }]"#, &["admin", "staff", "everybody"]),
        (r#"{ claim = "teams", member = "name" }"#, &["red", "blue", "plain"]),
        (r#"{ claim = "teams" }"#, &["plain"]),
        (r#"{ claim = "by_id", member = "name" }"#, &["one", "two"]),
        (r#"{ claim = "resource_access.wiki.example.org.roles" }"#, &["editor"]),
        (r#"{ claim = "urn:zitadel:iam:org:project:roles" }"#, &["reader"]),
        (r#"{ claim = "https://app.test/roles" }"#, &["author"]),
        (
            r#"[{ claim = "department", match = "^IT$", rename = "it" }, { claim = "one" }]"#,
            &["it", "solo"],
        ),
        (r#"{ match = "^staff/(.+)$", rename = "${1}-of-staff" }"#, &["leads-of-staff"]),
    ];
    for (rules, expected) in table {
        assert_eq!(mapped(&format!("groups = {rules}"), &claims).groups, expected, "{rules}");
    }
    assert!(mapped("groups = []", &claims).groups.is_empty());
}

/// The reasoning names each look and its outcome.
#[test]
fn a_mapping_tells_why() {
    let settings = settings(
        "claims = { name = [\"display\", { claim = \"name\", match = \"x\" }, \"n\", \"nick\"] }\n\
         groups = [{ claim = [\"groups\", \"gone\"], match = \"^a\" }, { value = \"ab\" }]",
    );
    let claims = json!({"name": "Anna", "n": 7, "nick": "An", "groups": ["ab", "b", "ab"]});
    let mapping = map(&settings, claims.as_object().unwrap());
    let told = serde_json::to_value(&mapping).unwrap();
    let verdicts: Vec<&Value> =
        told["attributes"][2]["looks"].as_array().unwrap().iter().map(|l| &l["verdict"]).collect();
    assert_eq!(verdicts, ["absent", "no_match", "not_text", "taken"]);
    assert_eq!(told["attributes"][2]["looks"][1]["seen"], "Anna");
    assert_eq!(told["verification"]["because"], "no_address");
    assert_eq!(
        told["groups"],
        json!([
            { "claims": [{ "claim": "groups", "seen": ["ab", "b", "ab"] }, { "claim": "gone", "seen": null }],
              "count": 3, "names": [
                { "name": "ab", "group": "ab", "taken": true },
                { "name": "b", "group": null, "taken": false },
                { "name": "ab", "group": "ab", "taken": false },
            ]},
            { "claims": [], "count": 1, "names": [
                { "name": "ab", "group": "ab", "taken": false },
            ]},
        ])
    );
}

/// Each list of a gate must be met, whatever the others say.
#[test]
fn gates_want_everything_that_is_given() {
    let claims = json!({
        "tid": "t1", "department": ["hr", "it"], "level": 3, "guest": false, "deep": {"er": "x"},
        "email": "a@corp.test", "email_verified": true, "groups": ["staff"],
    });
    let refusal = |gate: &str| {
        let settings = settings(&format!("groups = {{}}\nadmit = {{ {gate} }}"));
        let claims = claims.as_object().unwrap();
        let person = map(&settings, claims).person;
        gates::refusal(&gates::admission(&settings, claims, &person)).map(|refusal| refusal.wants)
    };
    let table = [
        (r#"claims = { tid = "t1" }"#, None),
        (r#"claims = { tid = ["t0", "t1"], guest = false, level = 3 }"#, None),
        (r#"claims = { department = "it", "deep.er" = "x" }"#, None),
        (r#"claims = { tid = "t2" }"#, Some(Claim)),
        (r#"claims = { tid = "T1" }"#, Some(Claim)),
        (r#"claims = { guest = "false" }"#, Some(Claim)),
        (r#"claims = { level = "3" }"#, Some(Claim)),
        (r#"claims = { missing = "x" }"#, Some(Claim)),
        (r#"claims = { tid = "t1" }, groups = ["guests"]"#, Some(Group)),
        (r#"groups = ["guests", "staff"], domains = ["corp.test"]"#, None),
        (r#"groups = ["staff"], domains = ["other.test"]"#, Some(Domain)),
        (r#"claims = { tid = "t2" }, domains = ["corp.test"]"#, Some(Claim)),
    ];
    for (gate, expected) in table {
        assert_eq!(refusal(gate), expected, "{gate}");
    }
}

/// UserInfo is asked for what a gate or another claim of groups looks for.
#[test]
fn gates_and_merged_claims_are_looked_for_in_userinfo() {
    let all = json!({"preferred_username": "a", "email": "a@b.c", "name": "A", "roles": []});
    let all = all.as_object().unwrap();
    let lacks = |more: &str| lacks_claims(&settings(more), all);
    assert!(!lacks("groups = [{ claim = \"roles\" }, { value = \"x\" }]"));
    assert!(lacks("groups = { claim = [\"roles\", \"groups\"] }"));
    assert!(lacks("admit = { claims = { tid = \"x\" } }"));
    assert!(!lacks("claims = { name = [\"display\", { value = \"Guest\" }] }"));
}

/// What is wrong with rules is said when the configuration is read.
#[test]
fn rules_that_make_no_sense_are_refused() {
    let table = [
        ("groups = { rename = \"x\" }", "upstreams.0.groups.rename"),
        ("groups = [{}, { rename = \"x\" }]", "upstreams.0.groups.1.rename"),
        ("groups = { value = \"x\", match = \"y\" }", "upstreams.0.groups.value"),
        ("groups = { claim = [] }", "upstreams.0.groups.claim"),
        ("groups = { claims = \"x\" }", "did you mean upstreams.0.groups.claim?"),
        ("groups = { match = \"(\" }", "upstreams.0.groups.match"),
        ("claims = { name = {} }", "upstreams.0.claims.name.0"),
        ("claims = { name = { claim = \"a\", value = \"b\" } }", "upstreams.0.claims.name.0"),
        (
            "claims = { name = [\"a\", { value = \"b\", match = \"c\" }] }",
            "upstreams.0.claims.name.1",
        ),
        (
            "claims = { name = { claim = \"a\", rename = \"c\" } }",
            "upstreams.0.claims.name.0.rename",
        ),
        ("claims = { name = { from = \"a\" } }", "there is no such setting"),
        ("admit = {}", "upstreams.0.admit"),
        ("admit = { claims = { a = [] } }", "upstreams.0.admit.claims.a"),
        ("admit = { claims = { a = { b = \"c\" } } }", "upstreams.0.admit.claims.a"),
        ("admit = { claims = \"a\" }", "upstreams.0.admit.claims"),
        ("signup = {}", "upstreams.0.signup"),
        ("email_verified_claim = \"\"", "upstreams.0.email_verified_claim"),
        ("email_verified_as = \"text\"", "upstreams.0.email_verified_as"),
    ];
    for (rules, told) in table {
        let problems = parsed(rules).unwrap_err().to_string();
        assert!(problems.contains(told), "{rules}: {problems}");
    }
}

/// Rules can be written as variables, in the short form and in the long one.
#[test]
fn rules_can_come_from_the_environment() {
    let groups = |variables: &[(&str, &str)], file: &str| {
        let environment = variables
            .iter()
            .map(|(name, value)| (format!("KEYWRIGHT_UPSTREAMS__0__{name}"), (*value).to_owned()));
        let settings =
            config::parse(&text(file), &environment.collect()).unwrap().upstreams.remove(0);
        let claims = json!({"groups": ["a"], "roles": ["b", "c"], "display": "D", "tid": "t"});
        let claims = claims.as_object().unwrap();
        let person = map(&settings, claims).person;
        assert!(gates::refusal(&gates::admission(&settings, claims, &person)).is_none());
        (person.groups, person.name)
    };
    let of = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>();
    assert_eq!(groups(&[("GROUPS__CLAIM", "roles")], "").0, of(&["b", "c"]));
    assert_eq!(groups(&[("GROUPS__CLAIM", "roles,groups")], "").0, of(&["b", "c", "a"]));
    assert_eq!(groups(&[("GROUPS__MATCH", "b")], "groups = { claim = \"roles\" }").0, of(&["b"]));
    let several = [("GROUPS__0__CLAIM", "groups"), ("GROUPS__1__CLAIM", "roles")];
    assert_eq!(groups(&several, "").0, of(&["a", "b", "c"]));
    assert_eq!(groups(&[("CLAIMS__NAME", "name, display")], "").1.as_deref(), Some("D"));
    assert_eq!(groups(&[("ADMIT__CLAIMS__TID", "t")], "").0, of(&[]));
}
