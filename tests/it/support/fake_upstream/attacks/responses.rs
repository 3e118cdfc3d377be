//! Lies of the endpoints around the ID token: discovery, authorization response, token, userinfo.

use std::time::Duration;

use serde_json::{Value, json};

use super::Attack;
use crate::support::fake_upstream::{Endpoint, Fault, UserinfoShape};

/// Discovery documents to refuse (OIDC Discovery §3, §4.3). Endpoints of another provider (mix-up)
/// are not here: such a test names the other provider's address itself.
pub(crate) fn metadata() -> Vec<Attack> {
    let mut attacks: Vec<Attack> =
        ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"]
            .into_iter()
            .map(|name| {
                Attack::new(format!("{name} missing"), move |lies| {
                    lies.metadata.remove(name);
                })
            })
            .collect();
    attacks.push(metadata_is("issuer", json!("https://attacker.test")));
    attacks.push(metadata_is("issuer", json!(["https://attacker.test"])));
    attacks.push(metadata_is("issuer", json!(7)));
    attacks.push(Attack::new("issuer with a slash more", |lies| {
        lies.metadata.alter("issuer", |issuer| json!(format!("{}/", plain(issuer))));
    }));
    attacks.push(Attack::new("issuer with another scheme", |lies| {
        lies.metadata.alter("issuer", |issuer| json!(plain(issuer).replace("http:", "https:")));
    }));
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        for value in ["javascript:alert(1)", "file:///etc/passwd", "/relative", "", "ftp://a.test/"]
        {
            attacks.push(metadata_is(name, json!(value)));
        }
        attacks.push(metadata_is(name, json!(7)));
    }
    attacks
}

/// Authorization responses to refuse (RFC 6749 §4.1.2, RFC 9207 §2.4).
pub(crate) fn authorization_responses() -> Vec<Attack> {
    vec![
        Attack::new("iss of somebody else", |lies| {
            lies.authorization_response.set("iss", "https://attacker.test");
        }),
        Attack::new("iss with a slash more", |lies| {
            lies.authorization_response.alter("iss", |iss| json!(format!("{}/", plain(iss))));
        }),
        Attack::new("iss empty", |lies| {
            lies.authorization_response.set("iss", "");
        }),
        Attack::new("iss missing although promised", |lies| {
            lies.authorization_response.remove("iss");
        }),
        Attack::new("another state", |lies| {
            lies.authorization_response.set("state", "another-state");
        }),
        Attack::new("state missing", |lies| {
            lies.authorization_response.remove("state");
        }),
        Attack::new("no code", |lies| {
            lies.authorization_response.remove("code");
        }),
        Attack::new("code empty", |lies| {
            lies.authorization_response.set("code", "");
        }),
        Attack::new("unknown code", |lies| {
            lies.authorization_response.set("code", "unknown-code");
        }),
        Attack::new("code and error at once", |lies| {
            lies.authorization_response.set("error", "access_denied");
        }),
    ]
}

/// Token responses to refuse (RFC 6749 §5), besides those of the ID token itself.
pub(crate) fn token_responses() -> Vec<Attack> {
    let mut attacks = vec![
        Attack::new("token_type missing", |lies| {
            lies.token_response.remove("token_type");
        }),
        Attack::new("access_token missing", |lies| {
            lies.token_response.remove("access_token");
        }),
        Attack::new("access_token is a number", |lies| {
            lies.token_response.set("access_token", 7);
        }),
    ];
    for code in ["invalid_grant", "invalid_client", "server_error"] {
        attacks.push(Attack::new(format!("error {code}"), move |lies| {
            lies.fault(Endpoint::Token, Fault::oauth_error(400, code));
        }));
    }
    attacks.push(Attack::new("error with status 200", |lies| {
        lies.fault(Endpoint::Token, Fault::oauth_error(200, "invalid_grant"));
    }));
    attacks
}

/// Userinfo answers to refuse (OIDC Core §5.3.2, §5.3.4).
pub(crate) fn userinfo() -> Vec<Attack> {
    let mut attacks = vec![
        Attack::new("sub missing", |lies| {
            lies.userinfo.remove("sub");
        }),
        Attack::new("claims in an array", |lies| lies.userinfo_shape = UserinfoShape::Array),
        Attack::new("JWT of somebody else", |lies| {
            lies.userinfo_shape = UserinfoShape::ForeignJwt;
        }),
    ];
    for sub in [json!("mallory"), json!(""), json!(7), json!(null), json!(["alice-at-upstream"])] {
        attacks.push(Attack::new(format!("sub = {sub}"), move |lies| {
            lies.userinfo.set("sub", sub.clone());
        }));
    }
    attacks
}

/// Answers of one endpoint that are not the document it owes: also redirects and broken transport.
pub(crate) fn broken_documents(endpoint: Endpoint) -> Vec<Attack> {
    let mut faults = vec![
        ("HTML", Fault::html()),
        ("JSON cut short", Fault::invalid_json()),
        ("a JSON array", Fault::json_array()),
        ("an empty body", Fault::answer(200, "application/json", "")),
        ("bytes that are no text", Fault::answer(200, "application/json", vec![0xff, 0xfe, 0])),
        ("no answer", Fault::Drop),
        ("half an answer", Fault::DropMidBody),
        ("a body of 8 MiB", Fault::Padded(8 * 1024 * 1024)),
        ("a gzip bomb", Fault::GzipBomb),
        ("10 000 headers", Fault::ManyHeaders(10_000)),
    ];
    for status in [400, 401, 403, 404, 429, 500, 502, 503] {
        faults.push(("an error status", Fault::Status(status)));
    }
    for status in [301, 302, 303, 307, 308] {
        faults.push(("a redirect", Fault::RedirectLoop(status)));
    }
    on(endpoint, faults)
}

/// Answers of one endpoint that never end, or not in time. Each costs the relying party's time-out.
pub(crate) fn slow_or_endless(endpoint: Endpoint) -> Vec<Attack> {
    let faults = vec![
        ("no answer ever", Fault::Hang),
        ("one byte per second", Fault::Trickle(Duration::from_secs(1))),
        ("an endless body", Fault::Endless),
        ("a minute late", Fault::Delay(Duration::from_secs(60))),
    ];
    on(endpoint, faults)
}

/// Values of `email_verified` that do not say that the address is verified (OIDC Core §5.1).
pub(crate) fn unverified_email_flags() -> Vec<Value> {
    vec![
        json!(false),
        json!("false"),
        json!("true"),
        json!("yes"),
        json!(0),
        json!(1),
        json!("1"),
        json!(null),
        json!([]),
        json!([true]),
        json!({}),
    ]
}

fn on(endpoint: Endpoint, faults: Vec<(&str, Fault)>) -> Vec<Attack> {
    let attack = |(what, fault): (&str, Fault)| {
        let status = match &fault {
            Fault::Status(status) | Fault::RedirectLoop(status) => format!(" {status}"),
            _ => String::new(),
        };
        Attack::new(format!("{endpoint:?}: {what}{status}"), move |lies| {
            lies.fault(endpoint, fault.clone());
        })
    };
    faults.into_iter().map(attack).collect()
}

fn metadata_is(name: &'static str, value: Value) -> Attack {
    Attack::new(format!("{name} = {value}"), move |lies| {
        lies.metadata.set(name, value.clone());
    })
}

fn plain(value: &Value) -> &str {
    value.as_str().expect("a text member")
}
