//! The scenarios by name: what each measures and what it should reach.

use clap::ValueEnum;

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Scenario {
    /// A static answer of the ceiling server: what HTTP alone costs.
    H0,
    /// Client credentials, ES256.
    T1,
    /// Client credentials, EdDSA.
    T2,
    /// Client credentials, RS256.
    T3,
    /// Code exchange with PKCE.
    C1,
    /// Refresh with rotation.
    R1,
    /// UserInfo.
    U1,
    /// Introspection.
    I1,
    /// JWKS.
    D2,
    /// JWKS, asked for with `If-None-Match`.
    D2n,
    /// Authorization request to the complete first login page.
    A1,
    /// Full federated login against the stub upstream, ES256 tokens.
    F1,
    /// The same with the default algorithms: an RS256 ID token.
    F1r,
    /// A sign-in with a local password, argon2id at the default parameters, ES256 tokens.
    F2,
    /// The same beside a ceiling that takes fresh memory for each hash, as the library does by itself.
    F2f,
    /// A sign-in of somebody who has a session: no page and no upstream, ES256 tokens.
    F3,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Contestant {
    /// The server of this repository.
    Keywright,
    /// The minimal server doing the same work.
    Ceiling,
    /// The npm package oidc-provider.
    Peer,
}

/// What a scenario should reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// At least this share of the ceiling's figure of the same round.
    Ratio(f64),
    /// At least so many per CPU-second, with the CPU time of Redis counted.
    PerCpuSecondWithRedis(f64),
    /// At least so many times the peer's figure of the same round, with the CPU time of Redis counted.
    TimesPeer(f64),
}

impl Scenario {
    /// Everything but the calibration.
    pub(crate) fn usual() -> Vec<Self> {
        Self::value_variants().iter().copied().filter(|scenario| *scenario != Self::H0).collect()
    }

    /// The short name used in tables.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::H0 => "H0",
            Self::T1 => "T1",
            Self::T2 => "T2",
            Self::T3 => "T3",
            Self::C1 => "C1",
            Self::R1 => "R1",
            Self::U1 => "U1",
            Self::I1 => "I1",
            Self::D2 => "D2",
            Self::D2n => "D2n",
            Self::A1 => "A1",
            Self::F1 => "F1",
            Self::F1r => "F1r",
            Self::F2 => "F2",
            Self::F2f => "F2f",
            Self::F3 => "F3",
        }
    }

    /// What is done, in a few words.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::H0 => "hello",
            Self::T1 => "client_credentials ES256",
            Self::T2 => "client_credentials EdDSA",
            Self::T3 => "client_credentials RS256",
            Self::C1 => "code exchange, PKCE",
            Self::R1 => "refresh with rotation",
            Self::U1 => "userinfo",
            Self::I1 => "introspection",
            Self::D2 => "JWKS",
            Self::D2n => "JWKS, not modified",
            Self::A1 => "authorize to login page",
            Self::F1 => "federated login, ES256",
            Self::F1r => "federated login, RS256",
            Self::F2 => "login by password, argon2id",
            Self::F2f => "the same, fresh memory",
            Self::F3 => "login by session, ES256",
        }
    }

    /// The contestants that can do it. F1r has no ceiling: it would be the RS256 signature.
    pub(crate) fn contestants(self) -> &'static [Contestant] {
        match self {
            Self::H0 => &[Contestant::Ceiling],
            Self::F1r => &[Contestant::Keywright],
            Self::F1 => &[Contestant::Keywright, Contestant::Ceiling, Contestant::Peer],
            _ => &[Contestant::Keywright, Contestant::Ceiling],
        }
    }

    /// The targets.
    pub(crate) fn goals(self) -> &'static [Goal] {
        match self {
            Self::H0 | Self::F1r => &[],
            Self::T1 | Self::T2 | Self::I1 | Self::U1 => &[Goal::Ratio(0.60)],
            Self::T3 => &[Goal::Ratio(0.90)],
            Self::C1 | Self::R1 => &[Goal::Ratio(0.50)],
            Self::D2 | Self::D2n => &[Goal::Ratio(0.85)],
            Self::A1 => &[Goal::Ratio(0.25)],
            Self::F1 => {
                &[Goal::Ratio(0.55), Goal::PerCpuSecondWithRedis(1400.0), Goal::TimesPeer(5.0)]
            }
            Self::F2 | Self::F2f => &[Goal::Ratio(0.93)],
            Self::F3 => &[Goal::Ratio(0.60), Goal::PerCpuSecondWithRedis(1400.0)],
        }
    }

    /// Whether it is a sign-in at the upstream, of one person after the other.
    pub(crate) fn signs_in(self) -> bool {
        matches!(self, Self::F1 | Self::F1r)
    }

    /// Whether it needs a login page with a form, and so a server with local accounts.
    pub(crate) fn has_form(self) -> bool {
        matches!(self, Self::A1 | Self::F2 | Self::F2f)
    }

    /// Whether missing a target of it fails the gate; the other targets are information.
    pub(crate) fn requires(self, goal: Goal) -> bool {
        match self {
            Self::T1 | Self::D2 => true,
            Self::F1 => !matches!(goal, Goal::PerCpuSecondWithRedis(_)),
            _ => false,
        }
    }
}

impl Contestant {
    /// The name used in tables.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Keywright => "keywright",
            Self::Ceiling => "ceiling",
            Self::Peer => "peer",
        }
    }
}
