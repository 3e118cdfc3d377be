//! Where two neighbouring versions come from: a revision of the history that is built, a program that is
//! there, or, where the history has none that fits, this version and a copy of it with one migration more.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};

const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// What the copy does more: as any migration between neighbours, it adds, and takes nothing away.
const NEXT: &str = "ALTER TABLE users ADD COLUMN of_the_next_version TEXT;\n\
                    ALTER TABLE sessions ADD COLUMN of_the_next_version BIGINT NOT NULL DEFAULT 7;\n\
                    CREATE INDEX grants_of_the_next_version ON grants (client_id, created_at);\n\
                    CREATE TABLE of_the_next_version (id TEXT NOT NULL PRIMARY KEY, at BIGINT NOT NULL);\n";

/// Two programs.
pub(crate) struct Versions {
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
    /// What the new one is.
    pub(crate) what: String,
}

impl Versions {
    /// Finds both, and builds what is missing.
    pub(crate) fn find(
        own: PathBuf,
        revision: Option<&str>,
        previous: Option<&PathBuf>,
    ) -> anyhow::Result<Self> {
        let what = own.display().to_string();
        if let Some(file) = previous {
            let old = fs::canonicalize(file);
            let old = old.with_context(|| format!("{} is not there", file.display()))?;
            return Ok(Self { old, new: own, what });
        }
        match revision {
            Some(revision) => Ok(Self { old: former(revision)?, new: own, what }),
            None => {
                let what = "the same with one migration more".to_owned();
                Ok(Self { old: own, new: next()?, what })
            }
        }
    }
}

/// Everything is built beside the sources, in the folder of this user's caches.
fn cache() -> anyhow::Result<PathBuf> {
    let own = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = own.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("keywright").join("upgrade"))
}

fn git(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("git").arg("-C").arg(SOURCES).args(arguments).output()?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// The program of a revision. One that was built stays.
fn former(revision: &str) -> anyhow::Result<PathBuf> {
    let commit = git(&["rev-parse", "--verify", &format!("{revision}^{{commit}}")])?;
    let commit = String::from_utf8(commit)?.trim().to_owned();
    let folder = cache()?.join(&commit);
    let program = folder.join("keywright");
    if program.exists() {
        return Ok(program);
    }
    let sources = folder.join("source");
    fs::create_dir_all(&sources)?;
    let mut unpack =
        Command::new("tar").arg("-x").current_dir(&sources).stdin(Stdio::piped()).spawn()?;
    let archive = git(&["archive", "--format=tar", &commit])?;
    std::io::Write::write_all(&mut unpack.stdin.take().context("tar takes nothing")?, &archive)?;
    ensure!(unpack.wait()?.success(), "the sources of {revision} cannot be unpacked");
    build(&sources, &program)?;
    Ok(program)
}

/// The program of these sources with one migration more.
fn next() -> anyhow::Result<PathBuf> {
    let folder = cache()?.join("next");
    let (sources, program) = (folder.join("source"), folder.join("keywright"));
    let mut kept = BTreeSet::new();
    let listed = git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    for name in String::from_utf8(listed)?.split('\0').filter(|name| !name.is_empty()) {
        // One that was removed and not committed is listed, too.
        if let Ok(content) = fs::read(Path::new(SOURCES).join(name)) {
            kept.insert(put(&sources, name, &content)?);
        }
    }
    let newest = newest_migration()? + 1;
    for database in ["postgres", "sqlite"] {
        let folder = format!("migrations/{database}/{newest:014}_of_the_next_version");
        // STRICT tables of SQLite know INTEGER and not BIGINT.
        let up = if database == "sqlite" { NEXT.replace("BIGINT", "INTEGER") } else { NEXT.into() };
        kept.insert(put(&sources, &format!("{folder}/up.sql"), up.as_bytes())?);
    }
    remove_others(&sources, &kept)?;
    build(&sources, &program)?;
    Ok(program)
}

fn newest_migration() -> anyhow::Result<u64> {
    let folders = fs::read_dir(Path::new(SOURCES).join("migrations/postgres"))?;
    let names = folders.filter_map(|folder| folder.ok()?.file_name().into_string().ok());
    let numbers = names.filter_map(|name| name.split('_').next()?.parse().ok());
    numbers.max().context("there are no migrations")
}

/// Writes a file, unless it is so already: what did not change is not built again.
fn put(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
    let file = folder.join(name);
    if fs::read(&file).ok().as_deref() != Some(content) {
        fs::create_dir_all(file.parent().context("a file in a folder")?)?;
        fs::write(&file, content)?;
    }
    Ok(file)
}

/// Removes what an earlier copy has left.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
            // Fails unless it is empty.
            let _ = fs::remove_dir(&path);
        } else if !kept.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Builds the program of these sources, as this test was built, and puts it there.
fn build(sources: &Path, program: &Path) -> anyhow::Result<()> {
    println!("building {}, which takes its time", sources.display());
    let (profile, folder) =
        if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let target = cache()?.join("target");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--locked", "--bin", "keywright", "--profile", profile, "--target-dir"])
        .arg(&target)
        .current_dir(sources)
        .status()?;
    ensure!(built.success(), "{} cannot be built", sources.display());
    // Another version will stand there later.
    fs::copy(target.join(folder).join("keywright"), program)?;
    Ok(())
}
