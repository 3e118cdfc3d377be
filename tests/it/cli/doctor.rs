//! `keywright doctor`: each check, passed and failed, over real HTTP.

use serde_json::{Value, json};

use super::program::{Ended, Place};
use crate::support::fake_upstream::{
    CLIENT_ID, CLIENT_SECRET, Endpoint, FakeUpstream, Fault, Misbehaviour,
};

/// The settings of an upstream, with more lines. Lines win over the usual ones.
fn settings(upstream: &FakeUpstream, lines: &str) -> String {
    let usual = [
        ("issuer", upstream.issuer()),
        ("client_id", CLIENT_ID.to_owned()),
        ("client_secret", CLIENT_SECRET.to_owned()),
    ];
    let usual = usual.iter().filter(|(name, _)| !lines.contains(&format!("{name} = ")));
    let usual: Vec<String> = usual.map(|(name, value)| format!("{name} = {value:?}")).collect();
    let usual = usual.join("\n");
    format!("[[upstreams]]\nslug = \"kc\"\nname = \"Kc\"\ntimeout = \"1s\"\n{usual}\n{lines}\n")
}

fn place(upstream: &FakeUpstream, lines: &str) -> Place {
    let place = Place::new();
    place.configure(&settings(upstream, lines));
    place
}

/// Looks at the upstream alone.
fn examine(upstream: &FakeUpstream, lines: &str) -> Ended {
    place(upstream, lines).run(&["doctor", "--json", "--upstream", "kc"])
}

/// What was found by one check.
fn found(ended: &Ended, check: &str) -> Value {
    let report = ended.json();
    let all = report["checks"].as_array().unwrap();
    let mut found = all.iter().filter(|finding| finding["check"] == check);
    let finding = found.next().unwrap_or_else(|| panic!("no {check}: {ended:?}")).clone();
    assert!(found.next().is_none(), "{check} stands twice: {ended:?}");
    // One sentence, and a fix unless all is well; the status says whether something failed.
    assert_eq!(finding["fix"].is_null(), finding["verdict"] == "pass", "{finding}");
    assert_eq!(ended.status, Some(i32::from(report["fail"] != 0)), "{ended:?}");
    finding
}

/// One lie of the upstream, and what a check finds.
type Case<'a> = (&'a str, &'a str, &'a dyn Fn(&mut Misbehaviour), &'a str, &'a str);

async fn assert_cases(check: &str, cases: &[Case<'_>]) {
    for (name, lines, lie, verdict, what) in cases {
        let upstream = FakeUpstream::start().await;
        upstream.misbehave(|lies| lie(lies));
        let ended = examine(&upstream, lines);
        let finding = found(&ended, check);
        assert_eq!(finding["verdict"], *verdict, "{name}: {finding}");
        assert!(finding["what"].as_str().unwrap().contains(what), "{name}: {finding}");
        ended.shows_none_of(&[CLIENT_SECRET]);
    }
}

fn honest(_: &mut Misbehaviour) {}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_upstream_passes_everything() {
    let upstream = FakeUpstream::start().await;
    for signed_in in [true, false] {
        upstream.set_signed_in(signed_in);
        let ended = examine(&upstream, "client_secret_expires = 2999-12-31").ok();
        let report = ended.json();
        let checks: Vec<&str> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| {
                assert_eq!(finding["verdict"], "pass", "{finding}");
                assert_eq!(finding["upstream"], "kc");
                finding["check"].as_str().unwrap()
            })
            .collect();
        let all = "discovery issuer endpoints algorithms keys pkce credentials redirect_uri logout \
                   clock secret";
        assert_eq!(checks.join(" "), all);
        assert_eq!((&report["warn"], &report["fail"]), (&json!(0), &json!(0)));
    }
    let redeemed = upstream.requests_to(Endpoint::Token);
    assert!(redeemed.iter().all(|request| request.param("code").unwrap().starts_with("doctor-")));
    let asked = upstream.requests_to(Endpoint::Authorize);
    assert!(asked.iter().all(|request| request.param("prompt") == Some("none")));
    let words = place(&upstream, "").run(&["doctor", "--upstream", "kc"]).ok();
    assert!(words.out.contains("Upstream kc\n  ok    discovery"), "{}", words.out);
    assert!(words.out.ends_with("10 checks passed, 0 to look at, 0 failed.\n"), "{}", words.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_is_checked() {
    let set = |name: &'static str, value: Value| {
        move |lies: &mut Misbehaviour| {
            lies.metadata.set(name, value.clone());
        }
    };
    let fault = |fault: Fault| {
        move |lies: &mut Misbehaviour| lies.fault(Endpoint::Discovery, fault.clone())
    };
    assert_cases(
        "discovery",
        &[
            ("gone", "", &fault(Fault::Drop), "fail", "upstream_unreachable"),
            ("slow", "", &fault(Fault::Hang), "fail", "upstream_slow"),
            ("not there", "", &fault(Fault::Status(404)), "fail", "status 404"),
            ("html", "", &fault(Fault::html()), "fail", "not a JSON object"),
            ("no jwks_uri", "", &set("jwks_uri", Value::Null), "fail", "malformed"),
        ],
    )
    .await;
    let evil = json!("https://evil.test");
    assert_cases("issuer", &[("other", "", &set("issuer", evil), "fail", "evil.test")]).await;
    let http = json!("http://evil.test/token");
    let case: Case<'_> = ("http", "", &set("token_endpoint", http), "fail", "not an https address");
    assert_cases("endpoints", &[case]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn algorithms_keys_and_pkce_are_checked() {
    const ALGORITHMS: &str = "id_token_signing_alg_values_supported";
    const METHODS: &str = "code_challenge_methods_supported";
    let hs = |lies: &mut Misbehaviour| {
        lies.metadata.set(ALGORITHMS, json!(["HS256"]));
    };
    let ec = "id_token_algs = [\"ES256\"]";
    assert_cases(
        "algorithms",
        &[
            ("the secret signs", "", &hs, "fail", "it signs with HS256"),
            ("not ours", ec, &honest, "fail", "accepted are ES256"),
        ],
    )
    .await;
    let broken = |lies: &mut Misbehaviour| lies.fault(Endpoint::Jwks, Fault::Status(500));
    let none = |lies: &mut Misbehaviour| lies.transform_key_set(|_| json!({ "keys": [] }));
    assert_cases(
        "keys",
        &[
            ("broken", "", &broken, "fail", "status 500"),
            ("none", "", &none, "fail", "no signing key"),
            ("for something else", ec, &honest, "fail", "none of its keys is for ES256"),
        ],
    )
    .await;
    let plain = |lies: &mut Misbehaviour| {
        lies.metadata.set(METHODS, json!(["plain"]));
    };
    let silent = |lies: &mut Misbehaviour| {
        lies.metadata.remove(METHODS);
    };
    assert_cases(
        "pkce",
        &[
            ("plain", "", &plain, "fail", "S256 is what is sent"),
            ("silent", "", &silent, "warn", "does not say"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_checked() {
    let answers =
        |fault: Fault| move |lies: &mut Misbehaviour| lies.fault(Endpoint::Token, fault.clone());
    let says =
        |status: u16, body: &'static str| answers(Fault::answer(status, "application/json", body));
    let wrong = "client_secret = \"another\"";
    let over = "client_secret = \"another\"\nclient_secret_expires = \"2026-01-31\"";
    assert_cases(
        "credentials",
        &[
            ("wrong secret", wrong, &honest, "fail", "invalid_client"),
            ("old secret", over, &honest, "fail", "the client secret has ended on 2026-01-31"),
            ("down", "", &answers(Fault::Status(503)), "fail", "status 503"),
            ("silent", "", &answers(Fault::Hang), "fail", "upstream_slow"),
            ("odd", "", &says(400, r#"{"error":"invalid_request"}"#), "warn", "invalid_request"),
            ("html", "", &answers(Fault::html()), "warn", "nobody can say"),
            (
                "generous",
                "",
                &says(200, r#"{"access_token":"a","token_type":"bearer"}"#),
                "fail",
                "made up",
            ),
            // GitHub's words, with status 200.
            (
                "code",
                "",
                &says(200, r#"{"error":"bad_verification_code"}"#),
                "pass",
                "not the client",
            ),
            (
                "client",
                "",
                &says(200, r#"{"error":"incorrect_client_credentials"}"#),
                "fail",
                "refuses the client",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redirect_address_is_checked() {
    let answers = |fault: Fault| {
        move |lies: &mut Misbehaviour| lies.fault(Endpoint::Authorize, fault.clone())
    };
    let error = |error: &'static str| {
        move |lies: &mut Misbehaviour| {
            lies.authorization_response.remove("code");
            lies.authorization_response.set("error", json!(error));
        }
    };
    let login = "https://kc.test/login?secret=1".to_owned();
    let near = "http://localhost:8080/upstream/kc/callback/x?code=1".to_owned();
    assert_cases(
        "redirect_uri",
        &[
            ("unknown", "", &answers(Fault::Status(400)), "fail", "status 400"),
            ("broken", "", &answers(Fault::Status(500)), "fail", "status 500"),
            ("gone", "", &answers(Fault::Drop), "fail", "upstream_unreachable"),
            ("its own page", "", &answers(Fault::html()), "warn", "shows a page"),
            ("elsewhere", "", &answers(Fault::Redirect(302, login)), "warn", "kc.test/login"),
            ("near", "", &answers(Fault::Redirect(302, near)), "warn", "nobody can say"),
            ("scope", "", &error("invalid_scope"), "fail", "requests are refused: invalid_scope"),
            ("app", "", &error("unauthorized_client"), "fail", "unauthorized_client"),
            ("other", "", &error("temporarily_unavailable"), "warn", "temporarily_unavailable"),
            ("nobody", "", &error("interaction_required"), "pass", "it is registered"),
            ("posted", "response_mode = \"form_post\"", &honest, "pass", "posted"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_and_lease_are_checked() {
    const GRANTS: &str = "grant_types_supported";
    let no_logout = |lies: &mut Misbehaviour| {
        lies.metadata.remove("end_session_endpoint");
    };
    assert_cases(
        "logout",
        &[
            ("wanted", "logout = \"always\"", &no_logout, "fail", "no end_session_endpoint"),
            ("there", "logout = \"always\"", &honest, "pass", "signed out there"),
            ("not wanted", "", &no_logout, "pass", "not asked to"),
        ],
    )
    .await;
    let refreshes = |lies: &mut Misbehaviour| {
        lies.metadata.set(GRANTS, json!(["authorization_code", "refresh_token"]));
    };
    let offline = |lies: &mut Misbehaviour| {
        lies.metadata.set(GRANTS, json!(["authorization_code", "refresh_token"]));
        lies.metadata.set("scopes_supported", json!(["openid", "offline_access"]));
    };
    let nothing = |lies: &mut Misbehaviour| {
        lies.metadata.remove("userinfo_endpoint");
    };
    let max = "max_staleness = \"15m\"";
    let asks = "max_staleness = \"15m\"\nscopes = [\"openid\", \"offline_access\"]";
    let keycloak = "max_staleness = \"15m\"\npreset = \"keycloak\"";
    assert_cases(
        "lease",
        &[
            ("refreshes", max, &refreshes, "pass", "refresh tokens"),
            ("not asked", max, &offline, "warn", "offline_access"),
            ("asked", asks, &offline, "pass", "refresh tokens"),
            ("always", keycloak, &offline, "pass", "refresh tokens"),
            ("userinfo", max, &honest, "warn", "UserInfo"),
            ("nothing", max, &nothing, "fail", "nothing can confirm people"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_and_secrets_are_checked() {
    let now = || chrono::Utc::now().timestamp();
    for (ahead, verdict, what) in [
        (600, "fail", "ahead of ours"),
        (-600, "fail", "behind ours"),
        (30, "warn", "ahead of ours"),
    ] {
        let upstream = FakeUpstream::start().await;
        upstream.set_clock(move || now() + ahead);
        let finding = found(&examine(&upstream, ""), "clock");
        assert_eq!(finding["verdict"], verdict, "{finding}");
        assert!(finding["what"].as_str().unwrap().contains(what), "{finding}");
    }
    let day = (chrono::Utc::now() + chrono::Duration::days(10)).format("%Y-%m-%d");
    let near = format!("client_secret_expires = {day}");
    assert_cases(
        "secret",
        &[
            (
                "over",
                "client_secret_expires = 2026-01-31",
                &honest,
                "fail",
                "has ended on 2026-01-31",
            ),
            ("near", &near, &honest, "warn", "ends on"),
            ("far", "client_secret_expires = \"2999-12-31\"", &honest, "pass", "2999-12-31"),
            ("unknown", "preset = \"entra\"", &honest, "warn", "nobody has written down"),
        ],
    )
    .await;
}

/// OAuth 2.0 has less to look at, and the report says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_without_discovery_has_fewer_checks() {
    let upstream = FakeUpstream::start().await;
    upstream.speak_plain_oauth();
    let lines = format!(
        "preset = \"oauth2\"\nauthorization_endpoint = {:?}\ntoken_endpoint = {:?}\n\
         userinfo_endpoint = {:?}\nscopes = [\"profile\"]\nmax_staleness = \"1h\"",
        upstream.url(Endpoint::Authorize),
        upstream.url(Endpoint::Token),
        upstream.url(Endpoint::Userinfo),
    );
    let ended = examine(&upstream, &lines);
    let said = found(&ended, "reachable")["what"].to_string();
    assert!(said.contains("has no discovery"), "{said}");
    assert_eq!(found(&ended, "credentials")["verdict"], "pass");
    assert_eq!(found(&ended, "redirect_uri")["verdict"], "pass");
    assert_eq!(found(&ended, "lease")["verdict"], "warn");
    upstream.misbehave(|lies| lies.fault(Endpoint::Token, Fault::Drop));
    let ended = examine(&upstream, &lines);
    assert_eq!(found(&ended, "reachable")["verdict"], "fail");
}

/// What an upstream says does not speak to the administrator's terminal.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_do_not_reach_the_terminal() {
    let upstream = FakeUpstream::start().await;
    let hostile = "\u{1b}[2J\u{202e}x\u{9b}y\n";
    upstream.misbehave(|lies| {
        lies.metadata.set("id_token_signing_alg_values_supported", json!([hostile]));
        lies.metadata.set("code_challenge_methods_supported", json!([hostile]));
        lies.authorization_response.set("error", json!(hostile));
        lies.authorization_response.set("error_description", json!(hostile));
        let body = json!({ "error": hostile, "error_description": hostile }).to_string();
        lies.fault(Endpoint::Token, Fault::answer(400, "application/json", body));
    });
    let ended = place(&upstream, "").run(&["doctor", "--upstream", "kc"]);
    let plain = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(ended.out.contains("FAIL  algorithms"), "{ended:?}");
    assert!(ended.out.chars().all(plain) && ended.err.chars().all(plain), "{ended:?}");
}
