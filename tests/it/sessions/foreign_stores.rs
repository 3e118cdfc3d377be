//! Sessions against those who read or write our stores, and against other deployments.

use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use keywright::{
    config::RedisUrl,
    ephemeral::{EphemeralStore, Key, KeyKind, RedisStore},
    foundation::{
        clock::Span,
        opaque::{Opaque, OpaqueKind},
    },
};

use super::{BROWSER, SESSION, cookie, cookie_line, form_token, person_of, sign_in};
use crate::support::{
    app::{ISSUER, TestApp},
    browser::Page,
    database::state_url,
    journey::{authorize_path, code_by_session, redeem},
};

#[derive(diesel::QueryableByName)]
struct Dump {
    #[diesel(sql_type = diesel::sql_types::Text)]
    dump: String,
}

/// Everything that the database holds, as bytes.
async fn dump(app: &TestApp) -> Vec<u8> {
    app.app.audit.flush().await;
    let url = &app.database.url;
    if let Some(file) = url.strip_prefix("sqlite:") {
        let log = std::fs::read(format!("{file}-wal")).unwrap_or_default();
        return [std::fs::read(file).unwrap(), log].concat();
    }
    let tables = ["users", "identities", "sessions", "grants", "refresh_tokens", "audit_events"];
    let mut connection = diesel_async::AsyncPgConnection::establish(url).await.unwrap();
    let mut all = String::new();
    for table in tables {
        let sql = format!("SELECT coalesce(string_agg(t::text, ' '), '') AS dump FROM {table} t");
        let rows: Dump = diesel::sql_query(sql).get_result(&mut connection).await.unwrap();
        all.push_str(&rows.dump);
    }
    all.into_bytes()
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// SS-12, RT-13: whoever reads the database finds no secret that opens anything.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_no_secret() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let code = code_by_session(&mut browser, "web", &[]).await;
    let tokens = redeem(&app, "web", &code).await;
    let dump = dump(&app).await;
    assert!(holds(&dump, bob.id.as_str().as_bytes()), "the dump holds what it should");
    let opaque = [
        (OpaqueKind::Session, cookie(&browser, SESSION)),
        (OpaqueKind::Browser, cookie(&browser, BROWSER)),
        (OpaqueKind::AuthorizationCode, code),
        (OpaqueKind::RefreshToken, tokens.text("refresh_token")),
    ];
    for (kind, secret) in opaque {
        let bits = *Opaque::parse(kind, &secret).unwrap().bits();
        let hex: Vec<String> = bits.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        for form in [secret.as_bytes(), &bits, hex.as_bytes()] {
            assert!(!holds(&dump, form), "{kind:?}");
        }
    }
    for text in [tokens.text("access_token"), tokens.text("id_token"), "bob-password".to_owned()] {
        assert!(!holds(&dump, text.as_bytes()), "{text}");
    }
}

/// The store behind the short-lived state, as somebody has it who got into it.
fn raw_state(app: &TestApp) -> std::sync::Arc<dyn EphemeralStore> {
    match &app.app.memory {
        Some(memory) => std::sync::Arc::<keywright::ephemeral::MemoryStore>::clone(memory),
        None => std::sync::Arc::new(
            RedisStore::new(&RedisUrl::parse(&state_url()).unwrap(), 2).unwrap(),
        ),
    }
}

/// The name of the sign-in that a page belongs to.
fn flow_of(page: &Page) -> String {
    page.url.query_pairs().find(|(name, _)| name == "flow").unwrap().1.into_owned()
}

/// SS-12: whoever writes to the short-lived state cannot forge a sign-in: neither by words of their
/// own nor by moving a sealed value to another place.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_sign_in_in_the_state_is_not_believed() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let state = raw_state(&app);
    let key = |flow: &str| Key::of_text(KeyKind::Interaction, flow);
    let life = Span::from_minutes(5);
    let mut bob = app.browser();
    let page = bob.visit(&authorize_path("web", &[])).await.last().clone();
    let flow = flow_of(&page);
    let sealed = state.get(&key(&flow)).await.unwrap().expect("kept there");
    assert!(!holds(&sealed, b"web.test") && !holds(&sealed, flow.as_bytes()), "it is sealed");

    let mut mallory = app.browser();
    let evil = mallory.visit(&authorize_path("evil", &[])).await.last().clone();
    let of_mallory = state.get(&key(&flow_of(&evil))).await.unwrap().unwrap();
    let mut flipped = sealed.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let plain = br#"{"flow":"x","purpose":"Account","hops":[]}"#.to_vec();
    for forged in [of_mallory, flipped, plain, Vec::new(), vec![0xff; 64]] {
        state.put(&key(&flow), &forged, life).await.unwrap();
        let shown = bob.get(page.url.as_str()).await;
        assert_eq!(shown.status, 400, "{}", shown.text());
        assert!(shown.text().contains("code: flow_expired"));
    }
    state.put(&key(&flow), &sealed, life).await.unwrap();
    assert_eq!(bob.get(page.url.as_str()).await.status, 200, "the true value still opens");
    assert_eq!(app.count("sessions").await, 0);
}

/// SS-16: what another deployment with the same code and other keys gave out is worth nothing here.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_and_form_tokens_of_another_deployment_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let sections = format!(
        "[secrets]\nsecret_key = \"the-other-secret-key-of-staging-0123456789\"\n\
         [database]\nurl = \"sqlite:{}\"",
        folder.path().join("staging.db").display()
    );
    let staging = TestApp::builder().config(&sections).start().await;
    let production = TestApp::start().await;
    staging.add_user("bob", &[]).await;
    production.add_user("bob", &[]).await;
    let mut browser = production.browser();
    let secret = sign_in(&mut browser, "bob").await;

    let mut there = staging.browser();
    there.cookies_mut().plant(browser.cookies().get(BROWSER).unwrap().clone());
    let secret_there = sign_in(&mut there, "bob").await;
    assert_eq!(cookie(&there, BROWSER), cookie(&browser, BROWSER), "the same browser");
    let token_there = form_token(&mut there).await;
    assert_ne!(token_there, form_token(&mut browser).await);
    assert_eq!(person_of(&production, &secret_there).await, None);
    assert_eq!(person_of(&staging, &secret).await, None);

    let cookies = cookie_line(&browser);
    let headers = [("cookie", cookies.as_str()), ("origin", ISSUER)];
    let fields = [("confirm", "yes"), ("csrf", token_there.as_str())];
    let answer = production.post("/logout", &fields, &headers).await;
    assert_eq!(answer.status, 403);
    assert_eq!(production.refusals("sign_out").await, ["form_not_ours"]);
    assert_eq!(person_of(&production, &secret).await.as_deref(), Some("bob"));

    let flow = there.visit(&authorize_path("web", &[("prompt", "login")])).await;
    let flow = flow.last().url.query().unwrap().to_owned();
    let page = browser.get(&format!("/login?{flow}")).await;
    assert_eq!(page.status, 400, "a sign-in begun there does not go on here");
}
