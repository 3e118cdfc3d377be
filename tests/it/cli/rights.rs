//! `keywright group`, `user grant|revoke`, `admin link`, and that somebody always administers.

use serde_json::{Value, json};

use super::program::{Ended, Place};

fn place() -> Place {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    for name in ["anna", "bob"] {
        place.run(&["user", "add", name]).ok();
    }
    place
}

fn groups(place: &Place) -> Vec<Value> {
    place.run(&["group", "list", "--json"]).ok().json().as_array().unwrap().clone()
}

fn rights(place: &Place, username: &str) -> (Value, Value) {
    let all = place.run(&["user", "list", "--json"]).ok().json();
    let all = all.as_array().unwrap();
    let user = all.iter().find(|user| user["username"] == username).unwrap();
    (user["groups"].clone(), user["roles"].clone())
}

fn run(place: &Place, line: &str) -> Ended {
    place.run(&line.split(' ').collect::<Vec<_>>())
}

#[test]
fn groups_are_added_changed_and_removed() {
    let place = place();
    assert_eq!(groups(&place), Vec::<Value>::new());
    run(&place, "group add staff --description People").ok();
    run(&place, "group add ops --parent staff --role operator").ok();
    let listed = groups(&place);
    let ops = json!({
        "name": "ops", "description": null, "parent": "staff", "role": "operator",
        "managed_by": "here",
    });
    assert_eq!((listed.len(), &listed[0]), (2, &ops));
    let table = run(&place, "group list").ok().out;
    assert!(table.lines().nth(2).unwrap().contains("People"), "{table}");
    run(&place, "group change ops --no-role --description Night").ok();
    let ops = &groups(&place)[0];
    assert_eq!((&ops["role"], &ops["parent"]), (&Value::Null, &json!("staff")));
    run(&place, "group remove staff").failed(1, &["\"ops\" belongs to it"]);
    run(&place, "group remove ops").ok();
    run(&place, "group remove staff").ok();
    assert_eq!(groups(&place), Vec::<Value>::new());
}

#[test]
fn wrong_groups_are_refused_and_nothing_changes() {
    let place = place();
    place.configure("[[groups]]\nname = \"fixed\"\nrole = \"auditor\"\n");
    run(&place, "group add ops --parent staff").ok();
    let before = groups(&place);
    assert_eq!(before[0]["managed_by"], "file");
    for (line, texts) in [
        ("group add ops", ["\"ops\"", "already"]),
        ("group add fixed --role admin", ["\"fixed\"", "declared in the configuration"]),
        ("group change fixed --no-role", ["\"fixed\"", "declared in the configuration"]),
        ("group remove fixed", ["\"fixed\"", "declared in the configuration"]),
        ("group add night --parent ops", ["--parent \"ops\"", "nested once"]),
        ("group add staff --parent fixed", ["--parent \"fixed\"", "nested once"]),
        ("group add x --parent x", ["--parent \"x\"", "the group itself"]),
        ("group add x --role a/b", ["--role \"a/b\"", "1 to 64"]),
        ("group change none --role x", ["\"none\"", "group list"]),
        ("group remove none", ["\"none\"", "group list"]),
        ("user grant nobody --group x", ["\"nobody\"", "no account"]),
        ("user grant anna", ["--group", "--role"]),
        ("user grant anna --role a/b", ["--role \"a/b\"", "1 to 64"]),
        ("user revoke anna --group x", ["nothing changed", "user list"]),
    ] {
        run(&place, line).failed(1, &texts);
    }
    place.run(&["group", "add", ""]).failed(1, &["NAME \"\"", "1 to 255"]);
    assert_eq!(groups(&place), before);
    assert_eq!(rights(&place, "anna"), (json!([]), json!([])));
}

#[test]
fn rights_are_given_and_taken() {
    let place = place();
    run(&place, "user grant anna --group staff --group ops --role auditor").ok();
    run(&place, "user grant anna --group ops --group night").ok();
    assert_eq!(rights(&place, "anna"), (json!(["staff", "ops", "night"]), json!(["auditor"])));
    run(&place, "user revoke ANNA --group ops --role auditor").ok();
    assert_eq!(rights(&place, "anna"), (json!(["staff", "night"]), json!([])));
    assert_eq!(rights(&place, "bob"), (json!([]), json!([])));
}

/// AD-06: by no verb does the last administrator stop to be one, whatever makes them one.
#[test]
fn the_last_administrator_stays() {
    let place = place();
    let last = ["anna is the last administrator", "user grant NAME --role admin"];
    let nobody = ["nobody would be an administrator"];
    run(&place, "user grant anna --role admin").ok();
    run(&place, "user revoke anna --role admin").failed(1, &last);
    run(&place, "user disable anna").failed(1, &last);
    run(&place, "group add chiefs --role admin").ok();
    run(&place, "group add heads --parent chiefs").ok();
    // By a group of a group: then that, and the group's role, is what must stay.
    run(&place, "user grant anna --group heads").ok();
    run(&place, "user revoke anna --role admin").ok();
    run(&place, "user revoke anna --group heads").failed(1, &last);
    run(&place, "group change chiefs --no-role").failed(1, &nobody);
    run(&place, "group change chiefs --role member").failed(1, &nobody);
    run(&place, "group change heads --no-parent").failed(1, &nobody);
    run(&place, "group remove heads").failed(1, &nobody);
    assert_eq!(rights(&place, "anna"), (json!(["heads"]), json!([])));
    assert_eq!(groups(&place).len(), 2);
    // Somebody whose account is shut does not count.
    run(&place, "user grant bob --role admin").ok();
    run(&place, "user disable bob").ok();
    run(&place, "user disable anna").failed(1, &last);
    run(&place, "user enable bob").ok();
    run(&place, "user disable anna").ok();
    run(&place, "user disable bob").failed(1, &["bob is the last administrator"]);
    run(&place, "group remove heads").ok();
    let events = run(&place, "user list --json").ok().json();
    let open = events.as_array().unwrap().iter().filter(|user| user["disabled_at"].is_null());
    assert_eq!(open.count(), 1);
}

/// AD-06: of two who are taken the role from at once one keeps it.
#[test]
fn of_two_at_once_one_stays() {
    for round in 0..3 {
        let place = place();
        run(&place, "user grant anna --role admin").ok();
        run(&place, "user grant bob --role admin").ok();
        let take = |name: &str| run(&place, &format!("user revoke {name} --role admin"));
        let (anna, bob) = std::thread::scope(|scope| {
            let anna = scope.spawn(|| take("anna"));
            let bob = take("bob");
            (anna.join().unwrap(), bob)
        });
        let mut statuses = [anna.status, bob.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [Some(0), Some(1)], "{round}: {anna:?} {bob:?}");
        let left = [rights(&place, "anna").1, rights(&place, "bob").1];
        assert!(left.contains(&json!(["admin"])), "{left:?}");
    }
}

/// The link on standard output, once per start, as long as there never was an administrator (LK-14, PW-22).
#[tokio::test(flavor = "multi_thread")]
async fn serve_prints_a_link_for_the_first_administrator() {
    let link = |log: &str| {
        let found = log.split_whitespace().find(|word| word.contains("/invitation?invitation="));
        found.map(str::to_owned)
    };
    let place = Place::new();
    let server = place.serve().await;
    let log = server.log();
    let printed = link(&log).unwrap_or_else(|| panic!("no link: {log}"));
    assert!(printed.starts_with("http://localhost:8080/invitation?invitation=kw_in_"), "{printed}");
    let path = printed.strip_prefix("http://localhost:8080").unwrap();
    assert_eq!(server.get(path).unwrap().status, 303);
    // The log itself, beside what is printed, does not hold it.
    let (_, secret) = printed.split_once('=').unwrap();
    let lines = log.lines().filter(|line| line.contains(secret));
    assert_eq!(lines.count(), 1, "{log}");
    drop(server);

    // A new start makes a new one, until there is an administrator.
    std::fs::remove_file(place.path("log")).unwrap();
    let server = place.serve().await;
    let again = link(&server.log()).unwrap();
    assert_ne!(again, printed);
    run(&place, "user add anna --group staff").ok();
    run(&place, "user grant anna --role admin").ok();
    drop(server);
    std::fs::remove_file(place.path("log")).unwrap();
    let server = place.serve().await;
    assert_eq!(link(&server.log()), None, "{}", server.log());
    // The way back in is on the host.
    let made = run(&place, "admin link --json").ok().json();
    let path = made["link"].as_str().unwrap().strip_prefix("http://localhost:8080").unwrap();
    assert_eq!(server.get(path).unwrap().status, 303);
    assert!(run(&place, "admin link").ok().out.contains("/invitation?invitation=kw_in_"));
}
