//! The servers of one run, started in the order in which they need each other.

use std::{path::Path, process::Command};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::flows::{Party, Traveller, scope_of};
use crate::http::{Connection, get};
use crate::members::{self, MEMBERS};
use crate::options::Options;
use crate::prepare::Site;
use crate::scenarios::{Contestant, Scenario};
use crate::servers::{Keywright, Server, free_port, own_role};
use crate::settings::{APP, APP_ES256, CALLBACK, SECRET, Settings};
use crate::signing::{Algorithm, Signer};
use crate::startup::{self, Startup};
use crate::stores::Stores;

/// Everybody who takes part. The order of the fields is the order in which they are ended.
pub(crate) struct Field {
    ceiling: Server,
    with_page: Option<Server>,
    keywright: Option<Server>,
    peer: Option<Server>,
    _upstream: Server,
    /// Where they listen.
    pub(crate) site: Site,
    /// What starting Keywright cost.
    pub(crate) startup: Option<Startup>,
}

impl Field {
    /// Starts everybody. `folder` takes files for as long as they run.
    pub(crate) async fn start(
        options: &Options,
        stores: &Stores,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let (upstream_port, ceiling_port) = (free_port()?, free_port()?);
        let mut site = Site {
            keywright: None,
            with_page: None,
            upstream: Party::new("127.0.0.1", upstream_port),
            ceiling: Some(Party::new("localhost", ceiling_port)),
            peer: None,
        };
        let upstream = start_upstream(options, &site.upstream, upstream_port).await?;
        let (mut keywright, mut with_page, mut startup) = (None, None, None);
        if !options.ceiling_only {
            let instance = Instance::configure("main", stores, folder, upstream_port)?;
            let (cost, server) =
                startup::measure(&instance.keywright, &instance.management, options.starts).await?;
            (keywright, startup) = (Some(server), Some(cost));
            site.keywright = Some(instance.public);
            if options.scenarios().into_iter().any(Scenario::has_form) {
                let instance = Instance::configure("page", stores, folder, upstream_port)?;
                with_page = Some(instance.start_with_members().await?);
                site.with_page = Some(instance.public);
            }
        }
        write_documents(&site, folder).await?;
        // Whole sign-ins cost what the same rows in the same tables cost.
        let tables = Instance::configure("migrated", stores, folder, upstream_port)?;
        tables.keywright.run(&["migrate"], "")?;
        let ceiling = start_ceiling(&site, ceiling_port, stores, folder).await?;
        let peer = if options.peer {
            let (server, party) = start_peer(stores).await?;
            site.peer = Some(party);
            Some(server)
        } else {
            None
        };
        Ok(Self { ceiling, with_page, keywright, peer, _upstream: upstream, site, startup })
    }

    /// The server that a scenario measures.
    pub(crate) fn server(
        &self,
        scenario: Scenario,
        contestant: Contestant,
    ) -> anyhow::Result<&Server> {
        let server = match contestant {
            Contestant::Ceiling => Some(&self.ceiling),
            Contestant::Keywright if scenario.has_form() => self.with_page.as_ref(),
            Contestant::Keywright => self.keywright.as_ref(),
            Contestant::Peer => self.peer.as_ref(),
        };
        server.context("that server was not started")
    }

    /// The Keywright that most scenarios measure.
    pub(crate) fn keywright(&self) -> Option<&Server> {
        self.keywright.as_ref()
    }
}

/// A Keywright before its start.
struct Instance {
    keywright: Keywright,
    public: Party,
    management: Party,
}

impl Instance {
    fn configure(
        name: &str,
        stores: &Stores,
        folder: &Path,
        upstream_port: u16,
    ) -> anyhow::Result<Self> {
        let (port, management_port) = (free_port()?, free_port()?);
        let settings = Settings {
            port,
            management_port,
            database: stores.database_url(name, folder),
            state: stores.state_url().to_owned(),
            upstream_port,
            is_proxied: false,
        };
        Ok(Self {
            keywright: Keywright::configure(folder, name, &settings.toml())?,
            public: Party::new("localhost", port),
            management: Party::new("127.0.0.1", management_port),
        })
    }

    /// With local accounts there is a choice, and so a login page.
    async fn start_with_members(&self) -> anyhow::Result<Server> {
        members::import(&self.keywright, &members::many(MEMBERS)?)?;
        let mut server = self.keywright.serve()?;
        server.ready(&self.management).await?;
        Ok(server)
    }
}

async fn start_upstream(options: &Options, party: &Party, port: u16) -> anyhow::Result<Server> {
    let algorithm = options.upstream_alg.name().to_ascii_lowercase();
    let arguments = [("--port", port.to_string()), ("--algorithm", algorithm)];
    let mut server = own_role("stub-upstream", &arguments)?;
    server.ready(party).await?;
    Ok(server)
}

async fn start_ceiling(
    site: &Site,
    port: u16,
    stores: &Stores,
    folder: &Path,
) -> anyhow::Result<Server> {
    let arguments = [
        ("--port", port.to_string()),
        ("--documents", folder.display().to_string()),
        ("--database", stores.database_url("ceiling", folder)),
        ("--migrated", stores.database_url("migrated", folder)),
        ("--upstream", format!("http://{}", site.upstream.host)),
        ("--state", stores.state_url().to_owned()),
    ];
    let mut server = own_role("ceiling", &arguments)?;
    server.ready(site.ceiling.as_ref().context("the ceiling server has an address")?).await?;
    Ok(server)
}

/// The npm package, with everything in the same Redis.
async fn start_peer(stores: &Stores) -> anyhow::Result<(Server, Party)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/oidc-provider.mjs");
    ensure!(stores.state_url().starts_with("redis"), "--peer needs Redis: see TEST_REDIS_URL");
    let port = free_port()?;
    let mut command = Command::new("node");
    command
        .arg(script)
        .env("NODE_ENV", "production")
        .env("PORT", port.to_string())
        .env("REDIS_URL", stores.state_url())
        .env("CLIENT_ID", APP_ES256)
        .env("CLIENT_SECRET", SECRET)
        .env("REDIRECT_URI", CALLBACK);
    let mut server = Server::spawn("peer", &mut command)?;
    let party = Party::new("localhost", port);
    server.ready(&party).await?;
    Ok((server, party))
}

/// Gives the ceiling server Keywright's own documents, so that it sends as many bytes.
async fn write_documents(site: &Site, folder: &Path) -> anyhow::Result<()> {
    let page = match &site.with_page {
        Some(party) => {
            let mut traveller = Traveller::new(party, &site.upstream, APP, scope_of(APP));
            traveller.login_page().await.context("the login page")?.body.to_vec()
        }
        None => format!("<html>{}</html>", "-".repeat(4000)).into_bytes(),
    };
    std::fs::write(folder.join("page.html"), page)?;
    let (discovery, jwks) = match &site.keywright {
        Some(party) => (
            document(party, "/.well-known/openid-configuration").await?,
            document(party, "/.well-known/jwks.json").await?,
        ),
        None => stand_ins()?,
    };
    std::fs::write(folder.join("discovery.json"), discovery)?;
    std::fs::write(folder.join("jwks.json"), jwks)?;
    Ok(())
}

async fn document(party: &Party, target: &str) -> anyhow::Result<Vec<u8>> {
    let request = get(&party.host, target, "");
    let response = Connection::new(party.address).send(&request).await?.expect(200);
    Ok(response.with_context(|| target.to_owned())?.body.to_vec())
}

/// Documents of a usual size, for a run without Keywright.
fn stand_ins() -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let mut keys = Vec::new();
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        keys.push(Signer::generate(algorithm)?.jwk()?);
    }
    let discovery = json!({ "issuer": "http://localhost", "claims_supported": vec!["claim"; 200] });
    Ok((discovery.to_string().into_bytes(), json!({ "keys": keys }).to_string().into_bytes()))
}
