//! What holds for any claims at all.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{MAX_NAME, lacks_claims, map, plain, tests::settings};

const RULES: &str = r#"
email_verified_as = "loose"
groups = [
  { claim = ["groups", "a.b", "roles"], match = "^/?(.*)$", rename = "$1$1$1", prefix = "x-" },
  { claim = "groups", member = "name" },
  { value = "everybody" },
]
[upstreams.claims]
username = [{ claim = "name", match = "(.+)", rename = "$1-$1" }, "preferred_username", "a.b.0"]
email = ["email", "a.b.c"]
[upstreams.admit]
claims = { "a.b" = ["x"], groups = [true, 1] }
"#;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,300}".prop_map(Value::from),
        "[a-z]{1,5}@[a-z]{1,5}\\.test".prop_map(Value::from),
    ];
    let name = prop_oneof![Just("name".to_owned()), Just("b".to_owned()), ".{0,4}"];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

fn claims() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop::sample::select(vec![
        "preferred_username",
        "name",
        "email",
        "email_verified",
        "picture",
        "groups",
        "roles",
        "a",
        "a.b",
    ]);
    prop::collection::btree_map(name, value(), 0..9).prop_map(|claims| {
        claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    })
}

proptest! {
    /// UP-34: whatever an upstream says, the outcome is bounded, and the same each time.
    #[test]
    fn outcomes_are_bounded_and_repeatable(claims in claims()) {
        let settings = settings(RULES);
        let mapping = map(&settings, &claims);
        let person = &mapping.person;
        prop_assert!(person.groups.len() <= 500);
        prop_assert!(person.groups.contains(&"everybody".to_owned()));
        for group in &person.groups {
            prop_assert!(!group.is_empty() && group.chars().count() <= MAX_NAME);
            prop_assert!(!group.chars().any(char::is_control));
        }
        prop_assert!(person.name.as_ref().is_none_or(|name| name.chars().count() <= MAX_NAME));
        prop_assert!(person.username.as_ref().is_none_or(|name| name.chars().count() <= 64));
        prop_assert!(person.email.is_some() || person.email_verified.is_none());
        prop_assert_eq!(&map(&settings, &claims).person, person);
        lacks_claims(&settings, &claims);
        // The reasoning agrees with the outcome.
        let taken = mapping.groups.iter().flat_map(|rule| &rule.names).filter(|name| name.taken);
        prop_assert_eq!(taken.count(), person.groups.len());
        prop_assert!(serde_json::to_value(&mapping).is_ok());
    }

    /// A name that went through the filter goes through it unchanged.
    #[test]
    fn plain_names_stay_as_they_are(text in "(?s).{0,400}") {
        let once = plain(&text);
        prop_assert_eq!(plain(&once), once);
    }

    /// Only `true` verifies an address, whatever else stands there (UP-14).
    #[test]
    fn nothing_but_true_verifies(said in value()) {
        let claims = json!({ "email": "a@corp.test", "email_verified": said });
        let settings = settings("");
        let verified = map(&settings, claims.as_object().unwrap()).person.email_verified;
        prop_assert_eq!(verified == Some(true), said == true);
    }
}
