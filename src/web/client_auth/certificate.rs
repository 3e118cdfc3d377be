//! Certificates, as a proxy of ours passes them on: `tls_client_auth` and `self_signed_tls_client_auth`
//! (RFC 8705 §2), and tokens that are bound to one (RFC 8705 §3). The proxy has made sure that the app
//! holds the key; whose certificate it is, and who has certified it, is looked at here.

use axum::http::HeaderMap;

use super::Caller;
use crate::{
    app::App,
    clients::Client,
    foundation::clock::Timestamp,
    keys::ClientCertificate,
    protocol::{distinguished_name::DistinguishedName, error::OAuthError, words::AuthMethod},
    web::client_request::ClientRequest,
};

/// Whether the certificate of this connection is the client's; if not, why.
pub(super) async fn check(app: &App, caller: &Caller<'_>, client: &Client) -> Result<(), String> {
    let shown = shown(app, caller.headers, caller.by_proxy);
    let shown = shown.ok_or("no certificate came from a proxy of ours")?;
    let now = app.now();
    let its_own = match client.auth_method() {
        AuthMethod::TlsClientAuth => is_certified(app, client, &shown, now)?,
        _ => is_published(app, client, &shown, now).await?,
    };
    its_own.then_some(()).ok_or_else(|| "the certificate is not that of the client".to_owned())
}

/// The certificate of the connection, if a proxy says it, and says one.
pub fn shown(app: &App, headers: &HeaderMap, by_proxy: bool) -> Option<ClientCertificate> {
    let name = app.config.server.client_certificate_header.as_deref()?;
    let text = only(headers, name).filter(|_| by_proxy)?;
    ClientCertificate::read(text)
}

/// The thumbprint of the certificate to which the tokens of a client are bound, where that is so
/// (RFC 8705 §3).
pub fn for_tokens(app: &App, request: &ClientRequest) -> Result<Option<String>, OAuthError> {
    if !request.client.settings.tls_client_certificate_bound_access_tokens {
        return Ok(None);
    }
    let shown = shown(app, &request.headers, request.by_proxy).ok_or_else(|| {
        let fault = "the tokens of this client are bound to a certificate, and none was shown";
        OAuthError::invalid_request(fault)
    })?;
    Ok(Some(shown.thumbprint()))
}

fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(line)
}

/// `tls_client_auth`: an authority of ours has certified it, under the name that was agreed upon. That is
/// not left to the proxy, which may well ask for any certificate.
fn is_certified(
    app: &App,
    client: &Client,
    shown: &ClientCertificate,
    now: Timestamp,
) -> Result<bool, String> {
    let authorities = app.client_keys.authorities.as_ref();
    if !authorities.is_some_and(|authorities| authorities.certify(shown, now)) {
        return Err("no authority of ours has certified the certificate for now".to_owned());
    }
    let settings = &client.settings;
    let subject = settings.tls_client_auth_subject_dn.as_deref();
    Ok(match (subject, &settings.tls_client_auth_san_dns, &settings.tls_client_auth_san_uri) {
        (Some(name), ..) => {
            let expected = DistinguishedName::parse(name);
            expected.is_some() && shown.subject() == expected
        }
        (None, Some(name), _) => shown.has_dns_name(name),
        (None, None, Some(uri)) => shown.has_uri(uri),
        (None, None, None) => false,
    })
}

/// `self_signed_tls_client_auth`: it stands in the client's JWKS, as `x5c` or by its thumbprint.
async fn is_published(
    app: &App,
    client: &Client,
    shown: &ClientCertificate,
    now: Timestamp,
) -> Result<bool, String> {
    let thumbprint = shown.thumbprint();
    let keys = app.client_keys.find(client.id(), now).await.map_err(|fault| fault.to_string())?;
    if keys.iter().any(|key| key.certificate.as_ref() == Some(&thumbprint)) {
        return Ok(true);
    }
    // The client may have a new one.
    let newer = app.client_keys.find_newer(client.id(), &keys, now).await;
    let newer = newer.map_err(|fault| fault.to_string())?;
    let mut newer = newer.iter().flat_map(|keys| keys.iter());
    Ok(newer.any(|key| key.certificate.as_ref() == Some(&thumbprint)))
}
