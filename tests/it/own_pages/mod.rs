//! What people see and do at their own pages: sessions, apps, activity, data.

mod activity;
mod apps;
mod export;
mod sessions;

use crate::{
    sessions::form_token,
    support::browser::{Browser, Page},
};

/// Posts a form of one's own pages.
async fn post(browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> Page {
    let csrf = form_token(browser).await;
    let fields = [&[("csrf", csrf.as_str())], fields].concat();
    browser.post_form(path, &fields).await
}
