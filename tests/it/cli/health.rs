//! `keywright health`: what a container's health check and a chart's test ask.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use super::program::Place;

#[tokio::test(flavor = "multi_thread")]
async fn it_says_whether_the_server_is_ready() {
    let place = Place::new();
    let management = place.management_port.to_string();
    place.run(&["health"]).failed(1, &["does not answer", &management, "management_listen"]);
    assert!(!place.path("data").exists(), "who only asks makes nothing");
    let mut server = place.serve().await;
    assert_eq!(place.run(&["health"]).ok().out, "The server is ready.\n");

    // While it finishes what it has begun, it is not for new requests.
    let mut slow = TcpStream::connect(("127.0.0.1", place.port)).unwrap();
    let head = "POST /token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/x-www-form-urlencoded\r\ncontent-length: 1\r\n\r\n";
    slow.write_all(head.as_bytes()).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    server.signal("TERM");
    while server.management("/readyz").unwrap().status == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    place.run(&["health"]).failed(1, &["not ready", "503", "\"stopping\":true"]);
    slow.write_all(b"x").unwrap();
    slow.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    place.run(&["health"]).failed(1, &["does not answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_whether_an_address_is_the_issuer() {
    let mut place = Place::new();
    let _server = place.serve().await;
    let at = format!("localhost:{}", place.port);
    let said = place.run(&["health", "--at", &at]).ok().out;
    assert_eq!(said, format!("{at} is http://localhost:8080 and publishes 3 keys.\n"));

    // The management listener has nothing for apps.
    let management = format!("localhost:{}", place.management_port);
    place.run(&["health", "--at", &management]).failed(1, &["openid-configuration", "404"]);
    place.run(&["health", "--at", "localhost:1"]).failed(1, &["localhost:1 does not answer"]);
    place.run(&["health", "--at", "localhost"]).failed(1, &["localhost does not answer"]);

    // Whose tokens name somebody else is not this issuer.
    place.set("KEYWRIGHT_SERVER__ISSUER", "http://localhost:8081");
    let other = "\"http://localhost:8080\", and not \"http://localhost:8081\"";
    place.run(&["health", "--at", &at]).failed(1, &[other, "server.issuer"]);
    // Who is told the name needs no configuration.
    place.set("KEYWRIGHT_SERVER__ISSUER", "id.example.org");
    place.run(&["health", "--at", &at]).failed(78, &["server.issuer"]);
    let asking = ["health", "--at", &at, "--issuer"];
    let told = |issuer| place.run(&[&asking[..], &[issuer]].concat());
    assert_eq!(told("http://localhost:8080").ok().out, said);
    told("https://id.example.org").failed(1, &["and not \"https://id.example.org\""]);
    place.run(&["health", "--issuer", "https://id.example.org"]).failed(2, &["--at"]);
}

/// Whoever answers nothing, or nonsense, is not healthy either.
#[test]
fn what_is_no_answer_is_not_taken_for_one() {
    let place = Place::new();
    for (said, complaint) in [
        ("SSH-2.0-x\r\n\r\n", "no HTTP"),
        ("HTTP/1.0 200 OK\r\n\r\nhello", "no JSON"),
        ("HTTP/1.0 302 Found\r\nlocation: /\r\n\r\n", "status 302"),
        ("", "no HTTP"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(said.as_bytes());
        });
        place.run(&["health", "--at", &at]).failed(1, &[&at, complaint]);
        answering.join().unwrap();
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    place.run(&["health", "--at", &at]).failed(1, &[&at, "within 4 s"]);
}
