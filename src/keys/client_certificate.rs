//! Certificates by which apps prove who they are (RFC 8705 §2). A proxy has seen that the app holds the
//! key; here it is looked at whose certificate it is.

use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

use crate::{
    foundation::{
        clock::Timestamp,
        digest::{base64url, sha256},
    },
    protocol::distinguished_name::DistinguishedName,
};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A certificate that an app has shown.
#[derive(Clone, Debug)]
pub struct ClientCertificate(CertificateDer<'static>);

impl ClientCertificate {
    /// Reads what a proxy puts into a header: base64 between colons (RFC 9440 §2.1), PEM as it is or
    /// percent-encoded, or the base64 of PEM alone. Of several, between commas, the first is the app's own,
    /// if each next one is of who has certified the one before: a proxy that adds its own word to what came
    /// in must not make what came in count.
    pub fn read(text: &str) -> Option<Self> {
        let text = percent_decoded(text.trim())?;
        if let Some((before, rest)) = text.split_once(BEGIN) {
            let (own, after) = rest.split_once(END)?;
            let alone = before.trim().is_empty() && after.trim().is_empty();
            return Self::of_base64(own).filter(|_| alone);
        }
        let mut chain = text.split(',').map(|one| Self::of_base64(one.trim().trim_matches(':')));
        let own = chain.next()??;
        let mut last = own.clone();
        for next in chain {
            let next = next?;
            if last.parsed()?.issuer() != next.parsed()?.subject() {
                return None;
            }
            last = next;
        }
        Some(own)
    }

    fn of_base64(text: &str) -> Option<Self> {
        let base64: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
        let own = Self(CertificateDer::from(der));
        own.parsed().is_some().then_some(own)
    }

    /// The SHA-256 of it, as `x5t#S256` says it (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> String {
        base64url(&sha256(&self.0))
    }

    /// Whose it is.
    pub fn subject(&self) -> Option<DistinguishedName> {
        let parsed = self.parsed()?;
        let mut parts = Vec::new();
        for part in parsed.subject().iter_rdn() {
            let mut attributes = Vec::new();
            for attribute in part.iter() {
                let value = attribute.as_str().ok()?;
                attributes.push((attribute.attr_type().to_id_string(), value.to_owned()));
            }
            parts.push(attributes);
        }
        Some(DistinguishedName::of_certificate(parts))
    }

    /// Whether it was made for this DNS name.
    pub fn has_dns_name(&self, name: &str) -> bool {
        self.any_name(|own| match own {
            GeneralName::DNSName(own) => own.eq_ignore_ascii_case(name),
            _ => false,
        })
    }

    /// Whether it was made for this URI.
    pub fn has_uri(&self, uri: &str) -> bool {
        self.any_name(|own| matches!(own, GeneralName::URI(own) if *own == uri))
    }

    fn any_name(&self, fits: impl Fn(&GeneralName<'_>) -> bool) -> bool {
        let Some(parsed) = self.parsed() else {
            return false;
        };
        let names = parsed.subject_alternative_name().ok().flatten();
        names.is_some_and(|names| names.value.general_names.iter().any(fits))
    }

    fn parsed(&self) -> Option<X509Certificate<'_>> {
        let (rest, parsed) = x509_parser::parse_x509_certificate(&self.0).ok()?;
        rest.is_empty().then_some(parsed)
    }
}

/// Undoes percent-encoding, and nothing else: a plus is a letter of base64.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The authorities whose certificates apps may prove themselves by.
#[derive(Debug)]
pub struct Authorities(Arc<dyn ClientCertVerifier>);

impl Authorities {
    /// Those in a file of PEM.
    pub fn read(pem: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(authority.context("a certificate is damaged")?)?;
        }
        Ok(Self(WebPkiClientVerifier::builder(Arc::new(roots)).build()?))
    }

    /// Whether one of them has certified it, for now and for clients (RFC 5280 §6). Revocation lists are
    /// not asked.
    pub fn certify(&self, certificate: &ClientCertificate, now: Timestamp) -> bool {
        let since = u64::try_from(now.unix()).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(since));
        self.0.verify_client_cert(&certificate.0, &[], at).is_ok()
    }
}
