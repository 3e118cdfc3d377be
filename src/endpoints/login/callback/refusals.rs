//! What a person reads who came back from an upstream in vain, and what is kept about it.

use axum::http::StatusCode;

use super::Arriving;
use crate::{
    accounts::invitations::Useless,
    audit::Event,
    dispatcher::with_way_on,
    federation::{
        ACR_TOO_LOW, FaultKind, UpstreamFault,
        gates::{Refusal, Wants},
    },
    web::{error::PageError, flow},
};

const NOT_OUR_DOMAIN: &str = "Your e-mail address there is not verified, or not one of ours.";

impl Arriving<'_> {
    /// What is kept about a refusal.
    pub(super) fn event(&self, reason: &'static str) -> Event {
        let (slug, interaction) = (self.upstream.slug(), &self.departure.interaction);
        if !interaction.is_link() {
            self.app.metrics.count_refused_sign_in(slug.as_str(), reason);
        }
        let event = Event::refused(interaction.action(), reason).upstream(slug);
        event.detail("story", interaction.story())
    }

    /// As part of this story, which can go on.
    pub(super) fn told(&self, error: PageError) -> PageError {
        self.with_story(error, "Try again")
    }

    /// As part of this story, with the way on.
    pub(super) fn with_story(&self, page: PageError, label: &str) -> PageError {
        let interaction = &self.departure.interaction;
        with_way_on(page, interaction, label).trace(&interaction.trace_id)
    }

    /// The upstream did not say who it is.
    pub(super) fn page(&self, fault: &UpstreamFault) -> PageError {
        let name = &self.upstream.settings.name;
        let explanation = match (fault.reason, fault.kind) {
            ("upstream_refused", _) => format!(
                "{name} did not sign you in. You may have cancelled, or your account may lack \
                 access there."
            ),
            (ACR_TOO_LOW, _) => format!(
                "{name} signed you in, but by a weaker proof than is asked for here, such as a \
                 password without a second factor."
            ),
            ("upstream_slow", _) => {
                format!("{name} is slow at the moment: it did not answer in time.")
            }
            ("id_token_expired" | "id_token_issued_at" | "id_token_not_yet_valid", _) => format!(
                "{name} answered, but by its clock at another time than it is here. The administrator \
                 has to set one of the two clocks."
            ),
            (_, FaultKind::Unavailable) => format!("{name} did not answer as it should."),
            (_, FaultKind::NotInvited) => format!(
                "{name} knows you, but only members of certain organisations may come in this way."
            ),
            (_, FaultKind::Unacceptable) => {
                format!("{name} answered in a way that cannot be trusted.")
            }
        };
        let event = self.event(fault.reason).detail("what", fault.detail.as_str());
        let (heading, next) = if self.departure.interaction.is_link() {
            ("Nothing was linked", "Try again from your account.")
        } else {
            ("You are not signed in", "Try again, or choose another way to sign in.")
        };
        let page = PageError::new(fault.reason, heading, explanation).next_step(next);
        self.told(page.event(event))
    }

    /// The account is shut.
    pub(super) fn account_unavailable(&self) -> PageError {
        let event = self.event("account_disabled");
        let explanation = "You are known here, but your account has been shut.";
        let page = PageError::new("account_disabled", "Your account is not available", explanation)
            .next_step("Ask your administrator.")
            .event(event);
        self.with_story(page, "Choose another way")
    }

    /// The person is unknown and may not have an account.
    pub(super) fn no_account(&self, refusal: &Refusal) -> PageError {
        let name = &self.upstream.settings.name;
        let (reason, why) = match refusal.wants {
            Wants::OpenSignup | Wants::Claim => {
                ("signup_closed", "New accounts are by invitation.")
            }
            Wants::Domain => ("signup_domain", NOT_OUR_DOMAIN),
            Wants::Group => ("signup_group", "You are not in a group there that may have one."),
        };
        let explanation = format!("{name} signed you in, but you have no account here. {why}");
        let event = self.event(reason).detail("what", refusal.what.as_str());
        self.turned_away(event, reason, "There is no account for you here yet", explanation)
    }

    /// The person is unknown, and their invitation is of no use.
    pub(super) fn invitation_useless(&self, useless: Useless) -> PageError {
        let page = flow::useless_invitation(useless);
        self.with_story(page.event(self.event(useless.reason())), "Sign in with another account")
    }

    /// The person is unknown, and their invitation is for somebody else (LK-17).
    pub(super) fn invited_at_another_address(&self) -> PageError {
        let name = &self.upstream.settings.name;
        let explanation = format!(
            "{name} signed you in, but with another address than the one that was invited, or none."
        );
        let reason = "invitation_other_address";
        let page = PageError::new(reason, "This invitation is for somebody else", explanation)
            .status(StatusCode::UNPROCESSABLE_ENTITY)
            .next_step("Sign in with the account of that address, or ask whoever invited you.")
            .event(self.event(reason));
        self.with_story(page, "Sign in with another account")
    }

    /// Nobody like this may enter through the upstream.
    pub(super) fn not_admitted(&self, refusal: &Refusal) -> PageError {
        let name = &self.upstream.settings.name;
        let (reason, why) = match refusal.wants {
            Wants::Claim | Wants::OpenSignup => {
                ("not_admitted_claim", "Your account there is not of a kind that may.")
            }
            Wants::Domain => ("not_admitted_domain", NOT_OUR_DOMAIN),
            Wants::Group => ("not_admitted_group", "You are not in a group there that may."),
        };
        let explanation =
            format!("{name} signed you in, but you may not enter here with it. {why}");
        let event = self.event(reason).detail("what", refusal.what.as_str());
        self.turned_away(event, reason, "You may not enter here", explanation)
    }

    fn turned_away(
        &self,
        event: Event,
        reason: &'static str,
        title: &'static str,
        why: String,
    ) -> PageError {
        let page = PageError::new(reason, title, why)
            .status(StatusCode::FORBIDDEN)
            .next_step("Ask your administrator for access.")
            .event(event);
        self.with_story(page, "Choose another way")
    }
}
