//! Every preset is read, asks what its issuer needs, and says clearly what is missing.

use super::*;
use crate::config::{Environment, UpstreamSettings, parse};

fn read(lines: &str) -> Result<UpstreamSettings, String> {
    let text =
        format!("[[upstreams]]\nslug = \"up\"\nname = \"Up\"\nclient_id = \"kw\"\n{lines}\n");
    let config = parse(&text, &Environment::new()).map_err(|problems| problems.to_string())?;
    Ok(config.upstreams.into_iter().next().unwrap())
}

fn with_secret(lines: &str) -> Result<UpstreamSettings, String> {
    read(&format!("client_secret = \"s\"\n{lines}"))
}

fn issuer(lines: &str) -> String {
    with_secret(lines).unwrap_or_else(|problems| panic!("{lines}: {problems}")).issuer.to_string()
}

#[test]
fn every_file_is_a_preset() {
    for (name, text) in FILES {
        toml::from_str::<Preset>(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert_eq!(presets().len(), 17);
}

#[test]
fn the_examples_of_every_preset_are_a_configuration() {
    for preset in presets().iter().filter(|preset| preset.issuer.is_some()) {
        let answers = preset.asks.iter().filter(|ask| ask.default.is_none());
        let lines = answers.map(|ask| format!("{} = {:?}", ask.name, ask.example));
        let lines = lines.chain([format!("preset = {:?}\n", preset.name)]);
        let lines = lines.collect::<Vec<_>>().join("\n");
        let read = if preset.needs.iter().any(|need| need == "client_key_file") {
            read(&format!("{lines}team_id = \"T\"\nkey_id = \"K\"\nclient_key = \"k\""))
        } else {
            with_secret(&lines)
        };
        let upstream = read.unwrap_or_else(|problems| panic!("{}: {problems}", preset.name));
        assert!(!upstream.issuer.as_str().contains(['{', '%']), "{}", upstream.issuer);
        assert!(upstream.groups.is_empty(), "{}: nobody asked for groups (UP-33)", preset.name);
    }
}

#[test]
fn issuers_follow_from_the_answers() {
    let table = [
        ("keycloak\"\nhost = \"sso.test\"\nrealm = \"staff", "https://sso.test/realms/staff"),
        ("keycloak\"\nhost = \"sso.test/auth\"\nrealm = \"s", "https://sso.test/auth/realms/s"),
        (
            "keycloak\"\nhost = \"http://localhost:8081\"\nrealm = \"s",
            "http://localhost:8081/realms/s",
        ),
        ("authentik\"\nhost = \"a.test\"\napplication = \"kw", "https://a.test/application/o/kw/"),
        ("okta\"\nhost = \"e.okta.com", "https://e.okta.com/"),
        ("okta\"\nhost = \"e.okta.com\"\nserver = \"default", "https://e.okta.com/oauth2/default"),
        ("auth0\"\ndomain = \"e.auth0.com", "https://e.auth0.com/"),
        ("kanidm\"\nhost = \"idm.test", "https://idm.test/oauth2/openid/kw"),
        ("gitlab", "https://gitlab.com/"),
        ("gitlab\"\nissuer = \"https://git.test", "https://git.test/"),
        ("oidc\"\nissuer = \"https://a.test/.well-known/openid-configuration", "https://a.test/"),
    ];
    for (lines, expected) in table {
        assert_eq!(issuer(&format!("preset = \"{lines}\"")), expected, "{lines}");
    }
}

#[test]
fn pasted_addresses_are_read() {
    let table = [
        ("https://sso.test/realms/staff", "https://sso.test/realms/staff"),
        (
            "https://sso.test/realms/staff/.well-known/openid-configuration",
            "https://sso.test/realms/staff",
        ),
        ("https://sso.test/auth/realms/staff/account/#/", "https://sso.test/auth/realms/staff"),
        ("https://sso.test/admin/master/console/#/staff/clients", "https://sso.test/realms/staff"),
        ("sso.test/realms/staff/", "https://sso.test/realms/staff"),
    ];
    for (pasted, expected) in table {
        assert_eq!(issuer(&format!("preset = \"keycloak\"\nhost = {pasted:?}")), expected);
    }
    let console =
        "preset = \"keycloak\"\nissuer = \"https://sso.test/admin/master/console/#/staff\"";
    assert_eq!(issuer(console), "https://sso.test/realms/staff");
    let tenant = "8f1c2a4e-3b5d-4c6e-9a7b-0123456789ab";
    let well_known = format!(
        "preset = \"entra\"\ntenant = \"https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration\""
    );
    assert_eq!(issuer(&well_known), format!("https://login.microsoftonline.com/{tenant}/v2.0"));
    let okta = "preset = \"okta\"\nhost = \"https://e.okta.com/oauth2/aus1/v1/authorize\"";
    assert_eq!(issuer(okta), "https://e.okta.com/oauth2/aus1");
}

#[test]
fn what_does_not_fit_is_said_with_its_fix() {
    let table = [
        ("preset = \"keycloak\"\nhost = \"sso.test\"", "upstreams.0.realm: must be set"),
        ("preset = \"keycloak\"\nrealm = \"staff\"", "upstreams.0.host: must be set"),
        ("preset = \"keycloak\"\nhost = \"a b\"\nrealm = \"s\"", "upstreams.0.host = \"a b\""),
        ("preset = \"keycloak\"\nhost = 7\nrealm = \"s\"", "upstreams.0.host = 7: must be a text"),
        (
            "preset = \"keycloak\"\nhost = \"http://sso.test\"\nrealm = \"s\"",
            "must begin with https",
        ),
        ("preset = \"google\"\nhost = \"sso.test\"", "preset \"google\" does not ask for it"),
        ("preset = \"auth0\"\nhost = \"sso.test\"", "asks for domain only"),
        (
            "preset = \"keycloak\"\nissuer = \"https://a.test\"\nrealm = \"s\"",
            "give either issuer or realm",
        ),
        ("preset = \"entra\"\ntenant = \"contoso.com\"", "upstreams.0.tenant = \"contoso.com\""),
        ("preset = \"entra\"\ntenant = \"common\"", "upstreams.0.tenants: must list"),
        (
            "preset = \"entra\"\nissuer = \"https://login.microsoftonline.com/organizations/v2.0\"",
            "upstreams.0.tenants: must list",
        ),
        (
            "preset = \"entra\"\ntenant = \"8f1c2a4e-3b5d-4c6e-9a7b-0123456789ab\"\nscopes = [\"openid\", \"groups\"]",
            "Microsoft Entra ID refuses this scope",
        ),
        (
            "preset = \"oauth2\"\nissuer = \"https://a.test\"",
            "upstreams.0.token_endpoint: must be set",
        ),
        ("issuer = \"https://a.test\"\ntoken_endpoint = \"https://a.test/t\"", "is for protocol"),
        ("issuer = \"https://a.test\"\nclient_auth = \"none\"", "client_secret: is not used"),
        (
            "issuer = \"https://a.test\"\nclient_auth = \"private_key_jwt\"",
            "client_key: must be set",
        ),
        (
            "issuer = \"https://a.test\"\nauthorization_params = { State = \"x\" }",
            "authorization_params.State: is a parameter that Keywright sets",
        ),
        ("issuer = \"https://a.test\"\ninternal_url = \"http://kc.svc\"", "internal_url"),
        ("issuer = \"https://a.test\"\ninternal_url = \"https://kc.svc/x\"", "paths stay"),
        ("issuer = \"https://a.test\"\nca = \"x\"", "upstreams.0.ca: must hold certificates"),
        ("preset = \"github\"\ntenants = [\"x\"]", "tenants: needs an ID token"),
        ("preset = \"github\"\npar = \"always\"", "upstreams.0.par = \"always\": needs an OpenID"),
        ("preset = \"github\"\ndpop = \"auto\"", "upstreams.0.dpop = \"auto\": needs an OpenID"),
        ("preset = \"github\"\nfrontchannel_logout = \"sid\"", "needs an ID token, which names"),
        ("issuer = \"https://a.test\"\npar = \"maybe\"", "upstreams.0.par = \"maybe\""),
        (
            "issuer = \"https://a.test\"\nauthorization_params = { client_assertion = \"x\" }",
            "authorization_params.client_assertion: is a parameter that Keywright sets",
        ),
        ("preset = \"keycloak\"\nrelam = \"x\"\nhost = \"a.test\"", "realm: must be set"),
    ];
    for (lines, expected) in table {
        let said = with_secret(lines).map(|_| ()).expect_err(lines);
        assert!(said.contains(expected), "{lines}: {said}");
    }
}

#[test]
fn the_administrator_wins_key_by_key() {
    let own = "preset = \"zitadel\"\ndomain = \"z.test\"\nscopes = [\"openid\"]\ngroups = { prefix = \"z-\" }";
    let upstream = with_secret(own).unwrap();
    assert_eq!(upstream.scopes, ["openid"]);
    let roles = "urn:zitadel:iam:org:project:roles";
    assert_eq!((&*upstream.groups[0].claim[0], &*upstream.groups[0].prefix), (roles, "z-"));
    let several = "preset = \"zitadel\"\ndomain = \"z.test\"\n\
                   groups = [{ prefix = \"z-\" }, { claim = \"groups\" }]";
    let several = with_secret(several).unwrap();
    let claims: Vec<&str> = several.groups.iter().map(|rule| rule.claim[0].as_str()).collect();
    assert_eq!(claims, [roles, "groups"]);
    let discord = with_secret("preset = \"discord\"\nclaims = { name = [\"nick\"] }").unwrap();
    let (name, username) = (discord.claims.name.show(), discord.claims.username.show());
    assert_eq!((&*name, &*username), ("[\"nick\"]", "[\"username\"]"));
    let github = with_secret("preset = \"github\"\nallowed_orgs = [\"acme\"]").unwrap();
    assert_eq!(github.orgs_endpoint.unwrap().as_str(), "https://api.github.com/user/orgs");
    assert_eq!(github.scopes, ["read:user", "user:email", "read:org"]);
    let own = "preset = \"github\"\nhost = \"git.test\"\napi = \"https://git.test/api/v3/\"";
    let own = with_secret(own).unwrap();
    assert_eq!(own.userinfo_endpoint.unwrap().as_str(), "https://git.test/api/v3/user");
    assert_eq!(own.token_endpoint.unwrap().as_str(), "https://git.test/login/oauth/access_token");
}

/// UP-16: whoever needs no ID token must not name another's people.
#[test]
fn an_oauth2_server_has_an_issuer_of_its_own() {
    let github = "preset = \"github\"\nclient_secret = \"s\"\n";
    let second =
        "[[upstreams]]\nslug = \"two\"\nname = \"Two\"\nclient_id = \"x\"\nclient_secret = \"s\"\n";
    read(&format!("{github}{second}preset = \"github\"\nallowed_orgs = [\"acme\"]")).unwrap();
    for other in [
        "issuer = \"https://github.com/\"",
        "preset = \"github\"\nuserinfo_endpoint = \"https://evil.test/user\"",
        "preset = \"github\"\nsubject_claim = \"login\"",
    ] {
        let said = read(&format!("{github}{second}{other}")).map(|_| ()).unwrap_err();
        assert!(said.contains("upstreams.0.issuer") && said.contains("would open"), "{said}");
    }
}

/// LK-05: what links by an address has to hear that it is verified.
#[test]
fn an_upstream_that_links_by_address_says_that_it_is_verified() {
    let lines = "issuer = \"https://up.test\"\nlink_verified_email = true\n";
    assert!(with_secret(lines).unwrap().link_verified_email);
    assert!(!with_secret("issuer = \"https://up.test\"").unwrap().link_verified_email);
    for trust in ["always", "never"] {
        let said = with_secret(&format!("{lines}email_trust = \"{trust}\"")).map(|_| ());
        let said = said.unwrap_err();
        assert!(said.contains("upstreams.0.link_verified_email"), "{said}");
    }
}
