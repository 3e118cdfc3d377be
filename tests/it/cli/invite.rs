//! `keywright invite` and `keywright signup`: letting people in, beside a running server or without one.

use serde_json::{Value, json};

use super::program::{Ended, Place};

fn place(config: &str) -> Place {
    let place = Place::new();
    place.configure(config);
    place.run(&["migrate"]).ok();
    place
}

fn run(place: &Place, line: &str) -> Ended {
    place.run(&line.split(' ').collect::<Vec<_>>())
}

fn list(place: &Place) -> Vec<Value> {
    run(place, "invite list --json").ok().json().as_array().unwrap().clone()
}

const INVITE: &str = "[signup]\nlocal = \"invite\"\n";

#[test]
fn an_invitation_is_made_listed_and_taken_back() {
    let place = place(INVITE);
    let made = run(&place, "invite create --group staff --group ops --uses 3 --expires 2d --json");
    let made = made.ok().json();
    let link = made["link"].as_str().unwrap();
    assert!(link.starts_with("http://localhost:8080/invitation?invitation=kw_in_"), "{link}");
    let listed = run(&place, "invite list --json").ok();
    listed.shows_none_of(&[link.split_once('=').unwrap().1]);
    let only = &listed.json()[0];
    assert_eq!(only["id"], made["id"]);
    assert_eq!((&only["state"], &only["uses_left"]), (&json!("open"), &json!(3)));
    assert_eq!((&only["groups"], &only["kind"]), (&json!(["staff", "ops"]), &json!("account")));
    let life = only["expires_at"].as_i64().unwrap() - only["created_at"].as_i64().unwrap();
    assert_eq!(life, 2 * 86_400);
    let table = run(&place, "invite list").ok().out;
    assert!(table.contains("staff, ops") && table.contains("open"), "{table}");
    let id = made["id"].as_str().unwrap();
    place.run(&["invite", "revoke", id]).ok();
    assert_eq!(list(&place)[0]["state"], "taken back");
    place.run(&["invite", "revoke", id]).failed(1, &[id, "no open invitation"]);
    place.run(&["invite", "revoke", "none"]).failed(1, &["none", "no open invitation"]);
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_made() {
    let place = place(INVITE);
    run(&place, "user add anna --email anna@corp.test").ok();
    for (line, texts) in [
        ("invite create --email nobody", ["--email \"nobody\"", "plain address"]),
        ("invite create --email Anna@corp.test", ["Anna@corp.test", "account already"]),
        ("invite create --email bob@corp.test --uses 2", ["--uses 2", "one use"]),
        ("invite create --expires soon", ["--expires \"soon\"", "\"7d\""]),
        ("invite create --expires 0s", ["--expires \"0s\"", "\"7d\""]),
        ("invite create --expires 400d", ["--expires \"400d\"", "at most a year"]),
    ] {
        run(&place, line).failed(1, &texts);
    }
    place.run(&["invite", "create", "--group", ""]).failed(1, &["--group \"\"", "1 to 255"]);
    assert_ne!(run(&place, "invite create --uses 0").status, Some(0));
    // One that lets nobody in.
    place.configure("");
    run(&place, "invite create").failed(1, &["nobody could use it", "signup set --local invite"]);
    place.configure("[signup]\nlocal = \"open\"\n[passwords]\nlogin = \"off\"\n");
    run(&place, "invite create").failed(1, &["nobody could use it"]);
    place.configure("[signup]\nlocal = \"open\"\ndisabled = true\n");
    run(&place, "invite create").failed(78, &["signup.disabled", "DISABLE_SIGNUP"]);
    assert_eq!(list(&place), Vec::<Value>::new());
}

/// Where there is mail, the link goes to the address and nowhere else.
#[test]
fn an_invitation_for_an_address_goes_by_mail() {
    let place = place(&format!("{INVITE}[mail]\nsink = \"page\"\n"));
    let made = run(&place, "invite create --email anna@corp.test --json").ok();
    made.shows_none_of(&["kw_in_"]);
    let made = made.json();
    assert_eq!((&made["link"], &made["mailed"]), (&Value::Null, &json!(true)));
    let told = run(&place, "invite create --email bob@corp.test").ok();
    assert!(told.out.contains("goes to bob@corp.test"), "{told:?}");
    let shown = run(&place, "invite create --email carl@corp.test --no-mail --json").ok().json();
    assert_eq!(shown["mailed"], false);
    assert!(shown["link"].as_str().unwrap().contains("kw_in_"));
    let all = list(&place);
    let of = |row: &Value| (row["email"].as_str().unwrap().to_owned(), row["mailed"] == true);
    let mut mailed: Vec<(String, bool)> = all.iter().map(of).collect();
    mailed.sort();
    let expected = [("anna@corp.test", true), ("bob@corp.test", true), ("carl@corp.test", false)];
    assert_eq!(mailed, expected.map(|(email, mailed)| (email.to_owned(), mailed)));
    // Without mail it is printed, and proves no address.
    place.configure(INVITE);
    let shown = run(&place, "invite create --email dora@corp.test --json").ok().json();
    assert_eq!((shown["mailed"].clone(), shown["link"].is_string()), (json!(false), true));
}

/// RC-01: what comes by mail is the link, from the issuer, and it is good.
#[tokio::test(flavor = "multi_thread")]
async fn the_mail_holds_a_good_link() {
    let place = place(&format!("{INVITE}[mail]\nsink = \"page\"\n"));
    let server = place.serve().await;
    run(&place, "invite create --email anna@corp.test --group staff").ok();
    for _ in 0..200 {
        let page = server.management("/mail").unwrap().body;
        if let Some((_, rest)) = page.split_once("http://localhost:8080/invitation?") {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_=-".contains(c)));
            let path = format!("/invitation?{}", &rest[..end.unwrap()]);
            assert_eq!(server.get(&path).unwrap().status, 303, "{path}: {page}");
            // The one link in the log is that for the first administrator.
            assert_eq!(server.log().matches("kw_in_").count(), 1, "{}", server.log());
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no mail came: {}", server.log());
}

fn doors(place: &Place) -> [(Value, Value); 2] {
    let shown = run(place, "signup show --json").ok().json();
    ["local", "federated"].map(|door| (shown[door]["mode"].clone(), shown[door]["said_by"].clone()))
}

/// What is set wins over the file, loses to the switch, and is gone when it is reset.
#[test]
fn the_doors_are_set_and_reset() {
    let mut place = place(INVITE);
    let (file, set, off) = ("configuration", "run time", "disabled");
    let of = |mode: &str, by: &str| (json!(mode), json!(by));
    assert_eq!(doors(&place), [of("invite", file), of("open", file)]);
    let told = run(&place, "signup set --local closed --federated invite").ok();
    assert!(told.out.contains("run time"), "{told:?}");
    assert_eq!(doors(&place), [of("closed", set), of("invite", set)]);
    run(&place, "signup set --local open").ok();
    assert_eq!(doors(&place), [of("open", set), of("invite", set)]);
    place.set("DISABLE_SIGNUP", "true");
    assert_eq!(doors(&place), [of("closed", off), of("closed", off)]);
    assert!(run(&place, "signup show").ok().out.contains("DISABLE_SIGNUP"));
    assert!(run(&place, "config check").ok().out.contains("DISABLE_SIGNUP"));
    place.environment.remove("DISABLE_SIGNUP");
    run(&place, "signup reset").ok();
    assert_eq!(doors(&place), [of("invite", file), of("open", file)]);
    run(&place, "signup set").failed(1, &["--local", "--federated"]);
    assert_ne!(run(&place, "signup set --local ajar").status, Some(0));
    let told = run(&place, "config check").ok().out;
    assert!(told.contains("by the form invite, from upstreams open"), "{told}");
}

/// A running server follows, and so do the meanings of groups.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_follows() {
    let place = place("");
    let server = place.serve().await;
    let opens = async |wanted: u16| {
        for _ in 0..200 {
            if server.get("/signup").unwrap().status == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the door does not follow: {}", server.log());
    };
    opens(403).await;
    run(&place, "signup set --local open").ok();
    opens(303).await;
    run(&place, "signup set --local closed").ok();
    opens(403).await;
}
