//! Finding a claim by its path.

use serde_json::{Map, Value};

/// The value at a path. The name as it stands comes first, because some names are addresses and
/// some clients are called like hosts (`resource_access.wiki.example.org.roles`); else the path goes
/// into objects step by step, and into lists by number.
pub(super) fn at<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (step, rest) = path.split_at_checked(dot)?;
        within(claims.get(step)?, rest.strip_prefix('.')?)
    })
}

fn within<'c>(value: &'c Value, path: &str) -> Option<&'c Value> {
    match value {
        Value::Object(object) => at(object, path),
        Value::Array(list) => match path.split_once('.') {
            None => list.get(path.parse::<usize>().ok()?),
            Some((number, rest)) => within(list.get(number.parse::<usize>().ok()?)?, rest),
        },
        _ => None,
    }
}

/// The text at a path, without space around it; an empty text is none.
pub(super) fn text<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c str> {
    at(claims, path)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}
