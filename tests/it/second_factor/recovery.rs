//! Recovery codes (MF-06).

use super::{
    codes_on, enrolled, first_step, form_of, give, id_token, live, set_up, start, with_recovery,
};
use crate::{
    sessions::{SESSION, sign_in},
    support::{app::TestApp, browser::Browser},
};

/// Tries a recovery code in a new browser: whether it signs bob in.
async fn signs_in(app: &TestApp, code: &str) -> bool {
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    let page = with_recovery(&mut browser, &page).await;
    let answer = give(&mut browser, &page, code).await;
    if answer.status == 303 {
        let journey = browser.follow(answer).await;
        assert_eq!(id_token(app, &journey).await["acr"], "mfa");
        return true;
    }
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("That is no recovery code of yours"), "{}", answer.text());
    assert!(browser.cookies().get(SESSION).is_none());
    false
}

/// MF-06: there are ten, each counts once, and what is kept is no code.
#[tokio::test(flavor = "multi_thread")]
async fn each_counts_once() {
    let app = start().await;
    let (_, codes) = enrolled(&app).await;
    assert_eq!(codes.len(), 10);
    let distinct: std::collections::BTreeSet<&String> = codes.iter().collect();
    assert_eq!(distinct.len(), 10);
    assert!(signs_in(&app, &codes[3]).await);
    assert!(!signs_in(&app, &codes[3]).await);
    let sloppy = codes[7].to_lowercase().replace('-', " ");
    assert!(signs_in(&app, &sloppy).await);
    for none in ["", "AAAA-AAAA-AAAA-AAAA", &codes[0][..18], "123456", "' OR 1=1 --"] {
        assert!(!signs_in(&app, none).await, "{none}");
        app.clock.advance(300);
    }
    assert_eq!(app.count("recovery_codes WHERE used_at IS NULL").await, 8);
    assert_eq!(app.count("recovery_codes WHERE length(digest) = 32").await, 10);
    let uses = app.events().await;
    let uses: Vec<_> = uses.iter().filter(|event| event.action == "use_recovery_code").collect();
    assert_eq!(uses.len(), 2);
    assert!(uses[0].detail.contains("\"left\":9"), "{}", uses[0].detail);
    assert!(!uses.iter().any(|event| codes.iter().any(|code| event.detail.contains(code))));
}

/// MF-06: of two at once with the same code one gets in.
#[tokio::test(flavor = "multi_thread")]
async fn of_the_same_code_at_once_one_counts() {
    let app = start().await;
    let (_, codes) = enrolled(&app).await;
    let before = live(&app).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut browser = app.browser();
        let page = first_step(&mut browser, &[]).await;
        let page = with_recovery(&mut browser, &page).await;
        waiting.push((browser, page));
    }
    let tries = waiting.iter_mut().map(|(browser, page)| give(browser, page, &codes[0]));
    let answers = futures_util::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 303).count(), 1);
    assert_eq!(live(&app).await, before + 1);
}

async fn renew(browser: &mut Browser) -> Vec<String> {
    let page = browser.get("/account/two-step").await;
    let page = browser.submit(&page, &form_of(&page, "codes")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    codes_on(&page)
}

/// MF-06: new ones end the old ones, and they are shown once.
#[tokio::test(flavor = "multi_thread")]
async fn new_ones_end_the_old_ones() {
    let app = start().await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let (_, old) = set_up(&app, &mut browser).await;
    let new = renew(&mut browser).await;
    assert_eq!(new.len(), 10);
    assert!(new.iter().all(|code| !old.contains(code)));
    let page = browser.get("/account/two-step").await;
    assert!(codes_on(&page).is_empty() && page.text().contains("10 of 10 are left"));
    assert!(!signs_in(&app, &old[0]).await);
    assert!(signs_in(&app, &new[0]).await);
    assert!(browser.get("/account/two-step").await.text().contains("9 of 10 are left"));
    let events = app.events().await;
    assert_eq!(events.iter().filter(|event| event.action == "renew_recovery_codes").count(), 1);
}
