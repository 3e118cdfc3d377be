//! Many people at many apps at once: nobody gets what is another's.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    refresh::family::{Tokens, present_patiently, redeem_as},
    support::{
        app::{TestApp, breathe},
        browser::{Browser, Journey},
        fake_upstream::FakeUpstream,
        journey::{authorize_path, is_active, sign_in_on_page},
    },
};

const LOCAL: usize = 96;
const UPSTREAMS: usize = 4;
const AT_ONCE: usize = 16;
const APPS: [&str; 4] = ["web", "spa", "evil", "native"];
const CONFIG: &str = "[rate_limits]\nsign_in_per_minute = 100000";

/// Somebody of the crowd.
struct Person {
    name: String,
    /// The upstream that knows them; none for a local account.
    upstream: Option<String>,
    /// The id of a local account.
    id: Option<String>,
}

/// What one person got at one app.
struct Got {
    subject: String,
    session: String,
    tokens: Vec<String>,
}

fn claims(token: &str) -> serde_json::Map<String, Value> {
    keywright::keys::parse_unverified(token).unwrap().1
}

fn text(claims: &serde_json::Map<String, Value>, name: &str) -> String {
    claims[name].as_str().unwrap_or_else(|| panic!("{name} in {claims:?}")).to_owned()
}

/// Goes from the app to the code, however this person signs in.
async fn journey(browser: &mut Browser, person: &Person, path: &str) -> Journey {
    // A crowd may find the pool of connections empty; the page says to come back.
    for _ in 0..50 {
        let journey = browser.visit(path).await;
        let journey = match (&journey.stopped_at, &person.upstream) {
            (Some(_), _) => journey,
            _ if journey.last().status == 503 => journey,
            (None, None) => sign_in_on_page(browser, &journey, &person.name).await,
            (None, Some(slug)) => {
                let links = journey.last().links();
                let start = format!("/upstream/{slug}/start");
                let link = links.iter().find(|link| link.path() == start).unwrap();
                browser.visit(link.as_str()).await
            }
        };
        if journey.stopped_at.is_some() {
            return journey;
        }
        assert_eq!(journey.last().status, 503, "{:?}", journey.hops());
        breathe().await;
    }
    panic!("{} never got through", person.name);
}

/// One person at one app: signs in, redeems, refreshes, asks; everything has to be their own.
async fn visit(app: &TestApp, browser: &mut Browser, person: &Person, client: &str) -> Got {
    let (state, nonce) =
        (format!("state-{}-{client}", person.name), format!("nonce-{}-{client}", person.name));
    let path = authorize_path(client, &[("state", &state), ("nonce", &nonce)]);
    let journey = journey(browser, person, &path).await;
    assert_eq!(journey.param("state"), Some(state));
    let answer = redeem_as(app, client, &journey.param("code").unwrap()).await;
    let first = Tokens::of(client, &answer);
    let second = Tokens::of(client, &present_patiently(app, client, &first.refresh).await);

    let id = claims(first.id.as_ref().unwrap());
    assert_eq!(text(&id, "nonce"), nonce);
    assert_eq!(text(&id, "preferred_username"), person.name);
    assert_eq!(text(&id, "email"), format!("{}@corp.test", person.name));
    let (subject, session) = (text(&id, "sub"), text(&id, "sid"));
    for tokens in [&first, &second] {
        let id = claims(tokens.id.as_ref().unwrap());
        assert_eq!((text(&id, "sub"), text(&id, "sid")), (subject.clone(), session.clone()));
        assert_eq!(text(&id, "aud"), client);
        let access = claims(&tokens.access);
        assert_eq!(
            (text(&access, "sub"), text(&access, "sid")),
            (subject.clone(), session.clone())
        );
        assert_eq!(text(&access, "client_id"), client);
    }
    let userinfo = app.get("/userinfo", Some(&second.bearer())).await.json();
    assert_eq!(userinfo["sub"], subject);
    assert_eq!(userinfo["preferred_username"], person.name);
    if !matches!(client, "spa" | "native") {
        assert!(is_active(app, client, &first.access).await);
    }
    let tokens = vec![first.access, first.refresh, second.access, second.refresh];
    Got { subject, session, tokens }
}

/// One person at all apps, in one browser.
async fn person_at_all_apps(app: Arc<TestApp>, turn: Arc<Semaphore>, person: Person) -> Vec<Got> {
    let mut browser = app.browser();
    let mut all = Vec::new();
    for client in APPS {
        let _turn = turn.acquire().await.unwrap();
        all.push(visit(&app, &mut browser, &person, client).await);
    }
    let mine = &all[0];
    assert!(all.iter().all(|got| (&got.subject, &got.session) == (&mine.subject, &mine.session)));
    if let Some(id) = &person.id {
        assert_eq!(&mine.subject, id);
    }
    all
}

async fn people(app: &TestApp) -> Vec<Person> {
    let mut people = Vec::new();
    for number in 0..LOCAL {
        let name = format!("local{number}");
        let id = app.add_user(&name, &[]).await.id;
        people.push(Person { name, upstream: None, id: Some(id.as_str().to_owned()) });
    }
    for number in 0..UPSTREAMS {
        let upstream = Some(format!("kc{number}"));
        people.push(Person { name: format!("remote{number}"), upstream, id: None });
    }
    people
}

/// TK-22: a hundred people, local and federated, at four apps at once; everybody gets their own.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_crowd_everybody_gets_their_own() {
    let mut upstreams = Vec::new();
    for number in 0..UPSTREAMS {
        let upstream = FakeUpstream::start().await;
        let name = format!("remote{number}");
        upstream.set_person(serde_json::json!({
            "sub": name, "preferred_username": name, "email": format!("{name}@corp.test"),
            "email_verified": true,
        }));
        upstreams.push(upstream);
    }
    let mut builder = TestApp::builder().config(CONFIG);
    for (number, upstream) in upstreams.iter().enumerate() {
        builder = builder.upstream(&format!("kc{number}"), upstream, "");
    }
    let app = Arc::new(builder.start().await);
    let turn = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for person in people(&app).await {
        tasks.spawn(person_at_all_apps(Arc::clone(&app), Arc::clone(&turn), person));
    }
    let all = tasks.join_all().await;

    let people = LOCAL + UPSTREAMS;
    let mine =
        |got: fn(&Got) -> &String| all.iter().map(|own| got(&own[0])).collect::<HashSet<_>>();
    assert_eq!(mine(|got| &got.subject).len(), people);
    assert_eq!(mine(|got| &got.session).len(), people);
    let tokens: Vec<&String> = all.iter().flatten().flat_map(|got| &got.tokens).collect();
    assert_eq!(tokens.len(), people * APPS.len() * 4);
    assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), tokens.len());
    let rows = |count: usize| i64::try_from(count).unwrap();
    assert_eq!(app.count("users").await, rows(people));
    assert_eq!(app.count("sessions").await, rows(people));
    assert_eq!(app.count("grants").await, rows(people * APPS.len()));
    assert_eq!(app.count("refresh_tokens WHERE consumed_at IS NULL").await, rows(people * 4));
}
