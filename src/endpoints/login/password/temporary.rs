//! A right password that somebody else knows (PW-19): it begins no session and opens nothing but the
//! page on which its owner chooses another one.

use axum::response::Response;

use super::arriving::Arriving;
use crate::{
    accounts::{
        one_time_links::{self, NewLink, OpenedLink},
        recovery,
    },
    audit::Event,
    dispatcher::password,
    foundation::opaque::Opaque,
    interactions::{self, Interaction},
    store::{
        StoreError, StoreResult, audit_events, one_time_links::LinkPurpose, users, users::User,
    },
    urls::path,
    web::{error::PageError, opened_link, pages::see_other},
};

impl Arriving<'_> {
    /// Off to that page; nothing, if the password has been replaced meanwhile.
    pub(super) async fn choose_another(
        &self,
        interaction: &mut Interaction,
        user: &User,
    ) -> Result<Option<Response>, PageError> {
        let app = self.app;
        let secret = one_time_links::secret(app.random());
        interaction.note(self.now, format!("{} gave a temporary password", user.username));
        if !self.keep_link(interaction, user, &secret).await? {
            return Ok(None);
        }
        interactions::put(&app.state, interaction).await?;
        let mut opened = OpenedLink::opened(&self.mark.digest(), &secret);
        opened.flow = Some(interaction.flow.clone());
        let name = opened.keep(&app.state, app.random()).await?;
        Ok(Some(see_other(&format!("{}?{}={name}", path::RECOVERY, opened_link::LINK))))
    }

    /// As if an administrator had made the link just now.
    async fn keep_link(
        &self,
        interaction: &Interaction,
        user: &User,
        secret: &Opaque,
    ) -> StoreResult<bool> {
        let (app, now, user) = (self.app, self.now, &user.id);
        let life = recovery::LIFE;
        let link = NewLink { purpose: LinkPurpose::Recover, user, email: None, life };
        let event = Event::refused("sign_in", "password_temporary").user(user);
        let event = event.trace(&interaction.trace_id).address(self.from.to_string());
        let event = event.detail("story", interaction.story()).row(now, app.random());
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let held = users::hold_alone(conn, user).await?;
                if !held.is_some_and(|user| password::has_password(&user, self.hash)) {
                    return Ok(false);
                }
                link.keep(conn, secret, now).await?;
                audit_events::insert(conn, &event).await?;
                Ok::<_, StoreError>(true)
            })
            .await
    }
}
