//! The server over a real socket, and requests that are odd.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request},
};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower::ServiceExt as _;

use crate::support::{
    app::{Answer, ISSUER, TestApp, basic},
    fake_upstream::{Endpoint, FakeUpstream, Fault},
    journey::authorize_path,
    server::{KEYS, Server, read_all},
};

/// HT-01: half a request is not waited for; a connection that rests between two requests is kept.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_is_closed_and_a_resting_connection_is_not() {
    let app = TestApp::start().await;
    let server = Server::start(&app).await;
    let mut resting = server.connect().await;
    let mut half = server.connect().await;
    let mut silent = server.connect().await;
    let mut buffer = [0; 4_096];
    resting.write_all(KEYS.as_bytes()).await.unwrap();
    assert!(resting.read(&mut buffer).await.unwrap() > 0);
    half.write_all(KEYS.as_bytes()).await.unwrap();
    assert!(half.read(&mut buffer).await.unwrap() > 0);
    half.write_all(b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: id").await.unwrap();
    let dribble = async {
        // A byte now and then does not make it a request.
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if half.write_all(b"x").await.is_err() {
                break;
            }
        }
    };
    let closed = tokio::time::timeout(Duration::from_secs(15), dribble).await;
    closed.expect("half a request is waited for");
    assert_eq!(read_all(&mut silent).await, "", "who says nothing is told nothing");
    resting.write_all(KEYS.as_bytes()).await.unwrap();
    assert!(resting.read(&mut buffer).await.unwrap() > 0);
    assert!(buffer.starts_with(b"HTTP/1.1 200"));
}

/// FT-41: told to stop, the server lets a request in flight finish, closes idle connections and
/// takes no new ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_finishes_when_the_server_stops() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    upstream.misbehave(|lies| {
        lies.fault(Endpoint::Discovery, Fault::Delay(Duration::from_millis(700)));
    });
    let server = Server::start(&app).await;
    let mut idle = server.connect().await;
    idle.write_all(KEYS.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    // A person is sent to the upstream, whose metadata is slow to come.
    let target = authorize_path("web", &[]);
    let request = format!("GET {target} HTTP/1.1\r\nhost: id.test\r\n\r\n");
    let mut busy = server.connect().await;
    busy.write_all(request.as_bytes()).await.unwrap();
    for _ in 0..500 {
        if upstream.count(Endpoint::Discovery) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(upstream.count(Endpoint::Discovery), 1, "the request is in flight");
    server.stopping.cancel();

    let answer = read_all(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(
        answer.contains(&format!("location: {}", upstream.url(Endpoint::Authorize))),
        "{answer}"
    );
    read_all(&mut idle).await;
    tokio::time::timeout(Duration::from_secs(20), server.running).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

/// HT-03, HT-06: heads that are too large or ambiguous are refused, and the server goes on.
#[tokio::test(flavor = "multi_thread")]
async fn odd_heads_are_refused_and_the_server_goes_on() {
    let app = TestApp::start().await;
    let server = Server::start(&app).await;
    let many: Vec<String> = (0..150).map(|number| format!("x-{number}: 1\r\n")).collect();
    let many = many.concat();
    let long = format!("x-long: {}\r\n", "x".repeat(100_000));
    let odd = [
        format!("GET / HTTP/1.1\r\nhost: id.test\r\n{many}\r\n"),
        format!("GET / HTTP/1.1\r\nhost: id.test\r\n{long}\r\n"),
        "GET / HTTP/1.1\r\nhost: id.test\r\nx: a\0b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: id.test\r\nx y: b\r\n\r\n".to_owned(),
        "POST /token HTTP/1.1\r\nhost: id.test\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc".to_owned(),
        "POST /token HTTP/1.1\r\nhost: id.test\r\ncontent-length: x\r\n\r\nabc".to_owned(),
        "POST /token HTTP/1.1\r\nhost: id.test\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        "GET  / HTTP/1.1\r\n\r\n".to_owned(),
    ];
    for request in odd {
        let mut stream = server.connect().await;
        // The server may close before everything is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = read_all(&mut stream).await;
        let status = answer.get(9..12).unwrap_or("cut");
        assert!(
            ["400", "414", "431", "cut"].contains(&status),
            "{status} for {:?}",
            &request[..60.min(request.len())]
        );
    }
    let mut stream = server.connect().await;
    stream
        .write_all(KEYS.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200"));
    server.stopping.cancel();
}

async fn send(app: &TestApp, method: &str, path: &str, body: Bytes) -> Answer {
    let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
    let request = request
        .uri(format!("{ISSUER}{path}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", basic("m2m"));
    app.send(request.body(body).unwrap()).await
}

/// HT-12: a method that a route does not have is 405, whatever it is called.
#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_refused() {
    let app = TestApp::start().await;
    let routes = [
        ("/authorize", "GET,HEAD,POST"),
        ("/login", "GET,HEAD,POST"),
        ("/upstream/kc/start", "GET,HEAD"),
        ("/upstream/kc/callback", "GET,HEAD,POST"),
        ("/upstream/kc/backchannel-logout", "POST"),
        ("/upstream/kc/frontchannel-logout", "GET,HEAD"),
        ("/upstream/kc/signed-out", "GET,HEAD"),
        ("/token", "POST"),
        ("/userinfo", "GET,HEAD,POST"),
        ("/introspect", "POST"),
        ("/revoke", "POST"),
        ("/logout", "GET,HEAD,POST"),
        ("/account", "GET,HEAD"),
        ("/account/sessions/end", "POST"),
        ("/assets/x", "GET,HEAD"),
        ("/.well-known/jwks.json", "GET,HEAD"),
        ("/.well-known/openid-configuration", "GET,HEAD"),
    ];
    let methods =
        ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "GETX", "post"];
    for (path, allowed) in routes {
        let allowed: Vec<&str> = allowed.split(',').collect();
        for method in methods.into_iter().filter(|method| !allowed.contains(method)) {
            let answer = send(&app, method, path, Bytes::new()).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let listed = answer.headers["allow"].to_str().unwrap();
            let listed: Vec<&str> = listed.split(',').map(str::trim).collect();
            assert!(allowed.iter().all(|own| listed.contains(own)), "{path}: {listed:?}");
        }
    }
}

/// HT-04: a body of more than 64 KiB is refused before it is read whole; compressed ones are too.
#[tokio::test(flavor = "multi_thread")]
async fn large_and_compressed_bodies_are_refused() {
    let app = TestApp::start().await;
    let large = Bytes::from(format!("grant_type=client_credentials&x={}", "x".repeat(65_536)));
    for path in ["/token", "/introspect", "/revoke"] {
        let answer = send(&app, "POST", path, large.clone()).await;
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
        assert!(answer.json().get("access_token").is_none());
    }
    for path in ["/login", "/logout", "/authorize", "/account/sessions/end"] {
        let answer = send(&app, "POST", path, large.clone()).await;
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
        assert!(!answer.headers.contains_key("set-cookie"), "{path}");
    }
    for encoding in ["gzip", "br", "zstd", "identity, gzip"] {
        let headers = [("content-encoding", encoding), ("authorization", &basic("m2m"))];
        let form = [("grant_type", "client_credentials")];
        let answer = app.post("/token", &form, &headers).await;
        assert!(matches!(answer.status.as_u16(), 400 | 415), "{encoding}: {answer:?}");
    }
    let many: Vec<String> = (0..5_000).map(|number| format!("p{number}=")).collect();
    send(&app, "POST", "/token", many.join("&").into()).await.assert_error(400, "invalid_request");
}

/// HT-07, IJ-13: a path is what it is: no other spelling of it leads anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn other_spellings_of_a_path_lead_nowhere() {
    let app = TestApp::start().await;
    let paths = [
        "//account",
        "/./account",
        "/x/../account",
        "/account/",
        "/account;x",
        "/account/..;/",
        "/%61ccount",
        "/account%2f",
        "/account%00",
        "/ACCOUNT",
        "/Account",
        "/account%20",
        "/account.json",
        "/token/",
        "/token;x=y",
        "//token",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%5c..%5cetc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/%00",
        "/api/unknown",
        "/assets/../config",
        "/assets/%2e%2e/config",
        "/.env",
        "/.git/config",
        "/metrics",
        "/livez",
        "/readyz",
        "/admin",
        "/upstream//start",
        "/upstream/kc/start/",
        "/upstream/kc%2fstart",
        "/.well-known/jwks.json/",
        "/.well-known/../.well-known/jwks.jso",
    ];
    // Straight to the router: a URL parser would tidy these up, as honest clients do.
    let ask = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        app.router.clone().oneshot(request).await.unwrap()
    };
    for path in paths {
        for method in ["GET", "POST"] {
            let answer = ask(method, path).await;
            let refused = [404, if path == "/upstream//start" { 405 } else { 404 }];
            assert!(refused.contains(&answer.status().as_u16()), "{method} {path}: {answer:?}");
            assert!(!answer.headers().contains_key("location"), "{path}");
        }
    }
    let answer = ask("GET", "/account?x=/token").await;
    assert_eq!(answer.status(), 303, "the query is no part of the path");
    assert_eq!(ask("GET", "/.well-known/jwks.json").await.status(), 200);
}

/// RL-10: what a request says of scheme, host and path changes nothing in what we say of ourselves.
#[tokio::test(flavor = "multi_thread")]
async fn forwarded_headers_change_no_address_of_ours() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    let lies = [
        ("host", "evil.test"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "81"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-uri", "/account"),
        ("x-original-url", "/account"),
        ("x-rewrite-url", "/account"),
        ("x-forwarded-scheme", "http"),
        ("forwarded", "host=evil.test;proto=http"),
        ("x-http-method-override", "DELETE"),
    ];
    let get = async |path: &str, with_lies: bool| {
        let mut request = Request::builder().uri(format!("{ISSUER}{path}"));
        for (name, value) in lies.into_iter().filter(|_| with_lies) {
            request = request.header(name, value);
        }
        app.send(request.body(Bytes::new()).unwrap()).await
    };
    for path in ["/.well-known/openid-configuration", "/.well-known/jwks.json", "/"] {
        let (honest, misled) = (get(path, false).await, get(path, true).await);
        assert_eq!(
            (honest.status, &honest.headers, &honest.body),
            (misled.status, &misled.headers, &misled.body)
        );
    }
    let begun = get(&authorize_path("web", &[]), true).await;
    let to = begun.headers["location"].to_str().unwrap().to_owned();
    assert!(to.starts_with(&upstream.url(Endpoint::Authorize)), "{to}");
    assert!(to.contains("redirect_uri=https%3A%2F%2Fid.test%2Fupstream%2Fkc%2Fcallback"), "{to}");
    let cookie = begun.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-") && cookie.contains("; Secure"), "{cookie}");

    let mut browser = app.browser();
    for (name, value) in lies.into_iter().skip(1) {
        browser.set_header(name, value);
    }
    let journey = browser.visit(&authorize_path("web", &[])).await;
    assert_eq!(journey.param("iss").as_deref(), Some(ISSUER));
    assert!(journey.landing().as_str().starts_with("https://web.test/cb?"));
    let asked = upstream.requests_to(Endpoint::Authorize);
    let callback = "redirect_uri=https%3A%2F%2Fid.test%2Fupstream%2Fkc%2Fcallback";
    assert!(asked[0].uri.query().unwrap().contains(callback), "{:?}", asked[0].uri);
}

/// HT-10: what strangers invent is not a label.
#[tokio::test(flavor = "multi_thread")]
async fn invented_methods_do_not_become_numbers() {
    let app = TestApp::start().await;
    for number in 0..20 {
        send(&app, &format!("M{number}"), "/nowhere", Bytes::new()).await;
        send(&app, &format!("M{number}"), "/login", Bytes::new()).await;
    }
    let text = app.app.metrics.render().unwrap();
    assert!(!text.contains("M1"), "{text}");
    assert_eq!(text.matches("method=\"other\"").count(), 2, "{text}");
}

/// HT-01: a connection that has rested may still bring a request in two pieces.
#[tokio::test(flavor = "multi_thread")]
async fn time_that_was_rested_does_not_count_against_a_request() {
    let app = TestApp::start().await;
    let server = Server::start(&app).await;
    let mut stream = server.connect().await;
    let mut buffer = [0; 4_096];
    stream.write_all(KEYS.as_bytes()).await.unwrap();
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let (first, rest) = KEYS.split_at(20);
    stream.write_all(first.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
    assert!(buffer.starts_with(b"HTTP/1.1 200"));
}

/// HT-02: a body that does not come is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_refused() {
    let server = Server::start(&TestApp::start().await).await;
    let begin = async |path: &str| {
        let mut stream = server.connect().await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: id.test\r\nconnection: close\r\n");
        let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 9\r\n\r\na=";
        stream.write_all((head + form).as_bytes()).await.unwrap();
        read_all(&mut stream).await
    };
    let (token, login) = tokio::join!(begin("/token"), begin("/login"));
    assert!(token.starts_with("HTTP/1.1 408") && token.contains("invalid_request"), "{token}");
    assert!(login.starts_with("HTTP/1.1 408") && login.contains("text/html"), "{login}");
}
