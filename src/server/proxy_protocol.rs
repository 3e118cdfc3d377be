//! The PROXY protocol: a load balancer that passes on connections, and not requests, says before the
//! first byte for whom each one is. Versions 1 (a line) and 2 (binary).
//!
//! It is believed of `server.trusted_proxies` alone, and has to be there: nobody guesses whether it
//! is. Exactly what belongs to it is read; the rest is the client's.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What version 2 begins with, as long as the shortest beginning of version 1.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const MAX_LINE: usize = 107;
/// The longest rest of version 2: addresses, and what else the proxy knows.
const MAX_REST: usize = 4_096;

/// For whom the connection is; nothing if the proxy speaks for itself, or does not know.
pub(super) async fn read<S>(stream: &mut S) -> io::Result<Option<SocketAddr>>
where
    S: AsyncRead + Unpin,
{
    let mut first = [0; SIGNATURE.len()];
    stream.read_exact(&mut first).await?;
    if first == SIGNATURE { read_binary(stream).await } else { read_line(stream, &first).await }
}

async fn read_line<S>(stream: &mut S, first: &[u8]) -> io::Result<Option<SocketAddr>>
where
    S: AsyncRead + Unpin,
{
    let mut line = first.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= MAX_LINE || !line.starts_with(b"PROXY ") {
            return Err(malformed());
        }
        line.push(stream.read_u8().await?);
    }
    let line = std::str::from_utf8(&line).map_err(|_ascii| malformed())?;
    let words: Vec<&str> = line.trim_end_matches("\r\n").split(' ').collect();
    match *words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", "TCP4", from, to, from_port, to_port] => {
            let from = both::<Ipv4Addr>(from, to).map(IpAddr::V4);
            with_port(from, from_port, to_port)
        }
        ["PROXY", "TCP6", from, to, from_port, to_port] => {
            let from = both::<Ipv6Addr>(from, to).map(IpAddr::V6);
            with_port(from, from_port, to_port)
        }
        _ => Err(malformed()),
    }
}

/// The first of two addresses of one family.
fn both<T: std::str::FromStr>(from: &str, to: &str) -> Option<T> {
    let _: T = to.parse().ok()?;
    from.parse().ok()
}

fn with_port(from: Option<IpAddr>, port: &str, to_port: &str) -> io::Result<Option<SocketAddr>> {
    let ports = port.parse().ok().zip(to_port.parse::<u16>().ok());
    let (from, (port, _)) = from.zip(ports).ok_or_else(malformed)?;
    Ok(Some(address(from, port)))
}

async fn read_binary<S>(stream: &mut S) -> io::Result<Option<SocketAddr>>
where
    S: AsyncRead + Unpin,
{
    let (kind, family) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_REST {
        return Err(malformed());
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    match (kind, family) {
        (0x21, 0x11) => {
            let (from, port) = (part::<4>(&rest, 0)?, part::<2>(&rest, 8)?);
            Ok(Some(address(Ipv4Addr::from(from).into(), u16::from_be_bytes(port))))
        }
        (0x21, 0x21) => {
            let (from, port) = (part::<16>(&rest, 0)?, part::<2>(&rest, 32)?);
            Ok(Some(address(Ipv6Addr::from(from).into(), u16::from_be_bytes(port))))
        }
        // The proxy's own, which looks whether we are there; and families that have no address of
        // ours: unspecified, datagrams, local sockets.
        (0x20 | 0x21, _) => Ok(None),
        _ => Err(malformed()),
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    let part = bytes.get(at..at + N).and_then(|part| part.try_into().ok());
    part.ok_or_else(malformed)
}

fn address(from: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(from.to_canonical(), port)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of these bytes, and what is left of them.
    async fn of(bytes: &[u8]) -> (Result<Option<String>, io::ErrorKind>, Vec<u8>) {
        let mut stream = bytes;
        let read = read(&mut stream).await;
        let read = read.map(|found| found.map(|address| address.to_string()));
        (read.map_err(|error| error.kind()), stream.to_vec())
    }

    fn binary(kind: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[kind, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn both_versions_are_read_and_nothing_of_what_follows() {
        let four = [[203, 0, 113, 9], [10, 0, 0, 1]].concat();
        let four = [four.as_slice(), &4_000_u16.to_be_bytes(), &443_u16.to_be_bytes()].concat();
        let mapped: Ipv6Addr = "::ffff:203.0.113.9".parse().unwrap();
        let six: Ipv6Addr = "2001:db8::9".parse().unwrap();
        let six = |from: Ipv6Addr| {
            let addresses = [from.octets(), six.octets()].concat();
            [addresses.as_slice(), &4_000_u16.to_be_bytes(), &[1, 187]].concat()
        };
        let seen = [
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 4000 443\r\n".to_vec(), Some("203.0.113.9:4000")),
            (b"PROXY TCP6 2001:db8::9 ::1 4000 443\r\n".to_vec(), Some("[2001:db8::9]:4000")),
            (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 4000 443\r\n".to_vec(), Some("203.0.113.9:4000")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ff00::1 x 1 2\r\n".to_vec(), None),
            (binary(0x21, 0x11, &four), Some("203.0.113.9:4000")),
            (
                binary(0x21, 0x11, &[four.as_slice(), &[0x20, 0, 1, 0]].concat()),
                Some("203.0.113.9:4000"),
            ),
            (binary(0x21, 0x21, &six("2001:db8::9".parse().unwrap())), Some("[2001:db8::9]:4000")),
            (binary(0x21, 0x21, &six(mapped)), Some("203.0.113.9:4000")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ];
        for (bytes, expected) in seen {
            let (read, rest) = of(&[bytes.as_slice(), b"GET /"].concat()).await;
            assert_eq!(read, Ok(expected.map(str::to_owned)), "{}", bytes.escape_ascii());
            assert_eq!(rest, b"GET /");
        }
    }

    /// RL-02: what cannot be read is nobody's word.
    #[tokio::test]
    async fn anything_else_ends_the_connection() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
        for bytes in [
            b"GET / HTTP/1.1\r\nhost: id.test\r\n\r\n".as_slice(),
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4000\r\n",
            b"PROXY TCP4 2001:db8::9 ::1 4000 443\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 400000 443\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 -1 443\r\n",
            b"PROXY TCP5 203.0.113.9 10.0.0.1 4000 443\r\n",
            b"PROXY  TCP4 203.0.113.9 10.0.0.1 4000 443\r\n",
            b"proxy TCP4 203.0.113.9 10.0.0.1 4000 443\r\n",
            long.as_bytes(),
            &binary(0x11, 0x11, &[0; 12]),
            &binary(0x22, 0x11, &[0; 12]),
            &binary(0x21, 0x11, &[0; 8]),
            &binary(0x21, 0x21, &[0; 12]),
            &binary(0x21, 0x11, &[0; 5_000]),
        ] {
            let (read, _) = of(bytes).await;
            assert_eq!(read, Err(io::ErrorKind::InvalidData), "{}", bytes.escape_ascii());
        }
        for bytes in [b"".as_slice(), b"PROXY", &SIGNATURE, b"PROXY TCP4 203.0.113.9"] {
            assert_eq!(of(bytes).await.0, Err(io::ErrorKind::UnexpectedEof));
        }
    }
}
