//! Forms with a file (`multipart/form-data`, RFC 7578): read as browsers write them, and no other way.
//!
//! The body is in memory already, and bounded. What is no such form is refused as a whole: there is no
//! second way to read it (RFC 2046 §5.1 allows more than any browser sends).

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderMap, header},
};
use url::form_urlencoded;

use super::{
    error::PageError,
    params::{self, Params},
};

/// How long a file may take to arrive.
const FILE_TIME: Duration = Duration::from_secs(25);
/// No form of ours has more fields.
const MAX_PARTS: usize = 8;
/// What is said about a field is not longer.
const MAX_HEAD: usize = 1_024;

/// A form: its texts, and its one file.
#[derive(Debug, Default)]
pub struct FileForm {
    /// The fields that are texts.
    pub params: Params,
    /// The content of the file, if one was chosen.
    pub file: Option<Bytes>,
}

/// The form of a request.
pub async fn of_page(request: Request, file: &str) -> Result<FileForm, PageError> {
    let Some(boundary) = boundary(request.headers()) else {
        return Err(params::unreadable("The request was posted, but not as a form with a file."));
    };
    let body = params::body_within(request, FILE_TIME).await;
    let body = body.map_err(|status| {
        params::unreadable("The file is too large, or did not arrive in time.").status(status)
    })?;
    read(&body, &boundary, file)
        .ok_or_else(|| params::unreadable("The form of the request cannot be read."))
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (essence, parameters) = value.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let (name, boundary) = parameters.trim().split_once('=')?;
    let boundary = boundary.trim_matches('"');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    let good = (1..=70).contains(&boundary.len()) && boundary.bytes().all(fits);
    (good && name.eq_ignore_ascii_case("boundary")).then(|| boundary.to_owned())
}

fn read(body: &Bytes, boundary: &str, file: &str) -> Option<FileForm> {
    let delimiter = format!("\r\n--{boundary}");
    let first = delimiter.trim_start();
    let mut rest = body.strip_prefix(first.as_bytes()).map(|rest| body.slice_ref(rest))?;
    let mut texts = form_urlencoded::Serializer::new(String::new());
    let mut form = FileForm::default();
    for _ in 0..MAX_PARTS {
        if matches!(&rest[..], b"--" | b"--\r\n") {
            form.params = Params::read(texts.finish().as_bytes()).ok()?;
            return Some(form);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let part = rest.slice_ref(part);
        let end = find(&part, delimiter.as_bytes())?;
        let (name, content) = open(&part.slice(..end))?;
        if name == file {
            let twice = form.file.replace(content).is_some();
            (!twice).then_some(())?;
        } else {
            texts.append_pair(&name, std::str::from_utf8(&content).ok()?);
        }
        rest = part.slice(end + delimiter.len()..);
    }
    None
}

/// The name of a part, and what is in it.
fn open(part: &Bytes) -> Option<(String, Bytes)> {
    let gap = find(part.get(..part.len().min(MAX_HEAD))?, b"\r\n\r\n")?;
    let head = std::str::from_utf8(part.get(..gap)?).ok()?;
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, disposition) =
        lines.find(|(name, _)| name.eq_ignore_ascii_case("content-disposition"))?;
    let parameters = disposition.trim().strip_prefix("form-data")?;
    let (_, name) = parameters.split_once("; name=\"")?;
    let (name, _) = name.split_once('"')?;
    Some((name.to_owned(), part.slice(gap + 4..)))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &[u8] = b"--XX\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc&=\r\n\
        --XX\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a.png\"\r\n\
        Content-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n\r\n--X\r\n--XX--\r\n";

    fn said(body: &[u8]) -> Option<FileForm> {
        read(&Bytes::copy_from_slice(body), "XX", "picture")
    }

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = said(GOOD).unwrap();
        assert_eq!(form.params.get("csrf"), Some("abc&="));
        assert_eq!(form.file.as_deref(), Some(&b"\x89PNG\r\n\x1a\n\r\n--X"[..]));
    }

    #[test]
    fn whatever_else_comes_is_no_form() {
        let text = String::from_utf8_lossy(GOOD);
        let twice = text.replace("csrf", "picture");
        let many = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(9);
        for wrong in [
            "",
            "--XX",
            "--XX\r\n",
            "x--XX--\r\n",
            &text.replace("--XX--", "--XX"),
            &text.replace("form-data", "attachment"),
            &text.replace("\r\n\r\nabc", "abc"),
            &text.replace("; name=", "; nome="),
            &twice,
            &(many + "--XX--"),
        ] {
            assert!(said(wrong.as_bytes()).is_none(), "{wrong}");
        }
        for length in 0..GOOD.len() - 2 {
            assert!(said(&GOOD[..length]).is_none(), "{length}");
        }
        assert!(said(b"--XX--").is_some_and(|form| form.file.is_none()));
    }

    #[test]
    fn the_boundary_is_one() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            boundary(&headers)
        };
        assert_eq!(of("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(of("Multipart/Form-Data; Boundary=\"a b\""), None);
        for wrong in [
            "multipart/form-data",
            "multipart/mixed; boundary=abc",
            "multipart/form-data; boundary=",
            "multipart/form-data; charset=abc",
            "application/x-www-form-urlencoded; boundary=abc",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_body_breaks_it(body in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = said(&body);
            let mut good = GOOD.to_vec();
            for (at, byte) in body.iter().enumerate() {
                let len = good.len();
                good[(at * 31 + usize::from(*byte)) % len] = *byte;
            }
            let _ = said(&good);
        }
    }
}
