//! `keywright upstream presets`: the kinds of upstreams that are known, and what each asks.

use serde_json::{Value, json};

use super::super::output::{say_json, say_table};
use crate::config::{Preset, presets};

/// Needs neither a configuration nor a database.
pub(in crate::cli) fn run(json: bool) {
    if json {
        return say_json(&presets().iter().map(as_json).collect());
    }
    let row = |preset: &Preset| {
        let asks = preset.asks.iter().map(|ask| match &ask.default {
            None => ask.name.clone(),
            Some(_) => format!("[{}]", ask.name),
        });
        let optional = preset.optional.iter().map(|name| format!("[{name}]"));
        let asks = asks.chain(preset.needs.iter().cloned()).chain(optional);
        vec![preset.name.to_owned(), preset.title.clone(), asks.collect::<Vec<_>>().join(" ")]
    };
    let rows: Vec<Vec<String>> = presets().iter().map(row).collect();
    say_table(&["PRESET", "PROVIDER", "ASKS"], &rows);
}

fn as_json(preset: &Preset) -> Value {
    let asks = preset.asks.iter().map(|ask| {
        json!({
            "name": ask.name,
            "meaning": ask.meaning,
            "example": ask.example,
            "default": ask.default,
        })
    });
    json!({
        "preset": preset.name,
        "title": preset.title,
        "issuer": preset.issuer,
        "asks": asks.collect::<Vec<_>>(),
        "needs": preset.needs,
        "optional": preset.optional,
    })
}
