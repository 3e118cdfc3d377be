//! Style, script and icons.

use axum::http::header;

use super::{every_page, house, html::elements};
use crate::support::app::TestApp;

/// Every address of an asset that any page names.
async fn addresses(app: &TestApp) -> Vec<String> {
    let mut found = Vec::new();
    for (_, page) in every_page(app).await {
        for element in elements(&page.text()) {
            let address = element.get("src").or(element.get("href")).unwrap_or_default();
            if address.starts_with("/assets/") && !found.contains(&address.to_owned()) {
                found.push(address.to_owned());
            }
        }
    }
    found
}

/// Assets are kept for ever, because their names change with what is in them.
#[tokio::test(flavor = "multi_thread")]
async fn assets_are_immutable_under_the_name_of_their_hash() {
    use base64::Engine as _;
    let (app, _upstreams) = house().await;
    let found = addresses(&app).await;
    assert_eq!(found.len(), 3, "{found:?}");
    for address in found {
        let asset = app.get(&address, None).await;
        assert_eq!(asset.status, 200, "{address}");
        let text = |name: header::HeaderName| asset.headers[name].to_str().unwrap().to_owned();
        assert_eq!(text(header::CACHE_CONTROL), "public, max-age=31536000, immutable");
        let kind =
            if address.rsplit('.').next() == Some("css") { "text/css" } else { "text/javascript" };
        assert_eq!(text(header::CONTENT_TYPE), format!("{kind}; charset=utf-8"));
        assert_eq!(text(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(!asset.headers.contains_key(header::SET_COOKIE));
        let hash = keywright::foundation::digest::sha256(&asset.body);
        let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash);
        assert!(address.starts_with(&format!("/assets/{}-", &hash[..12])), "{address}");
        // AZ-33: nothing listens to other windows.
        assert!(!String::from_utf8_lossy(&asset.body).contains("postMessage"), "{address}");
    }
}

/// IJ-13: nothing else is there.
#[tokio::test(flavor = "multi_thread")]
async fn other_names_are_not_found() {
    let (app, _upstreams) = house().await;
    let found = addresses(&app).await;
    let (hash, name) = found[0].strip_prefix("/assets/").unwrap().split_at(13);
    let wrong = [
        format!("/assets/{name}"),
        format!("/assets/AAAAAAAAAAAA-{name}"),
        format!("/assets/{hash}"),
        format!("/assets/{hash}nothing.css"),
        format!("/assets/{hash}../Cargo.toml"),
        format!("/assets/{hash}%2e%2e%2fCargo.toml"),
        format!("/assets/{hash}{name}/"),
        format!("/assets/{hash}{name}%00"),
        format!("/assets//{hash}{name}"),
        format!("/Assets/{hash}{name}"),
        "/assets/".to_owned(),
        "/assets".to_owned(),
        "/assets/%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC".to_owned(),
        "/assets/%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff".to_owned(),
        "/static/app.css".to_owned(),
        "/favicon.ico".to_owned(),
    ];
    for path in wrong {
        let answer = app.get(&path, None).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{path}: {}", answer.status);
        assert_ne!(
            answer.headers.get(header::CACHE_CONTROL).and_then(|v| v.to_str().ok()),
            Some("public, max-age=31536000, immutable"),
            "{path}"
        );
    }
}
