//! How the pages look. What differs between runs is taken out.

use regex::Regex;

use super::{continue_with, house};
use crate::support::{
    browser::Page,
    journey::{authorize_path, sign_in_on_page},
};

/// The markup without secrets, ids and hashes.
fn redacted(page: &Page) -> String {
    let rules = [
        (r#"name="csrf" value="[^"]*""#, r#"name="csrf" value="[csrf]""#),
        (r#"name="handle" value="[^"]*""#, r#"name="handle" value="[handle]""#),
        (r"flow=[A-Za-z0-9_-]+", "flow=[flow]"),
        (r#"data-options="[^"]*""#, r#"data-options="[options]""#),
        (r"/assets/[A-Za-z0-9_-]{12}-", "/assets/[hash]-"),
        (r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+", "data:[icon]"),
        (r"trace: [A-Z0-9]+", "trace: [trace]"),
        (r#"<bdi dir="ltr">10\.[0-9.]+</bdi>"#, r#"<bdi dir="ltr">[address]</bdi>"#),
        (r"(?s)<svg.*?</svg>", "[svg]"),
        (r"\n+", "\n"),
    ];
    rules.into_iter().fold(page.text(), |text, (pattern, instead)| {
        Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned()
    })
}

/// The part that differs between pages.
pub(super) fn main_of(page: &Page) -> String {
    let text = redacted(page);
    let (_, rest) = text.split_once("<main>\n").unwrap();
    rest.split_once("</main>").unwrap().0.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_page() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    let path = authorize_path("web", &[("login_hint", "bob@corp.test")]);
    let page = browser.visit(&path).await.last().clone();
    insta::assert_snapshot!(redacted(&page), @r##"
    <!DOCTYPE html>
    <html lang="en" dir="ltr">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="robots" content="noindex">
    <title>Sign in to Web - Keywright</title>
    <link rel="stylesheet" href="/assets/[hash]-app.css">
    <link rel="icon" type="image/svg+xml" href="data:[icon]">
    <script type="module" src="/assets/[hash]-app.js"></script>
    </head>
    <body class="narrow">
    <header class="key">
    [svg]
    <span class="brand"><bdi>Keywright</bdi></span>
    [svg]
    </header>
    <main>
    <h1><span class="lead">Sign in to continue to</span> <bdi>Web</bdi></h1>
    <p class="host"><bdi dir="ltr">web.test</bdi></p>
    <ul class="ways">
    <li><a class="button way" href="/upstream/kc/start?flow=[flow]"><span>Continue with <bdi class="to">kc sign-in</bdi></span></a></li>
    <li><a class="button way" href="/upstream/other/start?flow=[flow]"><span>Continue with <bdi class="to">other sign-in</bdi></span></a></li>
    </ul>
    <p class="or"><span>or use a password</span></p>
    <form class="fields" method="post" action="/login?flow=[flow]">
    <input type="hidden" name="csrf" value="[csrf]">
    <div class="field">
    <label for="username">Email or username</label>
    <input id="username" name="username" type="text" value="bob@corp.test" autocomplete="username webauthn" autocapitalize="none" spellcheck="false" dir="auto" required>
    </div>
    <div class="field">
    <label for="password">Password</label>
    <div class="secret"><input id="password" name="password" type="password" autocomplete="current-password" required></div>
    </div>
    <button class="button firm" type="submit">Sign in</button>
    </form>
    <form class="fields" method="post" action="/login/passkey?flow=[flow]" data-passkey="get" data-options="[options]" data-passkey-offer hidden>
    <input type="hidden" name="csrf" value="[csrf]">
    <input type="hidden" name="credential" value="">
    <button class="button" type="submit">Use a passkey</button>
    <p class="problem" role="alert" hidden>Your browser has not answered. Try again, or choose another way.</p>
    </form>
    </main>
    </body>
    </html>
    "##);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_page_after_a_wrong_password() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let form = page.form_to("/login").fill("username", "bob").fill("password", "wrong");
    let page = browser.submit(&page, &form).await;
    insta::assert_snapshot!(main_of(&page), @r##"
    <div class="summary" role="alert" tabindex="-1" autofocus>
    <h2>There is a problem</h2>
    <p><a href="#username">That username or password is not right. Check for caps lock and try again.</a></p>
    </div>
    <h1><span class="lead">Sign in to continue to</span> <bdi>Web</bdi></h1>
    <p class="host"><bdi dir="ltr">web.test</bdi></p>
    <ul class="ways">
    <li><a class="button way" href="/upstream/kc/start?flow=[flow]"><span>Continue with <bdi class="to">kc sign-in</bdi></span></a></li>
    <li><a class="button way" href="/upstream/other/start?flow=[flow]"><span>Continue with <bdi class="to">other sign-in</bdi></span></a></li>
    </ul>
    <p class="or"><span>or use a password</span></p>
    <form class="fields" method="post" action="/login?flow=[flow]">
    <input type="hidden" name="csrf" value="[csrf]">
    <div class="field wrong">
    <label for="username">Email or username</label>
    <p class="problem" id="problem"><span class="hidden">Error: </span>That username or password is not right. Check for caps lock and try again.</p>
    <input id="username" name="username" type="text" value="bob" autocomplete="username webauthn" autocapitalize="none" spellcheck="false" dir="auto" required aria-invalid="true" aria-describedby="problem">
    </div>
    <div class="field wrong">
    <label for="password">Password</label>
    <div class="secret"><input id="password" name="password" type="password" autocomplete="current-password" required aria-invalid="true" aria-describedby="problem"></div>
    </div>
    <button class="button primary" type="submit">Sign in</button>
    </form>
    <p class="aside"><a href="/login/passkey?flow=[flow]" data-passkey-offer hidden>Use a passkey</a></p>
    "##);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_to_choose_an_account() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    crate::sessions::sign_in(&mut browser, "bob").await;
    let path = authorize_path("web", &[("prompt", "select_account")]);
    let page = browser.visit(&path).await.last().clone();
    let text = main_of(&page);
    let (top, _) = text.split_once("<ul class=\"ways\">").unwrap();
    insta::assert_snapshot!(top, @r##"
    <h1><span class="lead">Sign in to continue to</span> <bdi>Web</bdi></h1>
    <p class="host"><bdi dir="ltr">web.test</bdi></p>
    <p class="ways"><a class="button primary" href="/login?flow=[flow]&#38;same=yes"><span>Continue as <bdi>bob</bdi></span></a></p>
    <p class="or"><span>or use another account</span></p>
    "##);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_page() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    let path = authorize_path("web", &[("redirect_uri", "https://web.test/cb/")]);
    let page = browser.get(&path).await;
    insta::assert_snapshot!(main_of(&page), @r##"
    <h1>The app&#39;s address is not registered here</h1>
    <p>Web asked to send you to an address that is not registered for it.</p>
    <p>Its administrator has to fix this; trying again will not help.</p>
    <section class="evidence" aria-labelledby="evidence-title">
    <div class="bar"><h2 id="evidence-title">Details to pass on</h2> <button class="button small" type="button" data-copy="evidence" hidden>Copy</button></div>
    <pre id="evidence" dir="ltr">code: redirect_uri_mismatch
    time: 2026-06-01T12:00:00Z
    trace: [trace]
    client_id: web
    received: https://web.test/cb/</pre>
    </section>
    "##);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_what_is_not_there() {
    let (app, _upstreams) = house().await;
    let page = app.browser().get("/nowhere").await;
    insta::assert_snapshot!(main_of(&page), @r##"
    <h1>Page not found</h1>
    <p>There is nothing at this address.</p>
    <p class="ways"><a class="button primary" href="/account">Go to your account</a></p>
    <section class="evidence" aria-labelledby="evidence-title">
    <div class="bar"><h2 id="evidence-title">Details to pass on</h2> <button class="button small" type="button" data-copy="evidence" hidden>Copy</button></div>
    <pre id="evidence" dir="ltr">code: not_found
    time: 2026-06-01T12:00:00Z
    trace: -</pre>
    </section>
    "##);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_signing_out() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    let login = browser.visit("/account").await.last().clone();
    continue_with(&mut browser, "kc", &login).await;
    let asks = browser.get("/logout?client_id=web&state=s").await;
    insta::assert_snapshot!(main_of(&asks), @r##"
    <h1>Sign out?</h1>
    <p><strong><bdi>Web</bdi></strong> asks to sign you out here. You are signed in as <strong><bdi>alice</bdi></strong>.</p>
    <form class="ways" method="post" action="/logout">
    <input type="hidden" name="csrf" value="[csrf]">
    <input type="hidden" name="confirm" value="yes">
    <input type="hidden" name="client_id" value="web">
    <input type="hidden" name="state" value="s">
    <button class="button primary" type="submit">Sign out</button>
    <a class="button" href="/account">Stay signed in</a>
    </form>
    "##);
    let done = browser.submit(&asks, &asks.form()).await;
    insta::assert_snapshot!(main_of(&done), @r##"
    <h1>You are signed out</h1>
    <h2>Signed out</h2>
    <ul class="marks done"><li><span dir="auto">Keywright in this browser</span></li></ul>
    <h2>May still be open</h2>
    <ul class="marks open"><li><span dir="auto">Apps that you opened, until their own sessions end</span></li><li><span dir="auto">kc sign-in, where you may still be signed in</span></li></ul>
    <p class="ways">
    <a class="button primary" href="https://web.test">Back to Web</a>
    <a class="button" href="/account">Sign in again</a>
    </p>
    "##);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_that_hands_over_to_the_app() {
    let (app, _upstreams) = house().await;
    let mut browser = app.browser();
    let path = authorize_path("web", &[("response_mode", "form_post")]);
    let login = browser.visit(&path).await;
    let page = sign_in_on_page(&mut browser, &login, "bob").await.last().clone();
    let code = Regex::new("kw_ac_[A-Za-z0-9_-]+").unwrap();
    insta::assert_snapshot!(code.replace(&main_of(&page), "[code]"), @r##"
    <h1>Taking you back to the app</h1>
    <p>If nothing happens, choose Continue.</p>
    <form class="ways" id="handover" method="post" action="https://web.test/cb">
    <input type="hidden" name="code" value="[code]">
    <input type="hidden" name="state" value="state of the tests &#38; more">
    <input type="hidden" name="iss" value="https://id.test">
    <button class="button primary" type="submit">Continue</button>
    </form>
    "##);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_page() {
    let (app, _upstreams) = house().await;
    let mut elsewhere = app.browser();
    elsewhere.set_header("user-agent", "Mozilla/5.0 (Macintosh; Mac OS X) Firefox/140.0");
    let login = elsewhere.visit("/account").await.last().clone();
    continue_with(&mut elsewhere, "kc", &login).await;
    app.clock.advance(3_600);
    let mut browser = app.browser();
    let login = browser.visit("/account").await.last().clone();
    let page = continue_with(&mut browser, "kc", &login).await;
    insta::assert_snapshot!(main_of(&page), @r##"
    <div class="person">
    <img src="https://pictures.test/alice.png" alt="" width="64" height="64" referrerpolicy="no-referrer">
    <div>
    <h1><bdi>Alice Berg</bdi></h1>
    <p class="quiet">Signed in with <bdi>kc sign-in</bdi>, 1 June 2026, 13:00 UTC</p>
    </div>
    <form method="post" action="/logout">
    <input type="hidden" name="csrf" value="[csrf]">
    <input type="hidden" name="confirm" value="yes">
    <button class="button" type="submit">Sign out</button>
    </form>
    </div>
    <section aria-labelledby="profile">
    <h2 id="profile">Profile</h2>
    <p class="quiet">What the apps you open may be told about you.</p>
    <dl class="facts">
    <div><dt>Name</dt><dd><bdi>Alice Berg</bdi></dd></div>
    <div><dt>Username</dt><dd><bdi>alice</bdi></dd></div>
    <div><dt>Email</dt><dd><bdi dir="ltr">alice@corp.test</bdi>
    <span class="tag good">Verified</span></dd></div>
    <div><dt>Groups</dt><dd><ul class="chips"><li class="tag"><bdi>berlin</bdi></li><li class="tag"><bdi>staff</bdi></li></ul></dd></div>
    </dl>
    <p class="ways inline"><a class="button small" href="/account/profile">Change<span class="hidden"> your name or username</span></a></p>
    </section>
    <section aria-labelledby="ways">
    <h2 id="ways">How you sign in</h2>
    <ul class="rows">
    <li><div><strong>Two-step sign-in</strong>
    <p class="quiet">A code of an authenticator app besides your password, and codes for when it is lost.</p></div>
    <a class="button small" href="/account/two-step">Manage<span class="hidden"> two-step sign-in</span></a></li>
    <li><div><strong>Passkeys</strong>
    <p class="quiet">Sign in by fingerprint, face or PIN of your device.</p></div>
    <a class="button small" href="/account/passkeys">Manage<span class="hidden"> passkeys</span></a></li>
    <li><div><strong>Personal access tokens</strong>
    <p class="quiet">What you give to programs that act for you.</p></div>
    <a class="button small" href="/account/tokens">Look after<span class="hidden"> personal access tokens</span></a></li>
    </ul>
    </section>
    <section aria-labelledby="identities">
    <h2 id="identities">Linked sign-ins</h2>
    <p class="quiet">Accounts elsewhere that lead to this one. Whoever can sign in to one of them can sign in here.</p>
    <ul class="rows">
    <li><div><strong><bdi>kc sign-in</bdi></strong> <span class="tag">Your only way in</span>
    <p class="quiet">Known there as <code dir="ltr">7</code></p>
    <p class="quiet">Linked 1 June 2026, 12:00 UTC. Last confirmed 1 June 2026, 13:00 UTC.</p></div>
    </li>
    <li><div><strong><bdi>other sign-in</bdi></strong>
    <p class="quiet">Not connected</p></div>
    <form method="post" action="/account/link">
    <input type="hidden" name="csrf" value="[csrf]">
    <input type="hidden" name="upstream" value="other">
    <button class="button small" type="submit">Connect<span class="hidden"> <bdi>other sign-in</bdi></span></button>
    </form></li>
    </ul>
    </section>
    <section aria-labelledby="sessions">
    <h2 id="sessions">Where you are signed in</h2>
    <p class="quiet">If you do not know one of these, end it.</p>
    <ul class="rows">
    <li><div><strong><bdi>An unknown browser</bdi></strong> <span class="tag good">This device</span>
    <p class="quiet"><bdi>kc sign-in</bdi> from <bdi dir="ltr">[address]</bdi></p>
    <p class="quiet">Signed in 1 June 2026, 13:00 UTC. Last seen 1 June 2026, 13:00 UTC.</p></div>
    </li>
    <li><div><strong><bdi>Firefox on macOS</bdi></strong>
    <p class="quiet"><bdi>kc sign-in</bdi> from <bdi dir="ltr">[address]</bdi></p>
    <p class="quiet">Signed in 1 June 2026, 12:00 UTC. Last seen 1 June 2026, 12:00 UTC.</p></div>
    <form method="post" action="/account/sessions/end">
    <input type="hidden" name="csrf" value="[csrf]">
    <input type="hidden" name="handle" value="[handle]">
    <button class="button small" type="submit">End session<span class="hidden"> on <bdi>Firefox on macOS</bdi>, signed in 1 June 2026, 12:00 UTC</span></button>
    </form></li>
    </ul>
    <div class="ways inline">
    <form method="post" action="/account/sessions/end-others">
    <input type="hidden" name="csrf" value="[csrf]">
    <button class="button small" type="submit">End all others</button>
    </form>
    <a class="button small" href="/account/everywhere">Sign out everywhere</a>
    </div>
    </section>
    <section aria-labelledby="data">
    <h2 id="data">Apps, activity and data</h2>
    <ul class="rows">
    <li><div><strong>Connected apps</strong>
    <p class="quiet">The apps that may ask about you.</p></div>
    <a class="button small" href="/account/apps">See<span class="hidden"> connected apps</span></a></li>
    <li><div><strong>Your activity</strong>
    <p class="quiet">What happened to your account lately.</p></div>
    <a class="button small" href="/account/activity">See<span class="hidden"> your activity</span></a></li>
    <li><div><strong>Your data</strong>
    <p class="quiet">Everything that is kept here about you, as a file. Within five minutes after you have signed in.</p></div>
    <form method="post" action="/account/export">
    <input type="hidden" name="csrf" value="[csrf]">
    <button class="button small" type="submit">Download<span class="hidden"> your data</span></button>
    </form></li>
    </ul>
    </section>
    <p class="aside"><a href="/account/delete">Delete your account</a></p>
    "##);
}
