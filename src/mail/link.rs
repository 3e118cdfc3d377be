//! Links of mails.

use url::form_urlencoded::Serializer;

use crate::urls::Urls;

/// An address below the issuer. There is no other way to make one, so that no mail ever links
/// anywhere else, whatever a request says about its host (RC-01).
#[derive(Clone, PartialEq, Eq)]
pub struct Link(String);

/// It may hold a secret.
impl std::fmt::Debug for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Link(..)")
    }
}

impl Link {
    /// The address of a path, with parameters.
    pub fn new(urls: &Urls, path: &'static str, parameters: &[(&str, &str)]) -> Self {
        let mut address = urls.absolute(path);
        if !parameters.is_empty() {
            let query = Serializer::new(String::new()).extend_pairs(parameters).finish();
            address.push('?');
            address.push_str(&query);
        }
        Self(address)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
