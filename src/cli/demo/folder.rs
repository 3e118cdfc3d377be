//! The folder in which everything of a demonstration lives, and with which it goes.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::foundation::random::{self, Random};

/// A folder that only we can enter; removed when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder under a name that nobody could have taken before.
    pub(super) fn make(random: &dyn Random) -> anyhow::Result<Self> {
        let name = uuid::Builder::from_random_bytes(random::bytes(random)).into_uuid().simple();
        let path = std::env::temp_dir().join(format!("keywright-demo-{name}"));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::foundation::random::OsRandom;

    #[test]
    fn the_folder_is_private_and_goes_with_everything_in_it() {
        let folder = Folder::make(&OsRandom).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(path.join("inner")).unwrap();
        fs::write(path.join("inner/file"), "text").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
