//! Connecting to PostgreSQL.

use std::sync::Arc;

use anyhow::Context as _;
use diesel::ConnectionError;
use diesel_async::{
    AsyncPgConnection, SimpleAsyncConnection as _,
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool},
};
use futures_util::FutureExt as _;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use crate::foundation::secret::Secret;

/// What every connection is set to. Commits are durable before they are acknowledged, whatever the
/// server's default is; a statement or a lock that takes too long is given up, so that requests do
/// not pile up behind it.
const SETUP: &str = "SET synchronous_commit = on; SET statement_timeout = '5s'; \
                     SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '10s'";

/// A pool of connections to the server that `url` names.
pub(super) fn pool(url: &Secret, size: usize) -> anyhow::Result<deadpool::Pool<AsyncPgConnection>> {
    let (address, tls) = address_and_tls(url.expose())?;
    let tls = tls.map(MakeRustlsConnect::new);
    let mut config = ManagerConfig::default();
    // The pool would otherwise ask `SELECT 1` before every use; a closed connection is seen anyway.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |address| connect(address.to_owned(), tls.clone()).boxed());
    let manager = AsyncDieselConnectionManager::new_with_config(address, config);
    let pool = deadpool::Pool::builder(manager)
        .max_size(size)
        .timeouts(super::open::timeouts())
        .runtime(::deadpool::Runtime::Tokio1)
        .build()?;
    Ok(pool)
}

async fn connect(
    address: String,
    tls: Option<MakeRustlsConnect>,
) -> Result<AsyncPgConnection, ConnectionError> {
    let failed = |error: &tokio_postgres::Error| ConnectionError::BadConnection(chain(error));
    let mut connection = if let Some(tls) = tls {
        let connected = tokio_postgres::connect(&address, tls).await;
        let (client, driver) = connected.map_err(|error| failed(&error))?;
        drive(driver);
        AsyncPgConnection::try_from(client).await?
    } else {
        let connected = tokio_postgres::connect(&address, tokio_postgres::NoTls).await;
        let (client, driver) = connected.map_err(|error| failed(&error))?;
        drive(driver);
        AsyncPgConnection::try_from(client).await?
    };
    connection.batch_execute(SETUP).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// The error with everything that caused it: by itself the driver's says only "db error".
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Moves a connection's bytes until it is dropped or breaks. Left to diesel, every statement would
/// subscribe to the driver's errors; a statement on a broken connection fails by itself.
#[expect(clippy::disallowed_methods, reason = "it ends with its connection")]
fn drive(driver: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "a connection to the database ended");
        }
    });
}

/// Splits `sslmode` and `sslrootcert` off the address. `require`, `verify-ca` and `verify-full`
/// all check the certificate and its name: encryption towards whoever answers protects nothing.
fn address_and_tls(url: &str) -> anyhow::Result<(String, Option<rustls::ClientConfig>)> {
    let mut url = Url::parse(url).context("database.url is not an address")?;
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
    let given = |name: &str| pairs.iter().any(|(key, _)| key == name);
    let tls = match value("sslmode") {
        None | Some("disable" | "prefer" | "allow") => None,
        Some("require" | "verify-ca" | "verify-full") => Some(tls_config(value("sslrootcert"))?),
        Some(other) => anyhow::bail!("database.url: sslmode={other} is unknown; use verify-full"),
    };
    // What is not ours stays as it was written: the driver reads `+` as itself.
    let theirs = |pair: &&str| !pair.starts_with("sslmode=") && !pair.starts_with("sslrootcert=");
    let query = url.query().unwrap_or_default().to_owned();
    let mut query: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    query.retain(theirs);
    if tls.is_some() {
        query.push("sslmode=require");
    }
    if !given("tcp_user_timeout") {
        // A server that is gone without a word is given up, and another connection made.
        query.push("tcp_user_timeout=10");
    }
    url.set_query(Some(&query.join("&")));
    Ok((url.into(), tls))
}

fn tls_config(root_certificates: Option<&str>) -> anyhow::Result<rustls::ClientConfig> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    let Some(file) = root_certificates else {
        drop(builder);
        return Ok(rustls::ClientConfig::with_platform_verifier()?);
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).context(format!("sslrootcert={file}"))? {
        roots.add(certificate?)?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_we_understand_is_taken_off_the_address() {
        let (plain, tls) = address_and_tls("postgres://u:p@db/x?application_name=a").unwrap();
        assert_eq!(plain, "postgres://u:p@db/x?application_name=a&tcp_user_timeout=10");
        let (options, _) =
            address_and_tls("postgres://db/x?options=-c%20search_path%3Da&sslmode=disable")
                .unwrap();
        assert!(options.contains("?options=-c%20search_path%3Da&tcp"), "{options}");
        assert!(tls.is_none());
        let unknown = address_and_tls("postgres://db/x?sslmode=maybe").unwrap_err();
        assert!(unknown.to_string().contains("sslmode=maybe"));
    }
}
