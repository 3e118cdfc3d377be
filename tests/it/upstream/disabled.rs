//! Upstreams that are switched off, and doors that do not exist.

use super::{Away, SESSION_COOKIE, gets_in, rebuilt};
use crate::support::{app::TestApp, fake_upstream::FakeUpstream, journey::authorize_path};

/// UP-21: an upstream with `enabled = false` is not there: no button, no start, no callback, also
/// for whoever was on the way. Switching it on again restores everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_upstream_is_not_there() {
    let (upstream, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let on = TestApp::builder().upstream("kc", &upstream, "").upstream("other", &other, "");
    let on = on.start().await;
    on.add_user("bob", &[]).await;
    gets_in(&on, "kc").await.unwrap();
    let pending = Away::at(&on, "kc").await;
    let (cookies, callback) = (pending.browser.cookies().clone(), pending.callback.clone());
    drop(pending);
    let off = rebuilt(on, |builder| {
        builder.upstream("kc", &upstream, "enabled = false").upstream("other", &other, "")
    });
    let off = off.await;

    let asked = upstream.requests().len();
    let rows = off.count("sessions").await;
    let mut browser = off.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let links = journey.last().links();
    assert!(links.iter().any(|link| link.path() == "/upstream/other/start"), "{links:?}");
    assert!(links.iter().all(|link| link.path() != "/upstream/kc/start"), "{links:?}");
    let flow = journey.last().url.query_pairs().find(|(name, _)| name == "flow").unwrap().1;
    assert_eq!(browser.get(&format!("/upstream/kc/start?flow={flow}")).await.status, 404);
    *browser.cookies_mut() = cookies;
    assert_eq!(browser.get(callback.as_str()).await.status, 404);
    assert!(browser.cookies().get(SESSION_COOKIE).is_none());
    assert_eq!((upstream.requests().len(), off.count("sessions").await), (asked, rows));
    gets_in(&off, "other").await.unwrap();

    drop(browser);
    let on = rebuilt(off, |builder| builder.upstream("kc", &upstream, "")).await;
    gets_in(&on, "kc").await.unwrap();
    assert_eq!(on.count("identities").await, 2, "the same people as before");
}

/// UP-21: what was never configured is not there either.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_upstream_is_not_there() {
    let (app, upstream) = TestApp::with_upstream().await;
    for slug in ["nobody", "KC", "kc%00", "..%2fkc", "kc'--", "kc%20", "%E2%80%AEck"] {
        for step in ["start", "callback"] {
            let page = app.get(&format!("/upstream/{slug}/{step}?state=x&code=y"), None).await;
            assert_eq!(page.status, 404, "{slug}/{step}");
        }
    }
    assert_eq!(upstream.requests().len(), 0);
}

/// UP-18, UP-28: what is not built answers 404 and is not advertised.
#[tokio::test(flavor = "multi_thread")]
async fn doors_that_are_not_built_are_not_there() {
    let (app, _upstream) = TestApp::with_upstream().await;
    for path in [
        "/upstream/kc/login?iss=x&target_link_uri=https://evil.test/",
        "/upstream/kc/token",
        "/upstream/kc/link",
    ] {
        assert_eq!(app.get(path, None).await.status, 404, "{path}");
        assert_eq!(app.post(path, &[("logout_token", "x")], &[]).await.status, 404, "{path}");
    }
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    for name in ["frontchannel_logout_supported", "backchannel_authentication_endpoint"] {
        assert!(metadata.get(name).is_none_or(|value| value == false), "{name}");
    }
}
