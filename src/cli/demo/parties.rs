//! The three parties: how each is configured, started and stopped.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{
    people::{self, SamplePerson},
    place::Place,
    sample_app::{self, SampleApp},
};
use crate::{
    app::{Ambient, App},
    config::{self, Environment},
    federation::{
        HttpClient,
        client_view::{ClientView, Registration},
    },
    foundation::{
        ids::UpstreamSlug,
        random::{self, OsRandom, Random},
        secret::Secret,
    },
    jobs, router,
    server::{self, Terms},
    urls::Urls,
};

/// How long requests in flight may take at the end.
const DRAIN: Duration = Duration::from_secs(2);

const COMPANY: &str = include_str!("company.toml");
const KEYWRIGHT: &str = include_str!("keywright.toml");
const SLUG: &str = "company";
const SAMPLE_APP: &str = "sample-app";

/// The three parties, running.
pub(super) struct Parties {
    /// The provider with the sample people.
    pub(super) company: App,
    /// Keywright between the two others.
    pub(super) keywright: App,
    pub(super) app_origin: String,
    pub(super) people: Arc<Vec<SamplePerson>>,
    servers: Vec<JoinHandle<()>>,
    stopping: CancellationToken,
}

impl Parties {
    /// Starts everything and asks the sample app to look at Keywright once.
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let random = OsRandom;
        let places = tokio::try_join!(Place::find(), Place::find(), Place::find());
        let (at_company, at_keywright, at_app) = places?;
        let (company_secret, app_secret) = (secret(&random), secret(&random));
        let people = Arc::new(people::all(&random));

        let company = async {
            let settings = company_settings(&at_company, &at_keywright, &company_secret)?;
            let app = start_app(COMPANY, settings, &folder.join("company")).await?;
            people::enrol(&app, &people).await?;
            anyhow::Ok(app)
        };
        let keywright = async {
            let mut settings = keywright_settings(&at_keywright, &at_company, &company_secret);
            settings
                .extend(client_settings(&app_secret, &sample_app::redirect_uri(&at_app.origin)));
            let back = sample_app::signed_out_uri(&at_app.origin);
            settings.push(("KEYWRIGHT_CLIENTS__0__POST_LOGOUT_REDIRECT_URIS", back));
            start_app(KEYWRIGHT, settings, &folder.join("keywright")).await
        };
        let (company, keywright) = tokio::try_join!(Box::pin(company), Box::pin(keywright))?;

        let view = client_view(&at_keywright, &at_app, app_secret)?;
        let origins = (at_keywright.origin.as_str(), at_company.origin.as_str());
        let app = SampleApp::new(view, &at_app.origin, origins, Arc::clone(&people));
        let mut parties = Self {
            app_origin: at_app.origin.clone(),
            people,
            servers: Vec::new(),
            stopping: CancellationToken::new(),
            company,
            keywright,
        };
        parties.open(at_company, at_keywright, at_app, &app);
        app.look_at_provider().await?;
        Ok(parties)
    }

    /// Opens the doors.
    fn open(&mut self, company: Place, keywright: Place, at_app: Place, app: &Arc<SampleApp>) {
        let tasks = TaskTracker::new();
        let all = [
            (company, router::public(&self.company)),
            (keywright, router::public(&self.keywright)),
            (at_app, sample_app::router(app)),
        ];
        for (place, router) in all {
            for listener in place.listeners {
                let (router, stopping) = (router.clone(), self.stopping.clone());
                let terms = Terms::with(&self.keywright.config.connections);
                let served = server::serve(listener, terms, router, stopping, DRAIN);
                self.servers.push(tasks.spawn(served));
            }
        }
    }

    /// Closes the doors and waits until everybody has gone.
    pub(super) async fn stop(self) {
        self.stopping.cancel();
        self.company.stopping.cancel();
        self.keywright.stopping.cancel();
        for server in self.servers {
            if let Err(error) = server.await {
                tracing::warn!(%error, "a server ended badly");
            }
        }
        self.company.audit.flush().await;
        self.keywright.audit.flush().await;
    }
}

type Settings = Vec<(&'static str, String)>;

fn company_settings(
    own: &Place,
    keywright: &Place,
    client_secret: &Secret,
) -> anyhow::Result<Settings> {
    let issuer = config::Issuer::parse(&keywright.origin).map_err(anyhow::Error::msg)?;
    let callback = Urls::new(issuer).upstream_callback(&UpstreamSlug::new(SLUG));
    let mut settings = vec![("KEYWRIGHT_SERVER__ISSUER", own.origin.clone())];
    settings.extend(client_settings(client_secret, &callback));
    Ok(settings)
}

fn keywright_settings(own: &Place, company: &Place, client_secret: &Secret) -> Settings {
    vec![
        ("KEYWRIGHT_SERVER__ISSUER", own.origin.clone()),
        ("KEYWRIGHT_UPSTREAMS__0__ISSUER", company.origin.clone()),
        ("KEYWRIGHT_UPSTREAMS__0__CLIENT_SECRET", client_secret.expose().to_owned()),
    ]
}

fn client_settings(client_secret: &Secret, redirect_uri: &str) -> Settings {
    vec![
        ("KEYWRIGHT_CLIENTS__0__SECRET", client_secret.expose().to_owned()),
        ("KEYWRIGHT_CLIENTS__0__REDIRECT_URIS", redirect_uri.to_owned()),
    ]
}

async fn start_app(text: &str, settings: Settings, folder: &Path) -> anyhow::Result<App> {
    let database = format!("sqlite:{}", folder.join("keywright.db").display());
    let settings = settings.into_iter().chain([("DATABASE_URL", database)]);
    let environment: Environment = settings.map(|(name, value)| (name.to_owned(), value)).collect();
    let app = App::start(config::parse(text, &environment)?, Ambient::default()).await?;
    jobs::start(&app);
    Ok(app)
}

fn client_view(provider: &Place, app: &Place, secret: Secret) -> anyhow::Result<ClientView> {
    let registration = Registration {
        issuer: Url::parse(&provider.origin)?,
        client_id: SAMPLE_APP.to_owned(),
        client_secret: secret,
        redirect_uri: sample_app::redirect_uri(&app.origin),
        scope: "openid profile email groups offline_access".to_owned(),
    };
    Ok(ClientView::new(registration, HttpClient::new()?))
}

/// A secret between two parties, of this very run.
fn secret(random: &dyn Random) -> Secret {
    let bytes = random::bytes::<32>(random);
    Secret::new(crate::foundation::digest::base64url(&bytes))
}
