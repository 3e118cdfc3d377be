//! Mail: what is said, and how it leaves (`[mail]`).
//!
//! A mail is written when it is queued, in the caller's transaction, and sealed, because it holds
//! links that open accounts. A job hands it to the mail server later: nobody waits for that, and
//! whether somebody has an account cannot be told by how long an answer took. Links are built from
//! the issuer only (RC-01); what people have typed stands in the body and never in a header (RC-03).

mod carrier;
mod fault;
mod letter;
mod link;
mod message;
mod outbox;
mod page;
mod plain;
mod smtp;

pub use carrier::Carrier;
pub use fault::{Fault, Stage};
pub use letter::Letter;
pub use link::Link;
pub use message::Message;
pub use outbox::{Mail, Queued};
pub use page::Shown;
pub use plain::{masked, masked_in};
