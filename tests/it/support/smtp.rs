//! A mail server that takes what it is given, speaks TLS where it should, and misbehaves when told to.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::ssl::SslAcceptor;

use super::received::Received;
use crate::upstream::transport::{acceptor, self_signed};

/// What happens at a line instead of what should.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// It says this.
    Say(&'static str),
    /// It says nothing until the client goes.
    Hang,
    /// It closes the connection.
    Drop,
    /// It takes the mail and closes without a word.
    TakeAndDrop,
    /// It takes the mail and says nothing until the client goes.
    TakeAndHang,
}

type React = Box<dyn Fn(&str) -> Option<Reaction> + Send>;

/// How it is secured, and who may log in.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    /// It offers STARTTLS.
    pub(crate) starttls: bool,
    /// It speaks TLS from the start.
    pub(crate) implicit: bool,
    /// Who may send; everybody, if nobody is named.
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// The mechanisms that it offers.
    pub(crate) mechanisms: &'static str,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// Everything that clients said, before TLS and under it.
    plain: Mutex<Vec<String>>,
    secret: Mutex<Vec<String>>,
    react: Mutex<Option<React>>,
}

/// A mail server on a loopback port.
pub(crate) struct SmtpReceiver {
    pub(crate) port: u16,
    /// Its certificate in PEM, which it has signed itself, for `localhost`.
    pub(crate) certificate: String,
    shared: Arc<Shared>,
}

impl SmtpReceiver {
    /// One without TLS and login.
    pub(crate) fn start() -> Self {
        Self::with(Manner::default())
    }

    pub(crate) fn with(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (key, certificate) = self_signed();
        let acceptor = Arc::new(acceptor(&key, &certificate));
        let certificate = String::from_utf8(certificate.to_pem().unwrap()).unwrap();
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        // The threads end with the process at the latest.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, manner) = (Arc::clone(&own), manner.clone());
                let acceptor = Arc::clone(&acceptor);
                std::thread::spawn(move || {
                    let talk = Talk::begin(stream, &acceptor, manner, shared);
                    talk.and_then(|mut talk| talk.go_on(&acceptor))
                });
            }
        });
        Self { port, certificate, shared }
    }

    /// Misbehaves from now on. It is asked at each line: `CONNECT`, the commands, and `.` at the end
    /// of a mail.
    pub(crate) fn react(&self, react: impl Fn(&str) -> Option<Reaction> + Send + 'static) {
        *self.shared.react.lock().unwrap() = Some(Box::new(react));
    }

    /// Behaves again.
    pub(crate) fn behave(&self) {
        *self.shared.react.lock().unwrap() = None;
    }

    /// What it has taken so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// What clients said before TLS, and under it.
    pub(crate) fn heard(&self) -> (Vec<String>, Vec<String>) {
        (self.shared.plain.lock().unwrap().clone(), self.shared.secret.lock().unwrap().clone())
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

struct Talk {
    stream: Box<dyn Stream>,
    /// The connection under TLS, to turn to it.
    below: TcpStream,
    tls: bool,
    manner: Manner,
    shared: Arc<Shared>,
    user: Option<String>,
}

/// The conversation is over; why is nobody's concern here.
type Going = Option<()>;

impl Talk {
    fn begin(
        stream: TcpStream,
        acceptor: &SslAcceptor,
        manner: Manner,
        shared: Arc<Shared>,
    ) -> Option<Self> {
        let below = stream.try_clone().ok()?;
        let tls = manner.implicit;
        let stream: Box<dyn Stream> =
            if tls { Box::new(acceptor.accept(stream).ok()?) } else { Box::new(stream) };
        Some(Self { stream, below, tls, manner, shared, user: None })
    }

    fn go_on(&mut self, acceptor: &SslAcceptor) -> Going {
        self.answer("CONNECT", "220 mx.test ESMTP")?;
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            let line = self.line()?;
            let heard = if self.tls { &self.shared.secret } else { &self.shared.plain };
            heard.lock().unwrap().push(line.clone());
            let verb = line.split(' ').next().unwrap().to_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let said = self.extensions();
                    self.answer(&line, &said)?;
                }
                "STARTTLS" => {
                    self.answer(&line, "220 go ahead")?;
                    let below = self.below.try_clone().ok()?;
                    self.stream = Box::new(acceptor.accept(below).ok()?);
                    self.tls = true;
                }
                "AUTH" => self.log_in(&line)?,
                "MAIL" if self.manner.login.is_some() && self.user.is_none() => {
                    self.answer(&line, "530 5.7.0 authentication required")?;
                }
                "MAIL" => {
                    line.clone_into(&mut from);
                    self.answer(&line, "250 ok")?;
                }
                "RCPT" => {
                    to.push(line.clone());
                    self.answer(&line, "250 ok")?;
                }
                "DATA" => {
                    self.answer(&line, "354 go on")?;
                    self.take(&from, std::mem::take(&mut to))?;
                }
                "QUIT" => return self.answer(&line, "221 bye"),
                _ => self.answer(&line, "502 what?")?,
            }
        }
    }

    fn extensions(&self) -> String {
        let mut said = vec!["mx.test".to_owned(), "8BITMIME".to_owned()];
        if self.manner.starttls && !self.tls {
            said.push("STARTTLS".to_owned());
        }
        if self.manner.login.is_some() && !self.manner.mechanisms.is_empty() {
            said.push(format!("AUTH {}", self.manner.mechanisms));
        }
        let last = said.len() - 1;
        let lines = said.iter().enumerate();
        let lines =
            lines.map(|(n, line)| format!("250{}{line}", if n == last { " " } else { "-" }));
        lines.collect::<Vec<_>>().join("\r\n")
    }

    fn log_in(&mut self, line: &str) -> Going {
        let decoded = |text: &str| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
        let said: Vec<String> = if let Some(given) = line.strip_prefix("AUTH PLAIN ") {
            decoded(given).split('\0').skip(1).map(str::to_owned).collect()
        } else {
            self.say("334 VXNlcm5hbWU6")?;
            let user = self.line()?;
            self.say("334 UGFzc3dvcmQ6")?;
            vec![decoded(&user), decoded(&self.line()?)]
        };
        let (user, password) = self.manner.login.unwrap();
        if said == [user, password] {
            self.user = Some(user.to_owned());
            return self.answer("AUTH", "235 welcome");
        }
        self.answer("AUTH", "535 5.7.8 authentication credentials invalid")
    }

    /// Reads a mail up to its end, and undoes the doubled dots (RFC 5321 §4.5.2).
    fn take(&mut self, from: &str, to: Vec<String>) -> Going {
        let (mut data, mut raw) = (String::new(), String::new());
        loop {
            let line = self.line()?;
            raw.push_str(&line);
            raw.push_str("\r\n");
            if line == "." {
                break;
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push_str("\r\n");
        }
        let reaction = self.reaction(".");
        let taken = matches!(reaction, None | Some(Reaction::TakeAndDrop | Reaction::TakeAndHang));
        if taken {
            let (tls, user) = (self.tls, self.user.clone());
            let received = Received { from: from.to_owned(), to, data, raw, tls, user };
            self.shared.received.lock().unwrap().push(received);
        }
        match reaction {
            Some(reaction) => self.do_instead(&reaction),
            None => self.say("250 taken"),
        }
    }

    fn reaction(&self, line: &str) -> Option<Reaction> {
        self.shared.react.lock().unwrap().as_ref().and_then(|react| react(line))
    }

    fn answer(&mut self, line: &str, usual: &str) -> Going {
        match self.reaction(line) {
            Some(reaction) => self.do_instead(&reaction),
            None => self.say(usual),
        }
    }

    fn do_instead(&mut self, reaction: &Reaction) -> Going {
        match reaction {
            Reaction::Say(said) => self.say(said),
            Reaction::Hang | Reaction::TakeAndHang => {
                while self.stream.read(&mut [0; 64]).ok()? > 0 {}
                None
            }
            Reaction::Drop | Reaction::TakeAndDrop => None,
        }
    }

    fn say(&mut self, text: &str) -> Going {
        self.stream.write_all(format!("{text}\r\n").as_bytes()).ok()?;
        self.stream.flush().ok()
    }

    fn line(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n") {
            if self.stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            bytes.push(byte[0]);
        }
        bytes.truncate(bytes.len() - 2);
        String::from_utf8(bytes).ok()
    }
}
