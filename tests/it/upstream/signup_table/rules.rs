//! The rules of the sign-up table, as they are written down, and everything that they speak of.

use serde_json::{Value, json};

/// Who may have an account: by the toggle, or by the upstream's own rule, which goes before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Door {
    Open,
    Closed,
    Invite,
    /// Verified addresses of a domain, although everybody else may.
    OfDomain,
    /// Members of a group, although nobody else may.
    OfGroup,
}

pub(super) const DOORS: [Door; 5] =
    [Door::Open, Door::Closed, Door::Invite, Door::OfDomain, Door::OfGroup];

/// What `email_trust` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trust {
    Claim,
    /// The claim, where `email_verified_as` lets it be written otherwise too.
    Loosely,
    Always,
    Never,
}

/// What the administrator has decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) door: Door,
    pub(super) trust: Trust,
    pub(super) links: bool,
}

/// Who has the person's address here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum There {
    Nobody,
    /// A local account, whose address is verified.
    Verified,
    /// A local account, whose address is not.
    Unverified,
}

/// A person who comes.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// `email_verified`, which may be absent.
    pub(super) flag: Option<Value>,
    pub(super) there: There,
    pub(super) known: bool,
    /// Whether they have the domain and the group of the rules.
    pub(super) within: bool,
}

/// What becomes of them.
#[derive(Debug, PartialEq)]
pub(super) enum Arrival {
    /// They are in, in the account that they have had before.
    Own,
    /// They are linked to the account of their address, and in.
    Linked,
    /// They have a new account, with an address that is verified, that is not, or of which nobody knows.
    New(Option<bool>),
    /// Nobody like this gets an account, for this reason.
    Refused(&'static str),
}

/// The rules, as they are written down.
pub(super) fn expected(setting: Setting, case: &Case) -> Arrival {
    // Silence is no word, and only the JSON value `true` is a yes, unless others were declared to be.
    let verified = match (setting.trust, &case.flag) {
        (Trust::Always, _) => Some(true),
        (Trust::Never, _) => Some(false),
        (_, None | Some(Value::Null)) => None,
        (Trust::Claim, Some(flag)) => Some(*flag == json!(true)),
        (Trust::Loosely, Some(flag)) => {
            Some([json!(true), json!("true"), json!(1), json!("1")].contains(flag))
        }
    };
    // Known identities sign in, always, whatever toggles and addresses say.
    if case.known {
        return Arrival::Own;
    }
    // Both sides have verified the address, and the administrator trusts this upstream for it. That
    // is about an account that is there, and so nothing that a closed door forbids.
    if setting.links && verified == Some(true) && case.there == There::Verified {
        return Arrival::Linked;
    }
    match setting.door {
        Door::Closed | Door::Invite => Arrival::Refused("signup_closed"),
        Door::OfDomain if !(case.within && verified == Some(true)) => {
            Arrival::Refused("signup_domain")
        }
        Door::OfGroup if !case.within => Arrival::Refused("signup_group"),
        Door::Open | Door::OfDomain | Door::OfGroup => Arrival::New(verified),
    }
}

impl Setting {
    pub(super) fn toggle(self) -> &'static str {
        match self.door {
            Door::Open | Door::OfDomain => "open",
            Door::Closed | Door::OfGroup => "closed",
            Door::Invite => "invite",
        }
    }

    pub(super) fn lines(self) -> String {
        let trust = match self.trust {
            Trust::Claim | Trust::Loosely => "claim",
            Trust::Always => "always",
            Trust::Never => "never",
        };
        let rule = match self.door {
            Door::OfDomain => "signup = { domains = [\"corp.test\"] }\n",
            Door::OfGroup => "signup = { groups = [\"staff\"] }\n",
            Door::Open | Door::Closed | Door::Invite => "",
        };
        let form = if self.trust == Trust::Loosely { "loose" } else { "boolean" };
        let links = self.links;
        format!(
            "groups = {{ claim = \"groups\" }}\nemail_trust = {trust:?}\n\
             email_verified_as = {form:?}\nlink_verified_email = {links}\n{rule}"
        )
    }

    pub(super) fn cases(self) -> Vec<Case> {
        let plain = [json!(true), json!(false), json!("true"), json!("false")].map(Some);
        // How else it is written matters most where it links, and to nobody who is known.
        let odd = [json!(1), json!("1"), json!(null), json!([])].map(Some);
        let odd = odd.into_iter().take(if self.links { 4 } else { 0 }).map(|flag| (flag, true));
        let plain = plain.into_iter().chain([None]).map(|flag| (flag, false));
        let ruled = matches!(self.door, Door::OfDomain | Door::OfGroup);
        let mut cases = Vec::new();
        for (flag, is_odd) in plain.chain(odd) {
            for there in [There::Nobody, There::Verified, There::Unverified] {
                for known in [false, true].into_iter().take(if is_odd { 1 } else { 2 }) {
                    for within in [true, false].into_iter().take(if ruled { 2 } else { 1 }) {
                        cases.push(Case { flag: flag.clone(), there, known, within });
                    }
                }
            }
        }
        cases
    }
}
