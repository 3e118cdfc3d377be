//! Whether the mail server takes mail from here.

use crate::{
    config::Config,
    federation::Finding,
    mail::{Carrier, Fault, Stage},
};

const CHECK: &str = "mail";

/// Connects, turns to TLS and logs in, as for a mail; sends nothing.
pub(super) async fn examine(config: &Config) -> Finding {
    let carrier = match Carrier::new(config) {
        Ok(carrier) => carrier,
        Err(error) => return Finding::fail(CHECK, format!("{error:#}"), "mend the section [mail]"),
    };
    let Some(server) = &config.mail.url else {
        return match config.mail.sink {
            Some(sink) => {
                let fix = "for people to get mail, set mail.url instead";
                Finding::warn(CHECK, format!("it is shown and not sent (\"{sink}\")"), fix)
            }
            None => Finding::pass(CHECK, "there is none: what needs it is not offered"),
        };
    };
    match carrier.check().await {
        Ok(()) => {
            let (host, port) = (&server.host, server.port);
            let what = format!("{host}:{port} lets us in; to see one arrive: keywright mail test");
            Finding::pass(CHECK, what)
        }
        Err(fault) => Finding::fail(CHECK, fault.to_string(), fix(&fault)),
    }
}

const fn fix(fault: &Fault) -> &'static str {
    match fault.stage {
        Stage::StartTls => "compare mail.url: smtps:// for port 465; or name its ca_file",
        Stage::Login => "compare the user in mail.url and the password",
        Stage::Sender => "compare mail.from with what the user may send as",
        Stage::Writing | Stage::Connecting | Stage::Recipient | Stage::Content => {
            "look at name, port and certificate (ca_file) of mail.url, and at the firewall"
        }
    }
}
