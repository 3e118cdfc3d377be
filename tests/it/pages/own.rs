//! How a person's own pages look.

use super::{house, snapshots::main_of};
use crate::{
    refresh::family::open_app,
    sessions::{form_token, sign_in},
    support::browser::Browser,
};

/// Bob's browser at his own pages: one app, one token, and the page on which it was made.
async fn at_own_pages(app: &crate::support::app::TestApp) -> (Browser, String) {
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    open_app(app, &mut browser, "members").await;
    let csrf = form_token(&mut browser).await;
    let fields = [("csrf", csrf.as_str()), ("name", "backup"), ("lifetime", "30d")];
    let fields = [&fields[..], &[("scope.openid", "yes")]].concat();
    let made = browser.post_form("/account/tokens", &fields).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let new = main_of(&made);
    let (_, rest) = new.split_once("<section aria-labelledby=\"made\">").unwrap();
    let (section, _) = rest.split_once("</section>").unwrap();
    let secret = regex::Regex::new("kw_pat_[A-Za-z0-9_-]+").unwrap();
    let section = secret.replace_all(section, "[token]").into_owned();
    (browser, section)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_person() {
    let (app, _upstreams) = house().await;
    let (mut browser, made) = at_own_pages(&app).await;
    insta::assert_snapshot!(made, @r##"
    <h2 id="made">Your new token <bdi>backup</bdi></h2>
    <p class="notice" role="status">Copy it now: it is shown this once. Whoever has it can do in your name what you have chosen.</p>
    <div class="bar"><pre id="token" dir="ltr">[token]</pre> <button class="button small" type="button" data-copy="token" hidden>Copy</button></div>
    "##);
    let page = browser.get("/account/tokens").await;
    insta::assert_snapshot!(main_of(&page), @r##"
    <p><a href="/account">Back to your account</a></p>
    <h1>Personal access tokens</h1>
    <section aria-labelledby="tokens">
    <h2 id="tokens">Your tokens</h2>
    <p class="quiet">Programs that act for you show one of these instead of your password. If you do not know one, revoke it.</p>
    <ul class="rows">
    <li><div><strong><bdi>backup</bdi></strong>
    <ul class="chips"><li class="tag"><bdi dir="ltr">openid</bdi></li></ul>
    <p class="quiet">Made 1 June 2026, 12:00 UTC. Ends 1 July 2026, 12:00 UTC.</p>
    <p class="quiet">Never used.</p></div>
    <form method="post" action="/account/tokens/revoke">
    <input type="hidden" name="csrf" value="[csrf]">
    <input type="hidden" name="handle" value="[handle]">
    <button class="button small" type="submit">Revoke<span class="hidden"> <bdi>backup</bdi></span></button>
    </form></li>
    </ul>
    </section>
    <section aria-labelledby="new">
    <h2 id="new">Make a token</h2>
    <form class="fields" method="post" action="/account/tokens">
    <input type="hidden" name="csrf" value="[csrf]">
    <div class="field">
    <label for="name">What is it for?</label>
    <input id="name" name="name" type="text" value="" autocomplete="off" dir="auto" maxlength="100" required>
    </div>
    <div class="field">
    <label for="lifetime">How long is it good?</label>
    <select id="lifetime" name="lifetime">
    <option value="7d">7 days</option>
    <option value="30d">30 days</option>
    <option value="90d" selected>90 days</option>
    <option value="180d">180 days</option>
    <option value="365d">365 days</option>
    </select>
    </div>
    <fieldset class="field" id="scopes" tabindex="-1">
    <legend>What may it do?</legend>
    <label class="check"><input type="checkbox" name="scope.openid" value="yes"> <span>Know which account is yours <code dir="ltr">openid</code></span></label>
    <label class="check"><input type="checkbox" name="scope.profile" value="yes"> <span>See your name and picture <code dir="ltr">profile</code></span></label>
    <label class="check"><input type="checkbox" name="scope.email" value="yes"> <span>See your email address <code dir="ltr">email</code></span></label>
    <label class="check"><input type="checkbox" name="scope.groups" value="yes"> <span>See your groups <code dir="ltr">groups</code></span></label>
    </fieldset>
    <button class="button primary" type="submit">Make the token</button>
    </form>
    </section>
    "##);
    let page = browser.get("/account/apps").await;
    insta::assert_snapshot!(main_of(&page), @r##"
    <p><a href="/account">Back to your account</a></p>
    <h1>Connected apps</h1>
    <section aria-labelledby="apps">
    <h2 id="apps">Apps that you have opened</h2>
    <p class="quiet">They may ask about you until you sign out or disconnect them. A disconnected app asks again the next time you open it.</p>
    <ul class="rows">
    <li><div><strong><bdi>Members only</bdi></strong>
    <p class="quiet"><a href="https://members.test"><bdi dir="ltr">https://members.test</bdi></a></p>
    <ul class="chips"><li class="tag"><bdi dir="ltr">openid</bdi></li><li class="tag"><bdi dir="ltr">profile</bdi></li><li class="tag"><bdi dir="ltr">email</bdi></li><li class="tag"><bdi dir="ltr">groups</bdi></li><li class="tag"><bdi dir="ltr">offline_access</bdi></li></ul>
    <p class="quiet">Since 1 June 2026, 12:00 UTC. Last used 1 June 2026, 12:00 UTC.</p></div>
    <form method="post" action="/account/apps/disconnect">
    <input type="hidden" name="csrf" value="[csrf]">
    <input type="hidden" name="app" value="members">
    <button class="button small" type="submit">Disconnect<span class="hidden"> <bdi>Members only</bdi></span></button>
    </form></li>
    </ul>
    </section>
    "##);
    let page = browser.get("/account/everywhere").await;
    insta::assert_snapshot!(main_of(&page), @r##"
    <p><a href="/account">Back to your account</a></p>
    <h1>Sign out everywhere?</h1>
    <p>Every browser that you are signed in at, this one too, and every app that works in your name.</p>
    <form class="fields" method="post" action="/account/everywhere">
    <input type="hidden" name="csrf" value="[csrf]">
    <label class="check"><input type="checkbox" name="tokens" value="yes"> <span>Also revoke my personal access tokens</span></label>
    <ul class="chips"><li class="tag"><bdi>backup</bdi></li></ul>
    <button class="button primary" type="submit">Sign out everywhere</button>
    </form>
    "##);
    let page = browser.get("/account/activity").await;
    let trace = regex::Regex::new(">[A-Z0-9]{8}<").unwrap();
    insta::assert_snapshot!(trace.replace_all(&main_of(&page), ">[trace]<"), @r##"
    <p><a href="/account">Back to your account</a></p>
    <h1>Your activity</h1>
    <section aria-labelledby="events">
    <h2 id="events">What happened lately</h2>
    <p class="quiet">If you do not know something here, end your other sessions and change how you sign in.</p>
    <ul class="rows">
    <li><div><strong><bdi>Making a personal access token: backup</bdi></strong>
    <p class="quiet">1 June 2026, 12:00 UTC from <bdi dir="ltr">[address]</bdi></p></div>
    </li>
    <li><div><strong><bdi>Signing in</bdi></strong>
    <p class="quiet">1 June 2026, 12:00 UTC from <bdi dir="ltr">[address]</bdi></p></div>
    <code class="quiet" dir="ltr">[trace]</code></li>
    </ul>
    </section>
    "##);
}
