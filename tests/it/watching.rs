//! Who watches: the alert rules, the dashboard and the table of metrics name what there is. A rule
//! about a metric of another name never fires, and nobody notices.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use http_body_util::BodyExt as _;
use keywright::{jobs::look_after_upstreams, router};
use regex::Regex;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{
    support::{
        app::TestApp,
        browser::Browser,
        fake_upstream::{Endpoint, FakeUpstream, Fault},
        journey::{authorize_path, redeem},
    },
    upstream::gets_in,
};

const RULES: &str = include_str!("../../helm/keywright/files/alerts.yaml");
const DASHBOARD: &str = include_str!("../../helm/keywright/files/dashboard.json");
const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// What Prometheus adds to everything that it scrapes.
const OF_THE_TARGET: [&str; 2] = ["job", "instance"];
/// Names with their labels.
type Labels = BTreeMap<String, BTreeSet<String>>;

/// Everything on the page, under the names by which Prometheus knows it.
struct Page {
    /// Each metric.
    metrics: Labels,
    /// Each series; a histogram has several.
    samples: Labels,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

fn words(text: &str) -> BTreeSet<String> {
    regex("[a-z_]+").find_iter(text).map(|word| word.as_str().to_owned()).collect()
}

impl Page {
    fn read(text: &str) -> Self {
        let label = regex(r#"([a-z_]+)=""#);
        let mut samples = Labels::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let labels = label.captures_iter(line).map(|found| found[1].to_owned());
            samples.entry(name.to_owned()).or_default().extend(labels);
        }
        let mut metrics = Labels::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            let (shown, sample) = match kind {
                "counter" => (format!("{name}_total"), format!("{name}_total")),
                "info" => (format!("{name}_info"), format!("{name}_info")),
                "histogram" => (name.to_owned(), format!("{name}_bucket")),
                _ => (name.to_owned(), name.to_owned()),
            };
            let labels = samples.get(&sample);
            let mut labels = labels
                .unwrap_or_else(|| panic!("{name} has no sample: let the traffic make one"))
                .clone();
            labels.remove("le");
            metrics.insert(shown, labels);
        }
        Self { metrics, samples }
    }

    /// What is wrong with a query: with its names, its labels, and the words that it compares with.
    fn faults(&self, query: &str, words_of_ours: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let mut known: BTreeSet<String> = OF_THE_TARGET.map(str::to_owned).into();
        let mut named = 0;
        for found in regex(r"\b(keywright_[a-z0-9_]+)(?:\{([^}]*)\})?").captures_iter(query) {
            let name = &found[1];
            named += 1;
            let Some(labels) = self.samples.get(name) else {
                faults.push(format!("there is no metric {name}"));
                continue;
            };
            known.extend(labels.iter().cloned());
            let matchers = found.get(2).map_or("", |matchers| matchers.as_str());
            for matcher in
                regex(r#"([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)""#).captures_iter(matchers)
            {
                let (label, values) = (&matcher[1], &matcher[2]);
                if !labels.contains(label) && !OF_THE_TARGET.contains(&label) {
                    faults.push(format!("{name} has no label {label}"));
                }
                for value in values.split('|').filter(|value| !value.contains(['.', '$'])) {
                    if !words_of_ours.contains(&format!("\"{value}\"")) {
                        faults.push(format!("nothing here says {label}={value:?}"));
                    }
                }
            }
        }
        if named == 0 {
            faults.push(format!("it is about nothing of ours: {query}"));
        }
        for group in regex(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)").captures_iter(query) {
            let unknown: Vec<String> = words(&group[1]).difference(&known).cloned().collect();
            if !unknown.is_empty() {
                faults.push(format!("nothing in it has the labels {unknown:?}: {query}"));
            }
        }
        faults
    }
}

/// The labels that the result of a query has.
fn labels_of_result(query: &str, page: &Page) -> BTreeSet<String> {
    let groups: Vec<BTreeSet<String>> =
        regex(r"\bby\s*\(([^)]*)\)").captures_iter(query).map(|group| words(&group[1])).collect();
    if !groups.is_empty() {
        return groups.into_iter().flatten().collect();
    }
    let mut labels: BTreeSet<String> = OF_THE_TARGET.map(str::to_owned).into();
    for name in regex("keywright_[a-z0-9_]+").find_iter(query) {
        labels.extend(page.samples.get(name.as_str()).into_iter().flatten().cloned());
    }
    labels
}

/// The program's own text: a value that stands nowhere in it is never said.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text
}

/// The page after people have signed in and been refused, and what else is counted has happened.
async fn after_some_traffic() -> Page {
    let upstream = FakeUpstream::start().await;
    let end = "client_secret_expires = \"2026-06-20\"";
    let app = TestApp::builder().upstream("kc", &upstream, end).start().await;
    let mut browser: Browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let code = journey.param("code").unwrap();
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
    redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
    upstream.misbehave(|lies| lies.fault(Endpoint::Token, Fault::Status(400)));
    assert!(gets_in(&app, "kc").await.is_err());
    upstream.behave();
    app.clock.advance(60);
    look_after_upstreams(&app.app).await.unwrap();
    // What needs a mail server, apps that listen and upstreams that change their mind.
    let metrics = &app.app.metrics;
    metrics.count_sent_mail("verify_email");
    metrics.count_lease("kc", "refresh", "confirmed");
    metrics.count_lease_end("kc", "refused");
    metrics.set_certificate_end(1_790_000_000);

    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let answer = router::management(&app.app).oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("keywright_store_up{store=\"database\"} 1"), "{text}");
    assert!(text.contains("keywright_store_up{store=\"state\"} 1"), "{text}");
    // From nothing to one is no increase: what an alert waits for is there before it happens.
    for waited_for in ["backchannel_logouts", "mail_failed"] {
        let zero = format!("keywright_{waited_for}_total{{result=\"given_up\"}} 0");
        assert!(text.contains(&zero), "{text}");
    }
    // The first keys are dated a day back.
    assert!(text.contains("keywright_signing_key_age_seconds{alg=\"ES256\"} 86460"), "{text}");
    Page::read(&text)
}

/// Every rule of the alert rules: its name, its query, and the rest.
fn rules() -> Vec<(&'static str, &'static str, &'static str)> {
    let rule = |text: &'static str| {
        let (name, rest) = text.split_once('\n').unwrap();
        let (_, rest) = rest.split_once("expr:").unwrap();
        let end = ["\n        for:", "\n        labels:"];
        let end = end.iter().filter_map(|end| rest.find(end)).min().unwrap();
        let (query, rest) = rest.split_at(end);
        (name.trim(), query, rest)
    };
    RULES.split("- alert:").skip(1).map(rule).collect()
}

/// Every query of the dashboard, with what its legend says.
fn queries(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        Value::Object(members) => {
            if let Some(query) = members.get("expr") {
                let legend = members["legendFormat"].as_str().unwrap();
                found.push((query.as_str().unwrap().to_owned(), legend.to_owned()));
            }
            members.values().for_each(|member| queries(member, found));
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_panels_name_what_there_is() {
    let page = after_some_traffic().await;
    let ours = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    let mut faults = Vec::new();
    let mut note = |place: &str, more: Vec<String>| {
        faults.extend(more.into_iter().map(|fault| format!("{place}: {fault}")));
    };
    let rules = rules();
    assert!(rules.len() >= 15, "the rules are not found any more");
    for (name, query, rest) in rules {
        note(name, page.faults(query, &ours));
        let labels = labels_of_result(query, &page);
        for said in regex(r"\$labels\.([a-z_]+)").captures_iter(rest) {
            if !labels.contains(&said[1]) {
                note(name, vec![format!("its text says {}, which its result lacks", &said[1])]);
            }
        }
        for needed in ["severity:", "summary:", "description:"] {
            assert!(rest.contains(needed), "{name} has no {needed}");
        }
    }
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut panels = Vec::new();
    queries(&dashboard, &mut panels);
    let mut shown = String::new();
    for (query, legend) in &panels {
        note("dashboard", page.faults(query, &ours));
        let labels = labels_of_result(query, &page);
        for said in regex(r"\{\{([a-z_]+)\}\}").captures_iter(legend) {
            if !labels.contains(&said[1]) {
                note(query, vec![format!("its legend says {}", &said[1])]);
            }
        }
        shown.push_str(query);
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["definition"].as_str() {
            note("variable", page.faults(query, &ours));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for name in page.metrics.keys() {
        assert!(shown.contains(name), "no panel shows {name}");
    }
}

/// The table of docs/operations.md has every metric with its labels, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_metrics_is_complete() {
    let page = after_some_traffic().await;
    let documented: Labels = OPERATIONS
        .lines()
        .filter(|line| line.starts_with("| `keywright_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (cells[1].trim().trim_matches('`').to_owned(), words(cells[2]))
        })
        .collect();
    assert_eq!(documented, page.metrics, "docs/operations.md (left), and the page");
}

/// What the guard itself would let through, it would let through for ever.
#[test]
fn a_query_about_nothing_is_found_out() {
    let text = "# TYPE keywright_mail_failed counter\n\
                keywright_mail_failed_total{result=\"failed\"} 1\n\
                # TYPE keywright_time histogram\n\
                keywright_time_bucket{le=\"1.0\"} 1\n";
    let page = Page::read(text);
    let ours = "\"failed\" \"given_up\"";
    for good in [
        "sum by (result, job) (rate(keywright_mail_failed_total{job=~\"$job\"}[5m]))",
        "keywright_mail_failed_total{result=~\"failed|given_up\", instance!=\"\"} > 0 and up == 1",
        "histogram_quantile(0.9, sum by (le) (rate(keywright_time_bucket[5m])))",
    ] {
        let faults = page.faults(good, &format!("{ours} \"\""));
        assert!(faults.is_empty(), "{good}: {faults:?}");
    }
    for (bad, fault) in [
        ("rate(keywright_mail_failed[5m])", "no metric keywright_mail_failed"),
        ("rate(keywright_mails_failed_total[5m])", "no metric keywright_mails_failed_total"),
        ("keywright_mail_failed_total{reason=\"failed\"}", "no label reason"),
        ("keywright_mail_failed_total{result=\"gone\"}", "nothing here says result=\"gone\""),
        ("keywright_mail_failed_total{result=~\"failed|gone\"}", "result=\"gone\""),
        ("sum by (le) (keywright_mail_failed_total)", "has the labels [\"le\"]"),
        ("up == 0 and on (pod) keywright_mail_failed_total", "has the labels [\"pod\"]"),
        ("up == 0", "about nothing of ours"),
    ] {
        let faults = page.faults(bad, ours);
        assert_eq!(faults.len(), 1, "{bad}: {faults:?}");
        assert!(faults[0].contains(fault), "{bad}: {faults:?}");
    }
    let by = labels_of_result("sum by (result) (keywright_mail_failed_total)", &page);
    assert_eq!(by, words("result"));
}
