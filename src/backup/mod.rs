//! Backups: the whole database in one file, which either kind of database can be restored from.
//!
//! A backup is made while servers run, of one moment, and sealed under `secret_key`: whoever finds the
//! file reads nothing, and what was changed in it is not restored. Restoring is the one way by which
//! what was revoked could come back, because a backup does not know what has happened since. So every
//! row has a fate (`fates`): what can be revoked comes back ended, or not at all, and the security epoch
//! moves on. Nothing is written before the whole file was found good, and then all of it or nothing.

mod fates;
mod file;
mod making;
mod restoring;

pub use fates::{TABLES, Wishes};
pub use file::{Fault, Header};
pub use making::{Made, Making, make};
pub use restoring::{Examined, Report, Restoring, restore};
