//! Where somebody comes from, as far as it limits them or speaks for them (RL).

use std::pin::Pin;

use super::NEW;
use crate::{
    sessions::SESSION,
    support::{
        app::{Builder, TestApp},
        browser::Browser,
        inbox::Inbox,
        journey::authorize_path,
    },
};

/// RL-11: what a request says of who somebody is has no say, whoever brings it: no header of a proxy,
/// of another gateway or of a client certificate.
#[tokio::test(flavor = "multi_thread")]
async fn no_header_says_who_somebody_is() {
    let proxied = "[server]\nissuer = \"https://id.test\"\ntrusted_proxies = [\"10.0.0.0/8\"]";
    for builder in [TestApp::builder(), TestApp::builder().config(proxied)] {
        let app = builder.start().await;
        app.add_user("bob", &["admins"]).await;
        let mut browser = app.browser();
        for name in [
            "remote-user",
            "remote_user",
            "x-remote-user",
            "x-forwarded-user",
            "x_forwarded_user",
            "x-forwarded-preferred-username",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-auth-request-user",
            "x-auth-request-email",
            "x-authentik-username",
            "x-authentik-groups",
            "x-webauth-user",
            "x-user",
            "x-user-id",
            "x-original-user",
            "x-client-cert",
            "x-forwarded-client-cert",
            "x-ssl-client-cert",
            "x-ssl-client-verify",
            "ssl-client-s-dn",
            "x-amzn-oidc-identity",
            "cf-access-authenticated-user-email",
            "x-goog-authenticated-user-email",
        ] {
            browser.set_header(name, "bob");
        }
        for path in ["/account", "/account/activity", "/account/tokens", "/account/profile"] {
            let page = browser.visit(path).await.last().clone();
            assert!(page.status == 200 && page.url.path() == "/login", "{path}: {}", page.url);
        }
        let silent = browser.visit(&authorize_path("web", &[("prompt", "none")])).await;
        assert_eq!(silent.param("error").as_deref(), Some("login_required"));
        let form = [("grant_type", "client_credentials")];
        let certificate = [("x-ssl-client-verify", "SUCCESS"), ("x-ssl-client-cert", "m2m")];
        app.post("/token", &form, &certificate).await.assert_error(401, "invalid_client");
        let userinfo = app.get("/userinfo", None).await;
        assert_eq!(userinfo.status, 401);
        assert!(browser.cookies().get(SESSION).is_none());
        assert_eq!(app.count("sessions").await, 0);
    }
}

/// Does it once, as the so-and-so-many-th: the status.
type Act = fn(&mut Browser, usize) -> Pin<Box<dyn Future<Output = u16> + Send + '_>>;

/// What somebody may do too often, and the setting that says how often.
struct Limit {
    setting: &'static str,
    act: Act,
}

async fn type_password(browser: &mut Browser, number: usize) -> u16 {
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let name = format!("nobody{number}");
    let form = page.form_to("/login").fill("username", &name).fill("password", "wrong");
    browser.submit(&page, &form).await.status
}

async fn sign_up(browser: &mut Browser, number: usize) -> u16 {
    let page = browser.visit("/signup").await.last().clone();
    let form = page.form_to("/signup").fill("username", &format!("somebody{number}"));
    let answer = browser.submit(&page, &form.fill("password", NEW)).await;
    browser.cookies_mut().clear();
    answer.status
}

async fn ask_for_mail(browser: &mut Browser, number: usize) -> u16 {
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", &format!("nobody{number}"));
    let answer = browser.submit(&page, &form).await;
    browser.follow(answer).await.last().status
}

async fn begin(browser: &mut Browser, _: usize) -> u16 {
    browser.cookies_mut().clear();
    browser.get(&authorize_path("web", &[])).await.status
}

const LIMITS: [Limit; 4] = [
    Limit { setting: "sign_in_per_minute", act: |b, n| Box::pin(type_password(b, n)) },
    Limit { setting: "sign_up_per_hour", act: |b, n| Box::pin(sign_up(b, n)) },
    Limit { setting: "recovery_per_hour", act: |b, n| Box::pin(ask_for_mail(b, n)) },
    Limit { setting: "max_new_flows", act: |b, n| Box::pin(begin(b, n)) },
];

fn limited(inbox: &Inbox, setting: &str) -> Builder {
    let most = if setting == "max_new_flows" { 3 } else { 1_000 };
    let mut lines = format!("[rate_limits]\nmax_new_flows = {most}\n");
    if setting != "max_new_flows" {
        lines = format!("{lines}{setting} = 3\n");
    }
    inbox.builder(&format!("{lines}\n[signup]\nlocal = \"open\""))
}

/// RL-08: each act that can be overdone has a limit of its own by network. Three may, the fourth may
/// not, and somebody else's network is not asked to wait; nor is another act.
#[tokio::test(flavor = "multi_thread")]
async fn each_act_has_a_limit_of_its_own() {
    for limit in LIMITS {
        let inbox = Inbox::open();
        let app = limited(&inbox, limit.setting).start().await;
        // Somebody is here, so that the sign-in page has a form.
        app.add_user("bob", &[]).await;
        let mut browser = app.browser();
        for number in 0..3 {
            let status = (limit.act)(&mut browser, number).await;
            assert!(status < 429, "{}: {status}", limit.setting);
        }
        let status = (limit.act)(&mut browser, 3).await;
        // The form for an account says it beside its fields.
        let wanted = if limit.setting == "sign_up_per_hour" { 422..=429 } else { 429..=429 };
        assert!(wanted.contains(&status), "{}: {status}", limit.setting);
        let mut elsewhere = app.browser();
        let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
        elsewhere.set_peer(std::net::SocketAddr::from(([198, 19, a, b], 4_000)));
        let status = (limit.act)(&mut elsewhere, 4).await;
        assert!(status < 422, "{} elsewhere: {status}", limit.setting);
    }
}

/// RL-08: every limit is in the reference, with its default, and in the guide for operators.
#[test]
fn every_limit_is_documented() {
    let root = env!("CARGO_MANIFEST_DIR");
    let read = |name: &str| std::fs::read_to_string(format!("{root}/docs/{name}")).unwrap();
    let (reference, guide) = (read("configuration.md"), read("operations.md"));
    let (_, section) = reference.split_once("## `[rate_limits]`").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let names = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let names: Vec<&str> = names.collect();
    assert!(names.len() >= 6, "{names:?}");
    for limit in LIMITS {
        assert!(names.contains(&limit.setting), "{}", limit.setting);
    }
    for name in names {
        assert!(guide.contains(&format!("rate_limits.{name}")), "operations.md lacks {name}");
    }
}

/// RL-07: the same act in another guise is the same act: another app, another spelling of the name,
/// another browser, another language, other parameters.
#[tokio::test(flavor = "multi_thread")]
async fn one_act_is_one_bucket_however_it_is_dressed() {
    let app = TestApp::builder().config("[rate_limits]\nsign_in_per_minute = 4").start().await;
    app.add_user("bob", &[]).await;
    let dresses: [(&str, &str, &str); 6] = [
        ("web", "nobody1", ""),
        ("spa", "NOBODY2", "&x=y"),
        ("evil", "nobody3@corp.test", "#part"),
        ("web", " nobody4 ", "&flow2=x"),
        ("web", "nobody5", "&lang=de"),
        ("spa", "nobody6", ""),
    ];
    let mut statuses = Vec::new();
    for (number, (client, name, more)) in dresses.into_iter().enumerate() {
        let mut browser = app.browser();
        browser.set_header("accept-language", ["de", "fr", "en"][number % 3]);
        browser.set_header("user-agent", &format!("browser {number}"));
        let page = browser.visit(&authorize_path(client, &[])).await.last().clone();
        let mut form = page.form_to("/login").fill("username", name).fill("password", "wrong");
        form.action = url::Url::parse(&format!("{}{more}", form.action)).unwrap();
        statuses.push(browser.submit(&page, &form).await.status);
    }
    assert_eq!(statuses, [400, 400, 400, 400, 429, 429]);
}
