//! The edge of the running program: how it ends, what it may open, and what it says at its start.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::program::Place;

const M2M: &str = "[[clients]]\nid = \"m2m\"\nname = \"Machine\"\n\
                   secret = \"m2m-secret-0123456789\"\ngrant_types = [\"client_credentials\"]\n";

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn head(method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n"
    )
}

/// A whole answer, and nothing after it: an error is a connection that was cut.
fn read_whole(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let whole = length.is_none_or(|length| length.parse() == Ok(body.len()));
    if whole { Ok(answer) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// FT-41: of two hundred requests that are on their way when it is told to stop, each is answered whole:
/// those whose body is still coming, those on connections that were used before, those that were sent in
/// the last moment, and those that still stand in line.
#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_answers_two_hundred_requests_and_resets_none() {
    let mut place = Place::new();
    place.configure(M2M);
    place.set("RATE_LIMIT_PER_MINUTE", "1000");
    let mut server = place.serve().await;
    let form = "grant_type=client_credentials&client_id=m2m&client_secret=m2m-secret-0123456789";
    let (most, last) = form.split_at(form.len() - 1);
    let login = "flow=x&csrf=y";

    let mut used: Vec<TcpStream> = (0..50).map(|_| connect(place.port)).collect();
    for stream in &mut used {
        let request = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut buffer = [0; 16_384];
        assert!(stream.read(&mut buffer).unwrap() > 0);
    }
    let mut waiting: Vec<TcpStream> = (0..100).map(|_| connect(place.port)).collect();
    for stream in &mut waiting {
        let request = format!("{}\r\n{most}", head("POST", "/token", form.len()));
        stream.write_all(request.as_bytes()).unwrap();
    }
    // So that all of these have begun.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut late: Vec<TcpStream> = (0..50).map(|_| connect(place.port)).collect();
    for stream in &mut late {
        let request = format!("{}\r\n{login}", head("POST", "/login", login.len()));
        stream.write_all(request.as_bytes()).unwrap();
    }
    for stream in &mut used {
        let request = format!("{}\r\n{form}", head("POST", "/token", form.len()));
        stream.write_all(request.as_bytes()).unwrap();
    }
    server.signal("TERM");
    for _ in 0..600 {
        if server.management("/readyz").is_ok_and(|ready| ready.status == 503) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut is_open = true;
    for _ in 0..600 {
        is_open = is_open && TcpStream::connect(("127.0.0.1", place.port)).is_ok();
        tokio::time::sleep(Duration::from_millis(if is_open { 10 } else { 0 })).await;
    }
    assert!(!is_open, "nobody new is let in");
    for stream in &mut waiting {
        stream.write_all(last.as_bytes()).unwrap();
    }
    for (what, streams, expected) in [
        ("waiting", &mut waiting, "access_token"),
        ("used", &mut used, "access_token"),
        ("late", &mut late, "HTTP/1.1 403"),
    ] {
        for (number, stream) in streams.iter_mut().enumerate() {
            let answer = read_whole(stream);
            let answer = answer.unwrap_or_else(|error| panic!("{what} {number}: {error}"));
            assert!(answer.contains(expected), "{what} {number}: {answer}");
            // The others may have been answered before it heard.
            let told = what != "waiting" || answer.contains("connection: close");
            assert!(told, "{what} {number}: {answer}");
        }
    }
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    assert!(!server.log().contains("cut off"), "{}", server.log());
}

/// A second signal does not wait for anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let mut server = place.serve().await;
    let mut slow = connect(place.port);
    slow.write_all(format!("{}\r\na", head("POST", "/token", 9)).as_bytes()).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal("TERM");
    for _ in 0..600 {
        if server.management("/readyz").is_ok_and(|ready| ready.status == 503) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.signal("TERM");
    assert_eq!(server.ended().await.code(), Some(1), "{}", server.log());
}

/// FT-47: with few descriptors connections wait, whoever is there is answered, so are the probes, and
/// nothing leaks.
#[tokio::test(flavor = "multi_thread")]
async fn with_few_descriptors_connections_wait_and_probes_are_answered() {
    let mut place = Place::new();
    place.limit_files(256);
    let server = place.serve().await;
    let keys = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut buffer = [0; 16_384];
    for round in 0..3 {
        let begin = |_| {
            let mut stream = connect(place.port);
            stream.write_all(keys.as_bytes()).unwrap();
            stream
        };
        let mut there: Vec<TcpStream> = (0..150).map(begin).collect();
        for stream in &mut there[..90] {
            assert!(stream.read(&mut buffer).unwrap() > 0, "round {round}");
        }
        for _ in 0..20 {
            assert_eq!(server.management("/readyz").unwrap().status, 200, "round {round}");
        }
        // Whoever waited is let in as others go.
        let mut last = there.pop().unwrap();
        drop(there);
        assert!(last.read(&mut buffer).unwrap() > 0, "round {round}");
    }
    assert_eq!(server.get("/.well-known/jwks.json").unwrap().status, 200);
    let log = server.log();
    assert!(log.contains("connections.max"), "{log}");
    assert!(!log.contains("could not be accepted"), "there was always a descriptor: {log}");
}

/// RL-09: that nobody is limited is said at the start.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_general_limit_it_says_so() {
    let mut place = Place::new();
    let quiet = place.serve().await;
    assert!(!quiet.log().contains("rate_limits.enabled"), "{}", quiet.log());
    drop(quiet);
    place.set("RATE_LIMIT_ENABLED", "false");
    let server = place.serve().await;
    assert!(server.log().contains("rate_limits.enabled"), "{}", server.log());
    for _ in 0..70 {
        assert_eq!(server.get("/nowhere").unwrap().status, 404);
    }
}

/// Certificates that are not there are named before anything else begins.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_not_there_are_named() {
    let mut place = Place::new();
    place.set("KEYWRIGHT_SERVER__ISSUER", "https://localhost:8443");
    place.set("KEYWRIGHT_SERVER__TLS_CERTIFICATE_FILE", "nowhere.pem");
    place.set("KEYWRIGHT_SERVER__TLS_KEY_FILE", "nowhere-either.pem");
    place.run(&["serve"]).failed(78, &["server.tls_certificate_file", "nowhere.pem"]);
    assert!(!place.path("data").exists(), "nothing was begun");
}
