//! How well a person has proved who they are: our authentication context classes (OIDC Core §2,
//! `acr`), one above the other.

text_enum! {
    /// A level of proof. What satisfies one satisfies those below it.
    Level {
        /// One factor, as far as anybody knows.
        SingleFactor = "sfa",
        /// Two factors of different kinds.
        MultiFactor = "mfa",
        /// A proof that cannot be phished (OpenID Connect EAP ACR Values §2, `phr`).
        PhishingResistant = "phr",
    }
}

impl Level {
    /// The least level that satisfies `acr_values`: any of its words will do, and words that are not
    /// ours are ignored (OIDC Core §3.1.2.1).
    pub fn least_of(acr_values: &str) -> Option<Self> {
        acr_values.split(' ').filter_map(Self::from_word).min()
    }

    /// What the methods come to (RFC 8176 §2): two kinds of factors are two factors.
    pub fn of_methods(amr: &[String]) -> Self {
        let says = |method: &str| amr.iter().any(|own| own == method);
        let kinds = KINDS.iter().filter(|kind| kind.iter().any(|method| says(method)));
        if says("mfa") || kinds.count() > 1 { Self::MultiFactor } else { Self::SingleFactor }
    }
}

/// What a person knows, has, and is (RFC 8176 §2).
const KINDS: [&[&str]; 3] = [
    &["pwd", "pin", "kba"],
    &["otp", "hwk", "swk", "sc", "sms", "tel"],
    &["face", "fpt", "iris", "retina", "vbm"],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_word_of_acr_values_will_do_and_foreign_ones_are_ignored() {
        let least = |text| Level::least_of(text);
        assert_eq!(least("mfa"), Some(Level::MultiFactor));
        assert_eq!(least("phr mfa"), Some(Level::MultiFactor));
        assert_eq!(least("urn:gold phr"), Some(Level::PhishingResistant));
        for nothing in ["", "urn:gold", "MFA", "mfa,phr", "2"] {
            assert_eq!(least(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn two_kinds_of_factors_are_two_factors() {
        let of = |methods: &[&str]| {
            Level::of_methods(&methods.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>())
        };
        for one in [&[][..], &["pwd"], &["pwd", "pin"], &["otp", "hwk"], &["user"], &["MFA"]] {
            assert_eq!(of(one), Level::SingleFactor, "{one:?}");
        }
        for two in [&["mfa"][..], &["pwd", "otp"], &["hwk", "fpt"], &["pin", "sc"]] {
            assert_eq!(of(two), Level::MultiFactor, "{two:?}");
        }
        assert!(Level::SingleFactor < Level::MultiFactor);
        assert!(Level::MultiFactor < Level::PhishingResistant);
    }
}
