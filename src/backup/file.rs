//! The file: a line that says what it is, a line about the backup, and sealed frames.
//!
//! Each frame is sealed for its place: this backup (by the digest of the first two lines), its number,
//! and whether it is the last. So none can be changed, left out, put elsewhere or taken from another
//! backup, and a file that ends too early is known for what it is. The first two lines are readable by
//! anybody, and as well protected as the rest.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::foundation::{
    clock::Timestamp,
    digest::{base64url, constant_time_eq, sha256},
    random::{self, Random},
    seal::KeyRing,
};

const MAGIC: &[u8] = b"keywright backup 1\n";
/// What the files of all versions begin with.
const MAGIC_OF_ANY: &[u8] = b"keywright backup ";

/// A frame is sealed as soon as it holds so much.
const FRAME: usize = 128 * 1024;
/// No frame is longer: one row, and what was before it.
const MAX_FRAME: usize = 64 * 1024 * 1024;
const MAX_HEADER: usize = 16 * 1024;

/// What is known about a backup without opening it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Its own name, which no other backup has.
    pub id: String,
    /// Of which moment it is.
    pub made_at: Timestamp,
    /// The same in words.
    pub made: String,
    /// The program that made it.
    pub program: String,
    /// The newest migration that the database had seen.
    pub schema: String,
    /// The kind of database it was made of.
    pub database: String,
    /// Whose it is.
    pub issuer: String,
    /// By what the right key is known.
    pub key: String,
}

impl Header {
    /// The header of a new backup.
    pub fn new(
        (issuer, database, schema): (&str, &str, String),
        ring: &KeyRing,
        random: &dyn Random,
        now: Timestamp,
    ) -> Self {
        let id = base64url(&random::bytes::<16>(random));
        Self {
            key: base64url(&ring.mac(&[KEY_CHECK, id.as_bytes()])),
            id,
            made_at: now,
            made: now.rfc3339(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            database: database.to_owned(),
            issuer: issuer.to_owned(),
        }
    }

    fn is_of(&self, ring: &KeyRing) -> bool {
        ring.macs(&[KEY_CHECK, self.id.as_bytes()])
            .any(|mac| constant_time_eq(base64url(&mac).as_bytes(), self.key.as_bytes()))
    }
}

const KEY_CHECK: &[u8] = b"the key of a backup";

/// Why a file is not restored.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is something else.
    #[error("this is not a backup of keywright")]
    NotABackup,
    /// Its form is not known here.
    #[error("this backup was made by a newer keywright; restore it with that one")]
    NewerForm,
    /// Another key.
    #[error("this backup was made under another secret key")]
    AnotherKey,
    /// Its end is missing.
    #[error("this backup is not complete: its end is missing")]
    Cut,
    /// Somebody, or a disk, has changed it.
    #[error("this backup has been changed since it was made")]
    Changed,
    /// It cannot be read.
    #[error("this backup cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Writes a backup.
pub(super) struct Sealer<'a, W> {
    out: W,
    ring: &'a KeyRing,
    random: &'a dyn Random,
    digest: String,
    number: u64,
    plain: Zeroizing<Vec<u8>>,
}

impl<'a, W: Write> Sealer<'a, W> {
    /// Writes what everybody may know.
    pub(super) fn begin(
        mut out: W,
        header: &Header,
        ring: &'a KeyRing,
        random: &'a dyn Random,
    ) -> io::Result<Self> {
        let mut head = MAGIC.to_vec();
        head.extend(serde_json::to_vec(header)?);
        head.push(b'\n');
        out.write_all(&head)?;
        let digest = base64url(&sha256(&head));
        Ok(Self { out, ring, random, digest, number: 0, plain: Zeroizing::default() })
    }

    /// Adds a line, which has a letter for its kind and no line breaks.
    pub(super) fn line(&mut self, kind: char, text: &str) -> io::Result<()> {
        if self.plain.len() >= FRAME {
            self.frame(Place::Within)?;
        }
        writeln!(self.plain, "{kind}{text}")
    }

    /// Writes the last frame.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.frame(Place::Last)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn frame(&mut self, place: Place) -> io::Result<()> {
        let place = place.name(&self.digest, self.number);
        let sealed = self.ring.seal(&place, &self.plain, self.random);
        let length = u32::try_from(sealed.len()).ok().filter(|_| sealed.len() <= MAX_FRAME);
        let length = length.ok_or_else(|| io::Error::other("a row is too long for a backup"))?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&sealed)?;
        self.number += 1;
        self.plain.clear();
        Ok(())
    }
}

/// Where a frame stands.
#[derive(Clone, Copy)]
enum Place {
    Within,
    Last,
}

impl Place {
    fn name(self, digest: &str, number: u64) -> String {
        let place = match self {
            Self::Within => "within",
            Self::Last => "last",
        };
        format!("backup:{digest}:{number}:{place}")
    }
}

/// Reads a backup, frame by frame.
pub(super) struct Opener<'a, R> {
    input: R,
    ring: &'a KeyRing,
    pub(super) header: Header,
    digest: String,
    number: u64,
    /// The frame that was read and not answered yet: whether it is the last is known by what follows.
    waiting: Option<Vec<u8>>,
}

impl<'a, R: Read> Opener<'a, R> {
    /// Reads what everybody may know.
    pub(super) fn begin(mut input: R, ring: &'a KeyRing) -> Result<Self, Fault> {
        let mut head = vec![0; MAGIC.len()];
        let length = fill(&mut input, &mut head)?;
        head.truncate(length);
        if head != MAGIC {
            let of_any = head.starts_with(MAGIC_OF_ANY);
            return Err(if of_any { Fault::NewerForm } else { Fault::NotABackup });
        }
        let mut byte = [0];
        while byte != *b"\n" {
            if head.len() >= MAX_HEADER {
                return Err(Fault::Changed);
            }
            if fill(&mut input, &mut byte)? == 0 {
                return Err(Fault::Cut);
            }
            head.extend(byte);
        }
        let line = head.get(MAGIC.len()..).unwrap_or_default();
        let header: Header = serde_json::from_slice(line).ok().ok_or(Fault::Changed)?;
        if !header.is_of(ring) {
            return Err(Fault::AnotherKey);
        }
        let digest = base64url(&sha256(&head));
        let mut opener = Self { input, ring, header, digest, number: 0, waiting: None };
        opener.waiting = Some(opener.read()?.ok_or(Fault::Cut)?);
        Ok(opener)
    }

    /// The lines of the next frame; nothing after the last.
    pub(super) fn frame(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let Some(sealed) = self.waiting.take() else {
            return Ok(None);
        };
        self.waiting = self.read()?;
        let expected = if self.waiting.is_some() { Place::Within } else { Place::Last };
        let open = |place: Place| self.ring.open(&place.name(&self.digest, self.number), &sealed);
        let Some(plain) = open(expected) else {
            let cut = matches!(expected, Place::Last) && open(Place::Within).is_some();
            return Err(if cut { Fault::Cut } else { Fault::Changed });
        };
        self.number += 1;
        Ok(Some(plain))
    }

    /// The next frame as it stands there; nothing at the end.
    fn read(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let mut length = [0; 4];
        match fill(&mut self.input, &mut length)? {
            0 => return Ok(None),
            4 => {}
            _ => return Err(Fault::Cut),
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(Fault::Changed);
        }
        let mut sealed = Vec::new();
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        self.input.by_ref().take(limit).read_to_end(&mut sealed)?;
        if sealed.len() < length { Err(Fault::Cut) } else { Ok(Some(sealed)) }
    }
}

/// Reads as much as there is, up to the length of the buffer.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::{random::OsRandom, seal::Purpose, secret::Secret};

    fn ring(key: &str) -> KeyRing {
        KeyRing::derive(&Secret::new(key), &[], Purpose::Backup)
    }

    /// A backup of three frames.
    fn written(ring: &KeyRing) -> Vec<u8> {
        let about = ("https://id.test", "SQLite", "00000000000001".to_owned());
        let header = Header::new(about, ring, &OsRandom, Timestamp::from_unix(0));
        let mut sealer = Sealer::begin(Vec::new(), &header, ring, &OsRandom).unwrap();
        for at in 0..3 {
            sealer.line('R', &format!("[{at},\"{}\"]", "x".repeat(FRAME))).unwrap();
        }
        sealer.end().unwrap()
    }

    fn read(file: &[u8], ring: &KeyRing) -> Result<Vec<u8>, Fault> {
        let mut opener = Opener::begin(file, ring)?;
        let mut all = Vec::new();
        while let Some(plain) = opener.frame()? {
            all.extend_from_slice(&plain);
        }
        Ok(all)
    }

    /// Where the frames begin and end.
    fn frames(file: &[u8]) -> Vec<(usize, usize)> {
        let breaks = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let mut at = breaks.map(|(at, _)| at).nth(1).unwrap() + 1;
        let mut frames = Vec::new();
        while at < file.len() {
            let length: [u8; 4] = file[at..at + 4].try_into().unwrap();
            let end = at + 4 + u32::from_be_bytes(length) as usize;
            frames.push((at, end));
            at = end;
        }
        frames
    }

    #[test]
    fn what_was_written_is_read() {
        let ring = ring("one");
        let file = written(&ring);
        assert_eq!(frames(&file).len(), 3);
        let all = read(&file, &ring).unwrap();
        assert_eq!(std::str::from_utf8(&all).unwrap().lines().count(), 3);
        assert!(all.starts_with(b"R[0,\"xxx"));
        // LG-05: a former key still opens it.
        let both = [Secret::new("one")];
        let both = KeyRing::derive(&Secret::new("two"), &both, Purpose::Backup);
        assert_eq!(read(&file, &both).unwrap(), all);
    }

    /// FT-32, LG-17.
    #[test]
    fn a_file_that_was_cut_anywhere_is_refused() {
        let ring = ring("one");
        let file = written(&ring);
        let ends = frames(&file).into_iter().flat_map(|(from, to)| [from, from + 3, from + 4, to]);
        for end in ends.filter(|end| *end < file.len()).chain([MAGIC.len(), 100, file.len() - 1]) {
            assert!(matches!(read(&file[..end], &ring), Err(Fault::Cut)), "{end}");
        }
        assert!(matches!(read(b"", &ring), Err(Fault::NotABackup)));
    }

    /// FT-32, LG-17.
    #[test]
    fn a_file_that_was_changed_anywhere_is_refused() {
        let ring = ring("one");
        let file = written(&ring);
        let heads = 0..frames(&file)[0].0;
        let frames = frames(&file);
        let inside = frames.iter().flat_map(|(from, to)| [from + 4, from + 5, from + 300, to - 1]);
        for at in heads.chain(inside) {
            let mut bent = file.clone();
            bent[at] ^= 1;
            assert!(read(&bent, &ring).is_err(), "{at}");
        }
        let part = |at: usize| &file[frames[at].0..frames[at].1];
        let head = &file[..frames[0].0];
        let other = written(&ring);
        let theirs = self::frames(&other);
        let foreign = &other[theirs[1].0..theirs[1].1];
        for wrong in [
            [head, part(1), part(0), part(2)].concat(),
            [head, part(0), part(2)].concat(),
            [head, part(0), part(0), part(1), part(2)].concat(),
            [head, part(0), part(1), part(2), part(2)].concat(),
            [head, part(0), foreign, part(2)].concat(),
            [&file[..], b"more"].concat(),
            [head, &[0xff; 64]].concat(),
        ] {
            let refused = read(&wrong, &ring).unwrap_err();
            assert!(matches!(refused, Fault::Changed | Fault::Cut), "{refused}");
        }
    }

    #[test]
    fn other_files_other_keys_and_newer_forms_are_told_apart() {
        let (own, other) = (ring("one"), ring("two"));
        let file = written(&own);
        assert!(matches!(read(&file, &other), Err(Fault::AnotherKey)));
        let newer = [b"keywright backup 2\n", &file[MAGIC.len()..]].concat();
        assert!(matches!(read(&newer, &own), Err(Fault::NewerForm)));
        assert!(matches!(read(b"SQLite format 3\0 and more of it", &own), Err(Fault::NotABackup)));
    }
}
