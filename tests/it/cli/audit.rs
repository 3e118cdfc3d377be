//! `keywright audit`: what happened, in names, as lines, as JSON and as a table.

use keywright::audit::Event;
use serde_json::Value;

use super::program::Place;
use crate::support::{app::TestApp, database::SECRET_KEY, journey::code_for};

/// A house in which bob signed in at an app, and somebody else failed.
async fn house() -> (TestApp, Place) {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    code_for(&mut app.browser(), "web", "bob", &[]).await;
    let mut browser = app.browser();
    let page = browser.visit("/account").await.last().clone();
    let form = page.form_to("/login").fill("username", "bob").fill("password", "wrong");
    browser.submit(&page, &form).await;
    app.app.audit.note(Event::refused("canary", "=cmd()").detail("said", "a,\"b\""));
    app.app.audit.flush().await;
    let mut place = Place::new();
    place.configure(
        "[[clients]]\nid = \"web\"\nname = \"The web app\"\nsecret = \"web-secret-0123456789-x\"\n\
         redirect_uris = [\"https://web.test/cb\"]\n",
    );
    place.set("DATABASE_URL", &app.database.url);
    place.set("SECRET_KEY", SECRET_KEY);
    // The clock of tests stands in the summer of 2026.
    (app, place)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_in_names() {
    let (_app, place) = house().await;
    let told = place.run(&["audit", "tail"]).ok().out;
    let signed_in = told.lines().find(|line| line.contains("sign_in done")).unwrap();
    assert!(signed_in.contains("person=bob") && signed_in.contains("app=The web app"), "{told}");
    assert!(signed_in.contains("from=10."), "{told}");
    assert!(told.contains("sign_in refused: wrong_password"), "{told}");
    assert_eq!(place.run(&["audit", "tail", "-n", "1"]).ok().out.lines().count(), 1);

    let all = lines(&place.run(&["audit", "export"]).ok().out);
    let newest = lines(&place.run(&["audit", "tail", "--json"]).ok().out);
    assert_eq!(all, newest, "few enough for both");
    let event = all.iter().find(|event| event["outcome"] == "done" && event["action"] == "sign_in");
    let event = event.unwrap();
    for (field, value) in [("person", "bob"), ("app", "The web app"), ("app_id", "web")] {
        assert_eq!(event[field], value, "{event}");
    }
    assert!(event["at"].as_str().unwrap().ends_with('Z'), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_chosen() {
    let (_app, place) = house().await;
    let count = |more: &[&str]| {
        let arguments = [&["audit", "export"], more].concat();
        place.run(&arguments).ok().out.lines().count()
    };
    let all = count(&[]);
    assert!(all >= 2);
    assert_eq!(count(&["--refused"]), 2);
    assert_eq!(count(&["--user", "BOB", "--app", "web", "--action", "sign_in"]), 1);
    assert_eq!(count(&["--user", "bob", "--refused"]), 1);
    assert_eq!(count(&["--app", "another"]), 0);
    assert_eq!(count(&["--upstream", "none"]), 0);
    assert_eq!(count(&["--address", "192.0.2.1"]), 0);
    assert_eq!(count(&["--until", "0s"]), all);
    assert_eq!(count(&["--since", "1s"]), 0, "they are older");
    place.run(&["audit", "tail", "--user", "nobody"]).failed(1, &["nobody", "no account"]);
    let wrong = place.run(&["audit", "tail", "--since", "yesterday"]);
    assert!(wrong.status != Some(0) && wrong.err.contains("7d"), "{wrong:?}");
}

/// IJ: what strangers typed is no formula in a spreadsheet and ends no cell.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_for_spreadsheets() {
    let (_app, place) = house().await;
    let table = place.run(&["audit", "export", "--format", "csv", "--refused"]).ok().out;
    let mut rows = table.lines();
    assert!(rows.next().unwrap().starts_with("at,action,outcome,reason,actor,person,"));
    let all: Vec<&str> = rows.collect();
    assert_eq!(all.len(), 2, "{table}");
    assert!(all.iter().any(|row| row.contains(",sign_in,refused,wrong_password,,bob,")), "{table}");
    let row = all.iter().find(|row| row.contains(",canary,")).unwrap();
    assert!(row.contains(",refused,'=cmd(),"), "{row}");
    assert!(row.ends_with("\"{\"\"said\"\":\"\"a,\\\"\"b\\\"\"\"\"}\""), "{row}");
}
