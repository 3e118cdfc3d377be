//! Second factors: codes of authenticator apps and recovery codes, in the sign-in and on one's own
//! pages.

pub(crate) mod device;
mod lost_password;
mod own_page;
mod passkey_limits;
pub(crate) mod passkeys;
mod recovery;
mod remembered;
mod required;
mod signing_in;
mod stepping_up;
mod tries;

use keywright::keys::parse_unverified;
use openssl::{hash::MessageDigest, pkey::PKey, sign::Signer};
use serde_json::{Map, Value};

use crate::{
    sessions::sign_in,
    support::{
        app::TestApp,
        browser::{Browser, Journey, Page},
        journey::{authorize_path, redeem, sign_in_on_page},
    },
};

/// Many tries are made here, and the brake of the network is not what these tests are about.
const FAST: &str = "[rate_limits]\nsign_in_per_minute = 100000";
const DEVICE: &str = "__Host-kw-device";

/// An authenticator app, as somebody else would write one (RFC 6238, RFC 4226 §5.3).
#[derive(Clone)]
pub(crate) struct Authenticator {
    secret: Vec<u8>,
}

impl Authenticator {
    /// Takes over the key that a page shows.
    fn from_page(page: &Page) -> Self {
        let text = page.text();
        let (_, rest) = text.split_once("<code id=\"key\" dir=\"ltr\">").expect("a key");
        Self { secret: from_base32(rest.split_once('<').unwrap().0) }
    }

    fn code_at(&self, unix: i64) -> String {
        let key = PKey::hmac(&self.secret).unwrap();
        let mut signer = Signer::new(MessageDigest::sha1(), &key).unwrap();
        signer.update(&(unix / 30).to_be_bytes()).unwrap();
        let mac = signer.sign_to_vec().unwrap();
        let at = usize::from(mac[19] & 0x0f);
        let word: [u8; 4] = mac[at..at + 4].try_into().unwrap();
        format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
    }

    /// The code of the moment.
    pub(crate) fn code(&self, app: &TestApp) -> String {
        self.code_at(app.clock.unix())
    }

    /// A code that is none of the present ones.
    pub(crate) fn wrong(&self, app: &TestApp) -> String {
        let now = app.clock.unix();
        let good = [now - 30, now].map(|at| self.code_at(at));
        let mut codes = (0..).map(|number| format!("{number:06}"));
        codes.find(|code| !good.contains(code)).unwrap()
    }
}

fn from_base32(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.chars() {
        bits = bits << 5 | u32::try_from(alphabet.find(letter).unwrap()).unwrap();
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    bytes
}

/// A house with bob in it.
async fn start_with(config: &str) -> TestApp {
    let app = TestApp::builder().config(FAST).config(config).start().await;
    app.add_user("bob", &[]).await;
    app
}

async fn start() -> TestApp {
    start_with("").await
}

/// Sets up an authenticator app on the page of whoever is signed in. The clock goes on afterwards, so
/// that the next code is another one.
pub(crate) async fn set_up(app: &TestApp, browser: &mut Browser) -> (Authenticator, Vec<String>) {
    let page = browser.get("/account/two-step").await;
    let form = form_of(&page, "begin");
    let begun = browser.submit(&page, &form).await;
    let page = browser.follow(begun).await.last().clone();
    let authenticator = Authenticator::from_page(&page);
    let form = form_of(&page, "confirm").fill("code", &authenticator.code(app));
    let page = browser.submit(&page, &form).await;
    let page = browser.follow(page).await.last().clone();
    assert_eq!(page.status, 200, "{}", page.text());
    app.clock.advance(30);
    (authenticator, codes_on(&page))
}

/// Bob with an authenticator app, set up in a browser of his that is thrown away.
pub(crate) async fn enrolled(app: &TestApp) -> (Authenticator, Vec<String>) {
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    set_up(app, &mut browser).await
}

/// One of every page of this, with its name.
pub(crate) async fn every_page(app: &TestApp) -> Vec<(&'static str, Page)> {
    app.add_user("tess", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "tess").await;
    let mut pages = Vec::new();
    let page = browser.get("/account/two-step").await;
    let begun = browser.submit(&page, &form_of(&page, "begin")).await;
    let begun = browser.follow(begun).await.last().clone();
    pages.extend([("no second factor", page), ("setting one up", begun.clone())]);
    let authenticator = Authenticator::from_page(&begun);
    let form = form_of(&begun, "confirm");
    let wrong = form.clone().fill("code", &authenticator.wrong(app));
    pages.push(("not set up", browser.submit(&begun, &wrong).await));
    let right = form.fill("code", &authenticator.code(app));
    pages.push(("recovery codes", browser.submit(&begun, &right).await));
    pages.push(("a second factor", browser.get("/account/two-step").await));
    let mut other = app.browser();
    let journey = other.visit(&authorize_path("web", &[])).await;
    let second = second_step_of(&sign_in_on_page(&mut other, &journey, "tess").await);
    let refused = give(&mut other, &second, &authenticator.wrong(app)).await;
    let recovery = with_recovery(&mut other, &second).await;
    let expired = other.get("/login/second-factor?flow=x").await;
    pages.extend([("second step", second), ("wrong code", refused)]);
    pages.extend([("recovery code", recovery), ("no second step", expired)]);
    pages
}

/// The form of the page that does this.
pub(crate) fn form_of(page: &Page, step: &str) -> crate::support::browser::Form {
    let mut forms = page.forms().into_iter();
    let form = forms.find(|form| form.value("step") == Some(step));
    form.unwrap_or_else(|| panic!("no form to {step}:\n{}", page.text()))
}

/// The recovery codes on a page.
fn codes_on(page: &Page) -> Vec<String> {
    let text = page.text();
    let Some((_, rest)) = text.split_once("<pre id=\"all-codes\" dir=\"ltr\">") else {
        return Vec::new();
    };
    rest.split_once("</pre>").unwrap().0.lines().map(str::to_owned).collect()
}

/// Gives bob's password at an app, and stops before the second step.
pub(crate) async fn first_step(browser: &mut Browser, changes: &[(&str, &str)]) -> Page {
    let journey = browser.visit(&authorize_path("web", changes)).await;
    let journey = sign_in_on_page(browser, &journey, "bob").await;
    second_step_of(&journey)
}

/// The page of the second step, at which a journey has ended.
pub(crate) fn second_step_of(journey: &Journey) -> Page {
    let page = journey.last();
    assert_eq!(
        (page.status, page.url.path()),
        (200, "/login/second-factor"),
        "{:?}",
        journey.hops()
    );
    page.clone()
}

/// Gives a code on the page of the second step.
pub(crate) async fn give(browser: &mut Browser, page: &Page, code: &str) -> Page {
    let form = page.form_to("/login/second-factor").fill("code", code);
    browser.submit(page, &form).await
}

/// The page on which recovery codes are given.
pub(crate) async fn with_recovery(browser: &mut Browser, page: &Page) -> Page {
    let link =
        page.links().into_iter().find(|link| link.query().unwrap_or("").contains("recovery"));
    browser.click(page, link.expect("a way to recovery codes").as_str()).await
}

/// Asserts that a page refuses a code, and that nobody is signed in by it.
fn assert_wrong(page: &Page, browser: &Browser) {
    assert_eq!(page.status, 400, "{}", page.text());
    assert!(page.text().contains("That code is not right"), "{}", page.text());
    assert!(page.set_cookies().is_empty());
    assert!(browser.cookies().get(crate::sessions::SESSION).is_none());
}

/// The ID token at the end of a journey to the app.
async fn id_token(app: &TestApp, journey: &Journey) -> Map<String, Value> {
    let answer = redeem(app, "web", &journey.param("code").unwrap()).await;
    parse_unverified(&answer.text("id_token")).unwrap().1
}

/// How many live sessions there are.
async fn live(app: &TestApp) -> i64 {
    app.count("sessions WHERE ended_at IS NULL").await
}
