//! What a configuration says and what is wrong with it.

use super::*;
use crate::config::SignupMode;

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn faults(text: &str, pairs: &[(&str, &str)]) -> String {
    parse(text, &env(pairs)).unwrap_err().to_string()
}

#[test]
fn nothing_at_all_is_a_good_configuration() {
    let config = parse("", &env(&[])).unwrap();
    assert_eq!(config.server.issuer.as_str(), "http://localhost:8080");
    assert!(matches!(config.database.url, DatabaseUrl::Sqlite(_)));
    assert!(matches!(config.state.url, StateUrl::Memory));
}

#[test]
fn every_problem_is_reported_at_once_with_its_fix() {
    let text = r#"
        [server]
        isuer = "https://id.example.org"
        listen = "nowhere"
        [tokens]
        access_token_lifetime = "forever"
        [[clients]]
        name = "App"
        redirect_uris = ["https://*.example.org/cb"]
        secrt = "x"
        [keys]
        rotation_interval = "2h"
    "#;
    let said = faults(text, &[]);
    for part in [
        "server.isuer: there is no such setting; did you mean server.issuer?",
        "server.listen = \"nowhere\"",
        "tokens.access_token_lifetime = \"forever\"",
        "keys.rotation_interval = 2h: must leave room for publish_lead",
        "clients.0.id: must be set",
        "clients.0.secrt: there is no such setting; did you mean clients.0.secret?",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = parse(
        "[server]\nissuer = \"https://a.example.org\"\n[[clients]]\nid = \"a\"\nname = \"A\"\nredirect_uris = [\"https://a.test/cb\"]\nsecret_file = \"/nowhere\"",
        &env(&[
            ("KEYWRIGHT_SERVER__ISSUER", "https://b.example.org"),
            ("KEYWRIGHT_CLIENTS__0__SECRET", "0123456789abcdef"),
            ("KEYWRIGHT_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.168.0.0/16"),
            ("DATABASE_URL", "postgres://db/keywright"),
            ("REDIS_URL", "redis://redis/0"),
            ("SECRET_KEY", "0123456789abcdef0123456789abcdef"),
        ]),
    )
    .unwrap();
    assert_eq!(config.server.issuer.as_str(), "https://b.example.org");
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.clients[0].secret.as_ref().unwrap().expose(), "0123456789abcdef");
    assert!(matches!(config.database.url, DatabaseUrl::Postgres(_)));
    assert!(matches!(config.state.url, StateUrl::Redis(_)));
}

#[test]
fn disable_signup_closes_both_toggles() {
    let config = parse("[signup]\nlocal = \"open\"", &env(&[("DISABLE_SIGNUP", "true")])).unwrap();
    assert_eq!(config.signup.local, SignupMode::Closed);
    assert_eq!(config.signup.federated, SignupMode::Closed);
    assert!(faults("", &[("DISABLE_SIGNUP", "maybe")]).contains("DISABLE_SIGNUP = maybe"));
}

/// The names that other programs have for it.
#[test]
fn the_general_limit_is_read_from_its_own_variables() {
    let config = parse("", &env(&[("RATE_LIMIT_ENABLED", "false")])).unwrap();
    assert!(!config.rate_limits.enabled);
    let config = parse("", &env(&[("RATE_LIMIT_PER_MINUTE", "600")])).unwrap();
    assert!(config.rate_limits.enabled);
    assert_eq!(config.rate_limits.requests_per_minute, 600);
    assert_eq!(parse("", &env(&[])).unwrap().rate_limits.requests_per_minute, 60);
    let said = faults("", &[("RATE_LIMIT_PER_MINUTE", "0")]);
    assert!(said.contains("requests_per_minute = 0") && said.contains("enabled = false"), "{said}");
    assert!(faults("", &[("RATE_LIMIT_ENABLED", "maybe")]).contains("rate_limits.enabled"));
}

#[test]
fn a_secret_is_read_from_its_file_without_the_last_newline() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0123456789abcdef0123456789abcdef\n").unwrap();
    let config = parse("", &env(&[("SECRET_KEY_FILE", file.path().to_str().unwrap())])).unwrap();
    let key = config.secrets.secret_key.unwrap();
    assert_eq!(key.expose(), "0123456789abcdef0123456789abcdef");
    assert!(faults("", &[("SECRET_KEY_FILE", "/does/not/exist")]).contains("cannot be read"));
}

/// LG-10: a variable with our prefix that no setting has is an error.
#[test]
fn an_unknown_variable_is_refused() {
    let said = faults("", &[("KEYWRIGHT_SERVER__ISUER", "https://id.example.org")]);
    assert!(said.contains("did you mean server.issuer?"), "{said}");
}

/// LG-03: a key that is missing, short or regular is refused.
#[test]
fn weak_secret_keys_are_refused() {
    let public = "[server]\nissuer = \"https://id.example.org\"\n";
    assert!(faults(public, &[]).contains("secrets.secret_key: must be set"));
    for weak in
        ["tiny!", "00000000000000000000000000000000", "abababababababababababababababababab"]
    {
        let said = faults(public, &[("SECRET_KEY", weak)]);
        assert!(said.contains("too short or too regular"), "{said}");
        assert!(!said.contains(weak), "a secret was shown");
    }
}

#[test]
fn issuers_are_bare_origins() {
    for (wrong, hint) in [
        ("https://id.example.org/", "\"https://id.example.org\""),
        ("https://id.example.org/auth", "\"https://id.example.org\""),
        ("http://id.example.org", "\"https://id.example.org\""),
        ("id.example.org", "must be the public address"),
        ("https://u@id.example.org", "bare origin"),
    ] {
        let said = faults("", &[("KEYWRIGHT_SERVER__ISSUER", wrong)]);
        assert!(said.contains(hint), "{wrong}: {said}");
    }
}

/// AZ-05, AZ-06: addresses that may not be registered stop the start.
#[test]
fn dangerous_redirect_uris_are_refused() {
    for wrong in ["https://*.web.test/cb", "javascript:alert(1)", "http://web.test/cb", "myapp:/cb"]
    {
        let text = format!(
            "[[clients]]\nid = \"a\"\nname = \"A\"\ntype = \"public\"\nredirect_uris = [{wrong:?}]"
        );
        assert!(faults(&text, &[]).contains("clients.0.redirect_uris"), "{wrong}");
    }
}

/// SF-05: what we call ourselves is an address of the web, without credentials.
#[test]
fn dangerous_backchannel_addresses_are_refused() {
    for wrong in [
        "http://web.test/bcl",
        "file:///etc/passwd",
        "https://u:hunter2@web.test/bcl",
        "https://web.test/bcl#x",
        "web.test/bcl",
    ] {
        let text = format!(
            "[[clients]]\nid = \"a\"\nname = \"A\"\ntype = \"public\"\n\
             redirect_uris = [\"https://web.test/cb\"]\nbackchannel_logout_uri = {wrong:?}"
        );
        let said = faults(&text, &[]);
        assert!(said.contains("clients.0.backchannel_logout_uri"), "{wrong}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn several_instances_need_shared_stores() {
    let said = faults("[server]\ninstances = 2", &[]);
    assert!(said.contains("state.url") && said.contains("database.url"), "{said}");
}

/// A database address with a password is never shown.
#[test]
fn an_unknown_database_shows_its_scheme_only() {
    let said = faults("", &[("DATABASE_URL", "mysql://root:hunter2@db/x")]);
    assert!(said.contains("database.url = mysql") && !said.contains("hunter2"), "{said}");
}

/// LG-01: what cannot be parsed is named by its line, and not shown.
#[test]
fn a_syntax_error_does_not_show_the_line() {
    let text = "[secrets]\nsecret_key = \"supersecretvalue0123456789abcdef\n";
    let problems = parse(text, &Environment::new()).unwrap_err().to_string();
    assert!(problems.contains("keywright.toml, line 2"), "{problems}");
    assert!(!problems.contains("supersecret"), "{problems}");
}
