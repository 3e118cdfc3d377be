//! A real upstream: a small Keywright of its own, on a file, at which people of the house sign in. It
//! lives as long as the run.

use std::{fs, path::Path};

use crate::{
    browser::Browser,
    deeds::entering::make_account,
    instance::{Instance, Program},
    settings::upstream_toml,
    wire::Deed,
};

/// A running upstream.
pub(crate) struct Upstream {
    pub(crate) instance: Instance,
    /// Goes last.
    _folder: tempfile::TempDir,
}

impl Upstream {
    /// Starts it on a port, for the house on another.
    pub(crate) fn start(program: &Path, port: u16, house: u16) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("keywright.db");
        let text = upstream_toml(port, house, &file.display().to_string());
        fs::write(folder.path().join("keywright.toml"), text)?;
        let mut instance = Instance::new(Program::new(program, folder.path()), port);
        instance.start(0)?;
        Ok(Self { instance, _folder: folder })
    }
}

/// Makes an account at the upstream on this port; whether nobody had it.
pub(crate) fn enrol(port: u16, name: &str, password: &str) -> Deed<bool> {
    make_account(&mut Browser::new(port), name, password)
}
