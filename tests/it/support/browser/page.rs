//! What a browser got: one page, or a journey over redirects.

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::Value;
use url::Url;

use super::html::{self, Form};
use super::requests::Navigation;

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(super) navigation: Navigation,
}

impl Page {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|cause| panic!("{} is no JSON: {cause}: {}", self.url, self.text()))
    }

    /// The absolute address of `Location`, whatever the status.
    pub(crate) fn location(&self) -> Option<Url> {
        self.header("location").map(|target| self.url.join(target).expect("a redirect target"))
    }

    /// A query parameter of `Location`.
    pub(crate) fn location_param(&self, name: &str) -> Option<String> {
        self.location().and_then(|url| param(&url, name))
    }

    /// Where this redirect goes, or none for a page that is no redirect. A fragment is inherited.
    pub(super) fn redirect_target(&self) -> Option<Url> {
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let mut target = self.location()?;
        if target.fragment().is_none() {
            target.set_fragment(self.url.fragment());
        }
        Some(target)
    }

    /// The forms of the page, in order.
    pub(crate) fn forms(&self) -> Vec<Form> {
        html::forms(&self.text(), &self.url)
    }

    /// The form whose action has this path.
    pub(crate) fn form_to(&self, path: &str) -> Form {
        let form = self.forms().into_iter().find(|form| form.action.path() == path);
        form.unwrap_or_else(|| panic!("no form to {path} on {}:\n{}", self.url, self.text()))
    }

    /// The only form of the page.
    pub(crate) fn form(&self) -> Form {
        let mut forms = self.forms();
        assert_eq!(forms.len(), 1, "one form expected on {}:\n{}", self.url, self.text());
        forms.remove(0)
    }

    /// The targets of the page's links, absolute.
    pub(crate) fn links(&self) -> Vec<Url> {
        html::links(&self.text(), &self.url)
    }

    /// The `Set-Cookie` headers of this answer.
    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        let values = self.headers.get_all("set-cookie").iter();
        values.map(|value| value.to_str().expect("a text header")).collect()
    }
}

/// All hops from a first page to the end of its redirects.
#[derive(Clone, Debug)]
pub(crate) struct Journey {
    /// Every answer in order. The last one is a page, or redirects to [`Self::stopped_at`].
    pub(crate) pages: Vec<Page>,
    /// The target of the stop list that was not loaded.
    pub(crate) stopped_at: Option<Url>,
}

impl Journey {
    /// The last answer.
    pub(crate) fn last(&self) -> &Page {
        self.pages.last().expect("a journey has at least one page")
    }

    /// The address the journey stopped at; panics with all hops when it ended on a page instead.
    pub(crate) fn landing(&self) -> &Url {
        self.stopped_at.as_ref().unwrap_or_else(|| {
            let last = self.last();
            panic!("ended on a page: {:#?}\n{} {}", self.hops(), last.status, last.text())
        })
    }

    /// A query parameter of the address the journey stopped at.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        param(self.landing(), name)
    }

    /// The first hop with this path; panics when there was none.
    pub(crate) fn hop(&self, path: &str) -> &Page {
        let page = self.pages.iter().find(|page| page.url.path() == path);
        page.unwrap_or_else(|| panic!("never came by {path}: {:#?}", self.hops()))
    }

    /// `status address` of every hop, for messages and snapshots.
    pub(crate) fn hops(&self) -> Vec<String> {
        self.pages.iter().map(|page| format!("{} {}", page.status, page.url)).collect()
    }
}

/// The only query parameter of that name; panics when it is given twice.
fn param(url: &Url, name: &str) -> Option<String> {
    let mut values = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value);
    let value = values.next();
    assert!(values.next().is_none(), "{name} is given twice in {url}");
    value.map(std::borrow::Cow::into_owned)
}
