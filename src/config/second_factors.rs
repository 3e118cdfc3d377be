//! `[second_factors]`: what people prove besides a password.

use super::{problems::Problems, values::word_setting};
use crate::foundation::clock::Span;

text_enum! {
    /// Whether people may set up codes of an authenticator app.
    TotpEnrolment {
        /// Whoever likes.
        On = "on",
        /// Nobody new. Who has set them up before is still asked.
        Off = "off",
    }
}
text_enum! {
    /// Whether passkeys are taken.
    PasskeyUse {
        /// They are, where accounts of our own sign in.
        On = "on",
        /// Neither new ones nor those that there are.
        Off = "off",
    }
}
word_setting!(PasskeyUse, TotpEnrolment);

section! {
    /// What people prove besides a password.
    pub struct SecondFactorSettings {
        /// Whether people may set up codes of an authenticator app (RFC 6238). Who has done so
        /// before is asked for them in any case.
        totp: TotpEnrolment = TotpEnrolment::On,
        /// Whether people may add passkeys and sign in with them. Browsers make them for an issuer
        /// with a name, not for an IP address, and bind them to it for ever.
        passkeys: PasskeyUse = PasskeyUse::On,
        /// Members of one of these groups must prove two factors. Who has no second one sets it up
        /// while signing in. For an app it is `require_acr = "mfa"` that says so.
        required_for_groups: Vec<String> = Vec::new(),
        /// For how long a browser is not asked for a code again, where the person wants that. It
        /// never counts where an app or a group requires two factors, nor for a new proof. `"0s"`
        /// offers it to nobody.
        remember_for: Span = Span::from_days(30),
    }
}

impl SecondFactorSettings {
    /// Whether somebody with these groups must prove two factors.
    pub fn required_for(&self, groups: &[String]) -> bool {
        self.required_for_groups.iter().any(|group| groups.contains(group))
    }

    /// Whether somebody may set up codes.
    pub fn can_be_set_up(&self) -> bool {
        self.totp == TotpEnrolment::On
    }

    /// Whether passkeys are taken.
    pub fn takes_passkeys(&self) -> bool {
        self.passkeys == PasskeyUse::On
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let most = Span::from_days(90);
        if self.remember_for > most {
            let fix = format!("must be at most \"{most}\"");
            problems.add("second_factors.remember_for", self.remember_for, fix);
        }
        let groups = "second_factors.required_for_groups";
        if self.required_for_groups.iter().any(|group| group.trim().is_empty()) {
            problems.add_bare(groups, "must not hold an empty name; leave it out");
        }
        if !self.required_for_groups.is_empty() && !self.can_be_set_up() {
            let fix = "would shut out everybody who has no second factor yet; \
                       set second_factors.totp = \"on\"";
            problems.add_bare(groups, fix);
        }
    }
}
