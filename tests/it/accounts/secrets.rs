//! Secrets in memory: how they are compared, and that nothing prints them (LG-15).

use std::{fs, path::Path};

use keywright::foundation::{opaque::Opaque, seal::KeyRing, secret::Secret};

/// Fails to compile if a type implements a trait: two ways to the same name would be ambiguous.
macro_rules! is_never {
    ($kind:ty: $($bound:tt)+) => {
        const _: fn() = || {
            trait Candidate<Way> {
                fn way() {}
            }
            struct Other;
            impl<T: ?Sized> Candidate<()> for T {}
            impl<T: ?Sized + $($bound)+> Candidate<Other> for T {}
            let _ = <$kind as Candidate<_>>::way;
        };
    };
}

is_never!(Secret: PartialEq);
is_never!(Secret: std::fmt::Display);
is_never!(Secret: serde::Serialize);
is_never!(Secret: std::ops::Deref);
is_never!(Opaque: PartialEq);
is_never!(Opaque: std::fmt::Display);
is_never!(Opaque: serde::Serialize);
is_never!(KeyRing: PartialEq);
is_never!(KeyRing: std::fmt::Display);
is_never!(KeyRing: Clone);

/// LG-15: what stands in a debug line about a secret is not the secret.
#[test]
fn a_secret_that_is_printed_says_nothing() {
    let secret = Secret::new("the-canary-of-this-test");
    for text in [format!("{secret:?}"), format!("{secret:#?}"), format!("{:?}", Some(&secret))] {
        assert!(!text.contains("canary"), "{text}");
    }
}

fn sources(folder: &Path, all: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            all.push((path.display().to_string(), text));
        }
    }
}

/// LG-15: no line of the program compares what is secret by `==`: what was exposed, a MAC, or the bits
/// of an opaque secret. That is done by the one function that takes as long for any difference.
#[test]
fn secrets_are_compared_in_constant_time() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let mut constant = 0;
    for (file, text) in &all {
        let program = text.split("#[cfg(test)]").next().unwrap();
        constant += program.matches("constant_time_eq(").count();
        for line in program.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let compares = line.contains("==") || line.contains("!=") || line.contains(".eq(");
            let secret = [".expose()", ".mac(", ".macs(", ".bits()", ".reveal()"];
            let named = secret.iter().find(|name| line.contains(**name));
            // An emptiness is no secret.
            let harmless = line.contains(".is_empty()") || line.contains(".len()");
            assert!(!compares || named.is_none() || harmless, "{file}: {line}");
        }
    }
    assert!(constant >= 4, "{constant} comparisons in constant time");
}
