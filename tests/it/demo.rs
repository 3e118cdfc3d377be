//! `keywright demo` as a newcomer meets it: the program itself, over real HTTP.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use crate::support::browser::{Browser, Journey, Navigation, Page};

/// A demonstration that is running.
struct Demo {
    child: Child,
    /// The line that it printed.
    ready: Value,
    /// Its working folder, with a folder for temporary things in it.
    folder: TempDir,
}

impl Demo {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_keywright"))
            .args(["demo", "--json"])
            .env_clear()
            .env("TMPDIR", folder.path().join("tmp"))
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut demo = Self { child, ready: Value::Null, folder };
        let reading = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            line
        });
        let line = tokio::time::timeout(Duration::from_secs(60), reading).await;
        demo.ready = serde_json::from_str(&line.expect("a line in time").unwrap()).unwrap();
        demo
    }

    fn address(&self, party: &str) -> &str {
        self.ready[party].as_str().unwrap()
    }

    /// What it keeps at the moment.
    fn kept(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Asks it to end, and waits.
    async fn end(&mut self, signal: &str) -> ExitStatus {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
        for _ in 0..200 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the demonstration does not end")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fills in the sample company's form and comes back to the app.
async fn sign_in(browser: &mut Browser, login: &Page, person: &Value) -> Journey {
    let form = login.form_to("/login");
    let form = form.fill("username", person["username"].as_str().unwrap());
    let form = form.fill("password", person["password"].as_str().unwrap());
    let answer = browser.submit(login, &form).await;
    browser.follow(answer).await
}

/// Presses the only button of one of the app's forms.
async fn press(browser: &mut Browser, page: &Page, path: &str) -> Journey {
    let answer = browser.submit(page, &page.form_to(path)).await;
    browser.follow(answer).await
}

/// Header and payload of a token that the page shows as it was sent.
fn token(page: &Page, id: &str) -> (String, Value, Value) {
    let text = page.text();
    let (_, after) = text.split_once(&format!("id=\"{id}-raw\" dir=\"ltr\">")).unwrap();
    let raw = after.split('<').next().unwrap().to_owned();
    let decode = |part: &str| {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let mut parts = raw.split('.');
    let (header, payload) = (decode(parts.next().unwrap()), decode(parts.next().unwrap()));
    (raw, header, payload)
}

#[tokio::test]
async fn a_newcomer_sees_everything_work_and_nothing_stays() {
    let mut demo = Demo::start().await;
    let (app, issuer) = (demo.address("app").to_owned(), demo.address("issuer").to_owned());
    let upstream = demo.address("upstream").to_owned();
    let people = demo.ready["people"].as_array().unwrap().clone();
    assert_eq!(people.len(), 3);
    let kept = demo.kept();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(fs::metadata(&kept[0]).unwrap().permissions().mode() & 0o777, 0o700);

    // From the app through Keywright to the sample company, and back the same way.
    let mut browser = Browser::over_network(&app);
    let home = browser.get("/").await;
    assert!(home.text().contains("vanishes"), "{}", home.text());
    let there = browser.click(&home, "/sign-in").await;
    let there = browser.follow(there).await;
    assert!(there.hop("/authorize").url.as_str().starts_with(&issuer));
    assert!(there.last().url.as_str().starts_with(&upstream), "{:#?}", there.hops());
    let back = sign_in(&mut browser, there.last(), &people[0]).await;
    let callback = back.hop("/callback").url.clone();
    assert_eq!(back.hop("/upstream/company/callback").status, 303);
    let page = back.last();
    assert_eq!((page.status, page.url.as_str()), (200, format!("{app}/").as_str()));
    assert!(page.text().contains("Hello, <bdi>Anna Lindqvist</bdi>"), "{}", page.text());

    let first = check_tokens(&mut browser, page, &issuer).await;
    assert_eq!(first["groups"], serde_json::json!(["admins", "staff"]));
    refuses_forgeries(&mut browser, &callback, &upstream).await;

    // New tokens for the same person.
    let page = browser.get("/").await;
    let refreshed = press(&mut browser, &page, "/refresh").await;
    assert!(refreshed.last().text().contains("Refreshed"), "{:#?}", refreshed.hops());
    assert_ne!(token(&page, "access").0, token(refreshed.last(), "access").0);
    assert_eq!(token(refreshed.last(), "id").2["sub"], first["sub"]);

    // Out again, and in as somebody else.
    let out = press(&mut browser, refreshed.last(), "/sign-out").await;
    assert_eq!(out.last().url.path(), "/signed-out", "{:#?}", out.hops());
    assert!(out.hop("/logout").url.as_str().starts_with(&issuer));
    assert!(!browser.get("/").await.text().contains("Hello"));
    let choice = browser.click(out.last(), "/sign-in?as=somebody-else").await;
    let choice = browser.follow(choice).await.last().clone();
    // After a sign-out the person chooses, even where there is one way only.
    let way = choice.links().into_iter().find(|link| link.path().ends_with("/start")).unwrap();
    let there = browser.click(&choice, way.as_str()).await;
    let there = browser.follow(there).await;
    let back = sign_in(&mut browser, there.last(), &people[2]).await;
    let other = check_tokens(&mut browser, back.last(), &issuer).await;
    assert_eq!(other["groups"], serde_json::json!(["guests"]));
    assert_ne!(other["sub"], first["sub"]);

    assert_eq!(demo.end("TERM").await.code(), Some(0));
    assert_eq!(demo.kept(), Vec::<PathBuf>::new());
    let left: Vec<_> = fs::read_dir(demo.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the folder for temporary things: {left:?}");
}

/// The tokens are Keywright's, say what the page says, and name published keys.
async fn check_tokens(browser: &mut Browser, page: &Page, issuer: &str) -> Value {
    let text = page.text();
    let keys = browser.get(&format!("{issuer}/.well-known/jwks.json")).await.json();
    let published = |kid: &Value| {
        let keys = keys["keys"].as_array().unwrap();
        keys.iter().any(|key| key["kid"] == *kid)
    };
    let (_, id_header, id) = token(page, "id");
    let (_, access_header, access) = token(page, "access");
    for header in [&id_header, &access_header] {
        assert!(published(&header["kid"]), "{header} {keys}");
        let kid = header["kid"].as_str().unwrap();
        let alg = header["alg"].as_str().unwrap();
        assert!(text.contains(&format!("Signature verified: {alg}, key {kid}")), "{text}");
    }
    assert_eq!((&id_header["typ"], &access_header["typ"]), (&"JWT".into(), &"at+jwt".into()));
    assert_eq!((&id["iss"], &access["iss"]), (&issuer.into(), &issuer.into()));
    assert_eq!((&id["aud"], &access["client_id"]), (&"sample-app".into(), &"sample-app".into()));
    assert_eq!(id["sub"], access["sub"]);
    assert!(text.contains("<dt>Nonce</dt>"), "{text}");
    id
}

/// An answer counts once and only with the state of this browser; forms count from this app only.
async fn refuses_forgeries(browser: &mut Browser, callback: &Url, upstream: &str) {
    let again = browser.get(callback.as_str()).await;
    assert_eq!(again.status, 400, "{}", again.text());
    assert!(again.text().contains("no sign-in under way"), "{}", again.text());

    let mut second = browser.stranger();
    assert_eq!(second.get("/sign-in").await.status, 303);
    let stolen = second.get(callback.as_str()).await;
    assert_eq!(stolen.status, 400);
    assert!(stolen.text().contains("belongs to another sign-in"), "{}", stolen.text());

    let neighbour = Url::parse(upstream).unwrap();
    for path in ["/refresh", "/sign-out"] {
        let forged = Navigation::post(callback.join(path).unwrap(), &[]).started_by(&neighbour);
        assert_eq!(browser.send(forged).await.status, 403, "{path}");
    }
    assert!(browser.get("/").await.text().contains("Hello"), "still signed in");
}

#[tokio::test]
async fn it_ends_well_from_the_keyboard_and_with_the_terminal() {
    for signal in ["INT", "HUP"] {
        let mut demo = Demo::start().await;
        assert_eq!(demo.end(signal).await.code(), Some(0), "{signal}");
        assert_eq!(demo.kept(), Vec::<PathBuf>::new(), "{signal}");
    }
}
