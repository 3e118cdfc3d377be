//! One's picture: drawn anew, served as what it is, and nothing else.

use std::io::Cursor;

use image_webp::{WebPDecoder, WebPEncoder};
use keywright::store::{
    deletions::{self, Deletion},
    users,
};
use serde_json::Value;
use url::Url;

use crate::{
    sessions::{form_token, sign_in},
    support::{
        app::{ISSUER, TestApp},
        browser::{Browser, Navigation, Page},
        fake_upstream::FakeUpstream,
        journey::{code_by_session, redeem},
    },
    upstream::sign_in_at,
};

const PHOTO: &[u8] = include_bytes!("fixtures/photo.jpg");
const TURNED: &[u8] = include_bytes!("fixtures/turned.jpg");

async fn signed_in(app: &TestApp) -> Browser {
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    browser
}

/// A form with a file, as a browser sends it.
fn form(csrf: &str, field: &str, content: &[u8]) -> Vec<u8> {
    let part = |name: &str| format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"");
    let mut body = format!("{}\r\n\r\n{csrf}\r\n", part("csrf")).into_bytes();
    let about = "; filename=\"me.png\"\r\nContent-Type: image/png\r\n\r\n";
    body.extend(format!("{}{about}", part(field)).into_bytes());
    body.extend(content);
    body.extend(b"\r\n--XyZ--\r\n");
    body
}

async fn post(browser: &mut Browser, body: Vec<u8>) -> Page {
    let url = Url::parse(&format!("{ISSUER}/account/picture")).unwrap();
    let from = Url::parse(&format!("{ISSUER}/account/profile")).unwrap();
    let mut navigation = Navigation::post(url, &[]).started_by(&from);
    navigation.body = body.into();
    let kind = "multipart/form-data; boundary=XyZ";
    browser.send(navigation.header("content-type", kind)).await
}

async fn upload(browser: &mut Browser, file: &[u8]) -> Page {
    let csrf = form_token(browser).await;
    post(browser, form(&csrf, "picture", file)).await
}

/// The `picture` claim that an app gets.
async fn claim(app: &TestApp, browser: &mut Browser, scope: &str) -> Option<String> {
    let code = code_by_session(browser, "web", &[("scope", scope)]).await;
    let token = redeem(app, "web", &code).await.text("id_token");
    let claims = keywright::keys::parse_unverified(&token).unwrap().1;
    claims.get("picture").and_then(Value::as_str).map(ToOwned::to_owned)
}

fn path_of(address: &str) -> &str {
    address.strip_prefix(ISSUER).unwrap_or_else(|| panic!("{address}"))
}

/// Size and colours of what is served.
fn decoded(file: &[u8]) -> ((u32, u32), Vec<u8>) {
    let mut decoder = WebPDecoder::new(Cursor::new(file)).unwrap();
    let mut bytes = vec![0; decoder.output_buffer_size().unwrap()];
    decoder.read_image(&mut bytes).unwrap();
    (decoder.dimensions(), bytes)
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgba);
    let bytes: Vec<u8> = (0..width * height).flat_map(|_| [200, 100, 0, 255]).collect();
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
    file
}

fn webp(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let bytes = vec![7; (width * height * 3) as usize];
    WebPEncoder::new(&mut file).encode(&bytes, width, height, image_webp::ColorType::Rgb8).unwrap();
    file
}

/// A picture of each kind comes back as a small WebP; the camera's turn is undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_drawn_anew_and_told_to_apps() {
    let app = TestApp::start().await;
    let mut browser = signed_in(&app).await;
    assert_eq!(claim(&app, &mut browser, "openid profile").await, None);
    let mut seen = Vec::new();
    for (file, size) in [
        (PHOTO.to_vec(), (64, 32)),
        (TURNED.to_vec(), (32, 64)),
        (png(700, 350), (256, 128)),
        (webp(20, 10), (20, 10)),
    ] {
        let page = upload(&mut browser, &file).await;
        assert_eq!(page.status, 303, "{}", page.text());
        let address = claim(&app, &mut browser, "openid profile").await.unwrap();
        let shown = browser.get("/account/profile").await.text();
        assert!(shown.contains(&address), "{shown}");
        let answer = app.get(path_of(&address), None).await;
        let (found, colours) = decoded(&answer.body);
        assert_eq!(found, size);
        // The left, and after the turn the upper, half is red; the other one is blue.
        let (first, last) = (&colours[..3], &colours[colours.len() - 3..]);
        if file.starts_with(&[0xff, 0xd8]) {
            assert!(first[0] > 200 && first[2] < 50 && last[2] > 200, "{first:?} {last:?}");
        }
        assert!(!seen.contains(&address), "an old picture would come from a cache");
        seen.push(address);
    }
    assert_eq!(app.count("pictures").await, 1);
    assert_eq!(app.get(path_of(&seen[0]), None).await.status, 404);
    assert_eq!(claim(&app, &mut browser, "openid email").await, None);
}

/// IJ-05: whoever asks gets a picture, whatever the file said that it was, and nothing runs in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_served_as_nothing_else() {
    let app = TestApp::start().await;
    let mut browser = signed_in(&app).await;
    let mut polyglot = PHOTO.to_vec();
    polyglot.extend(b"<script>alert(1)</script>");
    assert_eq!(upload(&mut browser, &polyglot).await.status, 303);
    let address = claim(&app, &mut browser, "openid profile").await.unwrap();
    let answer = app.get(path_of(&address), None).await;
    assert!(!answer.body.windows(8).any(|bytes| bytes == b"<script>"));
    for (name, value) in [
        ("content-type", "image/webp"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cache-control", "public, max-age=86400"),
    ] {
        assert_eq!(answer.headers[name], value);
    }
    let unknown = format!("/picture/{}", "A".repeat(43));
    for path in ["/picture/x", "/picture/..%2fx", unknown.as_str()] {
        assert_eq!(app.get(path, None).await.status, 404, "{path}");
    }
}

/// IJ-05: what is no picture is refused, however it is called.
#[tokio::test(flavor = "multi_thread")]
async fn active_content_is_refused() {
    let app = TestApp::start().await;
    let mut browser = signed_in(&app).await;
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    for file in [svg, "<!doctype html><script>alert(1)</script>", "GIF89a", "%PDF-1.7"] {
        let page = upload(&mut browser, file.as_bytes()).await;
        assert_eq!(page.status, 422, "{}", page.text());
        assert!(page.text().contains("is no PNG, JPEG or WebP picture"), "{}", page.text());
    }
    let page = upload(&mut browser, b"").await;
    assert!(page.text().contains("No file was chosen"), "{}", page.text());
    let mut reasons = app.refusals("picture_change").await;
    reasons.sort();
    assert_eq!(reasons, [vec!["picture_kind"; 4], vec!["picture_missing"]].concat());
    assert_eq!(
        (app.count("pictures").await, app.count("users WHERE own_picture <> ''").await),
        (0, 0)
    );
}

/// A PNG header of any size, and nothing behind it.
fn huge(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 6, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    let sum = crc32fast::hash(&chunk);
    file.extend(chunk);
    file.extend(sum.to_be_bytes());
    file
}

/// IJ-06: nothing is decoded of what says that it is large, nothing that moves is taken, and what is
/// damaged harms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_pictures_are_refused() {
    let app = TestApp::start().await;
    let mut browser = signed_in(&app).await;
    let mut jpeg = PHOTO.to_vec();
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    for file in [huge(60_000, 60_000), huge(4_097, 1), huge(4_000, 4_000), huge(0, 1), jpeg] {
        let page = upload(&mut browser, &file).await;
        assert_eq!(page.status, 422, "{}", page.text());
    }
    let moving = {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 1, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_animated(3, 0).unwrap();
        let mut writer = encoder.write_header().unwrap();
        for grey in 0..3 {
            writer.write_image_data(&[grey]).unwrap();
        }
        drop(writer);
        file
    };
    let page = upload(&mut browser, &moving).await;
    assert!(page.status == 422 && page.text().contains("stands still"), "{}", page.text());
    for whole in [PHOTO.to_vec(), png(9, 9), webp(9, 9)] {
        for length in 0..whole.len().min(64) {
            let page = upload(&mut browser, &whole[..length]).await;
            assert_eq!(page.status, 422, "{length}: {}", page.text());
        }
    }
    assert_eq!(app.count("pictures").await, 0);
}

/// Two megabytes are taken and not more, here and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_be_large_here_alone() {
    let app = TestApp::start().await;
    let mut browser = signed_in(&app).await;
    let mut file = PHOTO.to_vec();
    file.resize(2 * 1_024 * 1_024, 0);
    assert_eq!(upload(&mut browser, &file).await.status, 303);
    file.push(0);
    let page = upload(&mut browser, &file).await;
    assert_eq!(page.status, 422, "{}", page.text());
    file.resize(3 * 1_024 * 1_024, 0);
    assert_eq!(upload(&mut browser, &file).await.status, 413);
    let long = "x".repeat(70 * 1_024);
    let page = browser.post_form("/account/profile", &[("username", long.as_str())]).await;
    assert_eq!(page.status, 413, "{}", page.text());
}

/// SS-05: a picture is changed from our own page, in one's own session, and by a form with a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_changed_from_our_own_page_alone() {
    let app = TestApp::start().await;
    let mut browser = signed_in(&app).await;
    let csrf = form_token(&mut browser).await;
    for wrong in ["", "x", &csrf[1..]] {
        let page = post(&mut browser, form(wrong, "picture", PHOTO)).await;
        assert_eq!(page.status, 403, "{wrong}: {}", page.text());
    }
    let url = Url::parse(&format!("{ISSUER}/account/picture")).unwrap();
    let evil = Url::parse("https://evil.test/").unwrap();
    let mut navigation = Navigation::post(url, &[]).started_by(&evil);
    navigation.body = form(&csrf, "picture", PHOTO).into();
    let kind = "multipart/form-data; boundary=XyZ";
    let page = browser.send(navigation.header("content-type", kind)).await;
    assert_ne!(page.location().map(|to| to.path().to_owned()), Some("/account/profile".to_owned()));
    let page = browser.post_form("/account/picture", &[("csrf", &csrf), ("remove", "yes")]).await;
    assert_eq!(page.status, 400, "{}", page.text());
    let mut stranger = app.browser();
    let page = post(&mut stranger, form(&csrf, "picture", PHOTO)).await;
    assert_eq!(page.location().unwrap().path(), "/account");
    app.clock.advance(301);
    let page = post(&mut browser, form(&csrf, "picture", PHOTO)).await;
    assert!(page.status == 403 && page.text().contains("sign in again"), "{}", page.text());
    let reasons = app.refusals("picture_change").await;
    assert!(reasons.iter().filter(|reason| *reason == "form_not_ours").count() >= 3);
    assert!(reasons.contains(&"reauth_required".to_owned()), "{reasons:?}");
    assert_eq!(app.count("pictures").await, 0);
}

/// One's own picture goes before that of an upstream, stays when the upstream tells its own again, and
/// gives way to it when it is removed.
#[tokio::test(flavor = "multi_thread")]
async fn an_own_picture_goes_before_an_upstreams() {
    let upstream = FakeUpstream::start().await;
    let person = serde_json::json!({
        "sub": "1", "preferred_username": "anna", "picture": "https://corp.test/anna.png",
    });
    upstream.set_person(person);
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    let mut browser = app.browser();
    sign_in_at(&mut browser, "kc").await;
    let theirs = Some("https://corp.test/anna.png".to_owned());
    assert_eq!(claim(&app, &mut browser, "openid profile").await, theirs);
    assert_eq!(upload(&mut browser, PHOTO).await.status, 303);
    let own = claim(&app, &mut browser, "openid profile").await;
    assert!(own.as_ref().is_some_and(|own| own.starts_with(ISSUER)), "{own:?}");
    let mut again = app.browser();
    sign_in_at(&mut again, "kc").await;
    assert_eq!(claim(&app, &mut again, "openid profile").await, own);
    let csrf = form_token(&mut browser).await;
    let body = String::from_utf8(form(&csrf, "remove", b"yes")).unwrap();
    let body = body.replace("; filename=\"me.png\"\r\nContent-Type: image/png", "");
    assert_eq!(post(&mut browser, body.into_bytes()).await.status, 303);
    assert_eq!(claim(&app, &mut browser, "openid profile").await, theirs);
    assert_eq!(app.count("pictures").await, 0);
    let events = app.events().await;
    for action in ["picture_change", "picture_removal"] {
        assert_eq!(events.iter().filter(|event| event.action == action).count(), 1, "{action}");
    }
}

/// AD-16: with the account goes its picture.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_goes_with_its_account() {
    let app = TestApp::start().await;
    let mut browser = signed_in(&app).await;
    assert_eq!(upload(&mut browser, PHOTO).await.status, 303);
    let mut connection = app.app.connection().await.unwrap();
    let bob = users::find_by_username(&mut connection, "bob").await.unwrap().unwrap().id;
    let now = app.app.now();
    assert!(users::disable(&mut connection, &bob, now).await.unwrap());
    let deletion = Deletion { user_id: bob.clone(), asked_at: now, due_at: now };
    assert!(deletions::plan(&mut connection, &deletion).await.unwrap());
    assert!(deletions::erase(&mut connection, &bob, now).await.unwrap());
    drop(connection);
    assert_eq!(app.count("pictures").await, 0);
}
