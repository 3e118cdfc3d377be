//! TLS of our own, where nothing stands before us: certificate and key from files that may be replaced
//! at any time (FT-62).
//!
//! The files are read every few seconds and compared by content, so that it does not matter how they
//! were replaced. What cannot be used is said once, and the pair that works goes on.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    app::App,
    config::{Problems, ServerSettings},
    foundation::{
        clock::{Span, Timestamp},
        digest::sha256,
    },
};

const CERTIFICATE: &str = "server.tls_certificate_file";
const KEY: &str = "server.tls_key_file";
/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long before its end a certificate is spoken of: once a day.
const SOON: Span = Span::from_days(30);

/// The certificate that this server shows, and where it comes from.
#[derive(Debug)]
pub struct Certificates {
    files: (PathBuf, PathBuf),
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
    /// What was read last, good or bad.
    seen: Mutex<Option<Digest>>,
}

type Digest = [u8; 32];

/// What is shown to whoever connects now.
#[derive(Debug)]
struct Shown(RwLock<Pair>);

#[derive(Clone, Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    ends_at: Timestamp,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now().key)
    }
}

impl Shown {
    fn now(&self) -> Pair {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Certificates {
    /// Those of the configuration, if there are any. What is wrong with them names its setting.
    pub fn open(settings: &ServerSettings) -> anyhow::Result<Option<Arc<Self>>> {
        let files = (&settings.tls_certificate_file, &settings.tls_key_file);
        let (Some(certificate), Some(key)) = files else {
            return Ok(None);
        };
        let files = (PathBuf::from(certificate), PathBuf::from(key));
        let (pair, digest) = read(&files)?;
        let shown = Arc::new(Shown(RwLock::new(pair)));
        // TLS 1.2 and 1.3 with the suites of the provider, all of them with forward secrecy.
        let mut config =
            ServerConfig::builder()
                .with_no_client_auth()
                .with_cert_resolver(Arc::<Shown>::clone(&shown));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (config, seen) = (Arc::new(config), Mutex::new(Some(digest)));
        Ok(Some(Arc::new(Self { files, config, shown, seen })))
    }

    /// What makes TLS of a connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// When the certificate that is shown ends.
    pub fn ends_at(&self) -> Timestamp {
        self.shown.now().ends_at
    }

    /// Shows what the files hold now. An error is told once for the same content, and changes nothing.
    fn look(&self) -> anyhow::Result<bool> {
        let held = contents(&self.files).map(|texts| digest(&texts)).ok();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == held {
            return Ok(false);
        }
        *seen = held;
        let (pair, digest) = read(&self.files)?;
        *seen = Some(digest);
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(true)
    }
}

type Texts = (Vec<u8>, Vec<u8>);

fn contents((certificate, key): &(PathBuf, PathBuf)) -> anyhow::Result<Texts> {
    let read = |setting: &str, file: &PathBuf| {
        let told =
            |error: std::io::Error| Problems::one(setting, format!("{}: {error}", file.display()));
        std::fs::read(file).map_err(told)
    };
    Ok((read(CERTIFICATE, certificate)?, read(KEY, key)?))
}

fn digest((certificate, key): &Texts) -> Digest {
    sha256(&[sha256(certificate), sha256(key)].concat())
}

fn read(files: &(PathBuf, PathBuf)) -> anyhow::Result<(Pair, Digest)> {
    let texts = contents(files)?;
    let wrong = |setting, file: &PathBuf, what: &str| {
        Problems::one(setting, format!("{}: {what}", file.display()))
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&texts.0).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let no_chain = "holds no certificates in PEM; the server's own has to stand first";
    let chain = chain.ok_or_else(|| wrong(CERTIFICATE, &files.0, no_chain))?;
    let key = PrivateKeyDer::from_pem_slice(&texts.1);
    let key = key.map_err(|_pem| wrong(KEY, &files.1, "holds no private key in PEM"))?;
    let ends_at = chain.first().and_then(|own| end_of(own));
    let ends_at =
        ends_at.ok_or_else(|| wrong(CERTIFICATE, &files.0, "the first certificate is damaged"))?;
    let provider = rustls::crypto::CryptoProvider::get_default().context("TLS has no provider")?;
    let key = match CertifiedKey::from_der(chain, key, provider) {
        Ok(key) => Arc::new(key),
        Err(error) => bail!(wrong(KEY, &files.1, &format!("not the certificate's key ({error})"))),
    };
    Ok((Pair { key, ends_at }, digest(&texts)))
}

fn end_of(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(Timestamp::from_unix(parsed.validity().not_after.timestamp()))
}

/// Shows what the files hold, for as long as the house is open, and says when it ends.
pub async fn keep_fresh(app: App, certificates: Arc<Certificates>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut said = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.stopping.cancelled() => return,
        }
        match certificates.look() {
            Ok(false) => {}
            Ok(true) => {
                let ends = certificates.ends_at().rfc3339();
                tracing::info!(%ends, "a new certificate");
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "a certificate that cannot be used: the former is shown");
            }
        }
        let (now, ends_at) = (app.now(), certificates.ends_at());
        app.metrics.set_certificate_end(ends_at.unix());
        if said != Some((now.day(), ends_at)) {
            said = Some((now.day(), ends_at));
            remind(ends_at, now);
        }
    }
}

fn remind(ends_at: Timestamp, now: Timestamp) {
    let ends = ends_at.rfc3339();
    if ends_at <= now {
        tracing::error!(%ends, "the certificate of this server has ended: nobody accepts it");
    } else if ends_at.since(now) <= SOON {
        tracing::warn!(%ends, "the certificate of this server ends soon");
    }
}
