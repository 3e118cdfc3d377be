//! What an upstream's words about a proof mean here, and which of its words ask for a level.

use super::{fault::UpstreamFault, upstream::Asserted};
use crate::{
    config::{AcrTrust, UpstreamSettings},
    protocol::acr::Level,
};

/// Why a sign-in that was not good enough is refused.
pub const ACR_TOO_LOW: &str = "upstream_acr_too_low";

/// What everybody means by these, whatever the administrator says of others.
const WELL_KNOWN: [(&str, Level); 4] = [
    ("phrh", Level::PhishingResistant),
    ("https://refeds.org/profile/mfa", Level::MultiFactor),
    ("https://refeds.org/profile/sfa", Level::SingleFactor),
    ("http://schemas.openid.net/pape/policies/2007/06/multi-factor", Level::MultiFactor),
];

/// The level of a sign-in there. An `acr` that is known decides alone; otherwise the methods do.
pub(super) fn level(settings: &UpstreamSettings, acr: Option<&str>, amr: &[String]) -> Level {
    if settings.acr_trust == AcrTrust::Never {
        return Level::SingleFactor;
    }
    let said = acr.and_then(|word| meaning(settings, word));
    said.unwrap_or_else(|| Level::of_methods(amr))
}

fn meaning(settings: &UpstreamSettings, word: &str) -> Option<Level> {
    let well_known = || {
        let found = WELL_KNOWN.iter().find(|(known, _)| *known == word);
        found.map(|(_, level)| *level).or_else(|| Level::from_word(word))
    };
    settings.acr.get(word).or_else(well_known)
}

/// The `acr_values` that ask for a level there: the words that mean it or more, the lowest first.
/// Where no word is known, what the administrator always asks for; where nothing is said at all, our
/// own words. Nobody has to understand them (OIDC Core §3.1.2.1).
pub(super) fn acr_values(settings: &UpstreamSettings, wanted: Option<Level>) -> Option<String> {
    let wanted = wanted.max(settings.require_acr);
    let words = wanted.map(|level| settings.acr.words_from(level)).unwrap_or_default();
    if !words.is_empty() {
        return Some(words.join(" "));
    }
    let own = || {
        let enough = Level::ALL.iter().filter(|level| Some(**level) >= wanted);
        enough.map(|level| level.as_str()).collect::<Vec<_>>().join(" ")
    };
    let own = wanted.filter(|_| settings.acr.is_empty()).map(|_| own());
    settings.acr_values.clone().or(own)
}

/// The sign-in there was as good as it has to be (UP-32).
pub(super) fn check(settings: &UpstreamSettings, asserted: &Asserted) -> Result<(), UpstreamFault> {
    let Some(least) = settings.require_acr.filter(|least| asserted.level < *least) else {
        return Ok(());
    };
    let Asserted { level, acr, amr, .. } = asserted;
    let detail = format!("{least} is required, and acr {acr:?} with amr {amr:?} means {level}");
    Err(UpstreamFault::unacceptable(ACR_TOO_LOW, detail))
}
