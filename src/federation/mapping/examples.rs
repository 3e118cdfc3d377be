//! The examples of docs/mapping.md give what stands there.

use serde_json::{Map, Value};

use super::{
    gates::{admission, refusal},
    map,
    tests::settings,
};

const DOCS: &str = include_str!("../../../docs/mapping.md");

#[test]
fn the_examples_of_the_docs_give_what_they_show() {
    let (_, examples) = DOCS.split_once("\n## Examples\n").unwrap();
    let (examples, _) = examples.split_once("\n## ").unwrap();
    let mut seen = 0;
    for example in examples.split("\n### ").skip(1) {
        let mut blocks = example.split("```").skip(1).step_by(2);
        let rules = blocks.next().unwrap().strip_prefix("toml\n").unwrap();
        let mut json = || -> Map<String, Value> {
            serde_json::from_str(blocks.next().unwrap().strip_prefix("json\n").unwrap()).unwrap()
        };
        let (claims, expected) = (json(), json());
        let settings = settings(rules);
        let person = map(&settings, &claims).person;
        assert_eq!(serde_json::to_value(&person).unwrap(), Value::Object(expected), "{example}");
        assert_eq!(refusal(&admission(&settings, &claims, &person)), None, "{example}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}
