//! What is noted of an answer: a small file of one line of checksum and one of JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::dependencies::{Dependencies, Identity};

/// An answer, with all that it takes to know whether it still is one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Where the model was, links followed: for people, since a lookup goes by the name of the record.
    pub(super) path: String,
    /// Of the model; `None` when it had only just been written.
    pub(super) identity: Option<Identity>,
    /// What the answer depends on inside the model, in hex.
    pub(super) content: Option<String>,
    /// The name of the record for that content, if the answer depends on it and on nothing else.
    pub(super) portable: Option<String>,
    pub(super) dependencies: Dependencies,
    pub(super) provenance: Provenance,
    pub(super) image: Option<Image>,
}

/// How an answer came about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Provenance {
    /// The strategy's name.
    pub(crate) strategy: String,
    /// Where the tokenizer came from, for people.
    pub(crate) source: String,
    /// The Hub repository, and the commit of it that was used.
    pub(crate) repository: Option<String>,
    pub(crate) commit: Option<String>,
    /// The whole story, in words of the caller's own.
    pub(crate) story: String,
    /// What the caller should know.
    pub(crate) notes: Vec<String>,
}

/// An image in the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Image {
    /// The image's checksum in hex, which is also its name.
    pub(super) checksum: String,
    /// The file as it was when it had just been written or verified.
    pub(super) identity: Option<Identity>,
}

impl Record {
    pub(super) fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let mut bytes = blake3::hash(&json).to_hex().as_bytes().to_vec();
        bytes.push(b'\n');
        bytes.extend_from_slice(&json);
        Ok(bytes)
    }

    /// The record in `bytes`, or `None` if they are not what [`Record::to_bytes`] made.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (checksum, json) = bytes.split_at_checked(64)?;
        let json = json.strip_prefix(b"\n")?;
        if checksum != blake3::hash(json).to_hex().as_bytes() {
            return None;
        }
        let record: Self = serde_json::from_slice(json).ok()?;
        // These become paths.
        let names = [record.image.as_ref().map(|image| &image.checksum), record.portable.as_ref()];
        let sound = |name: &String| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let all_sound = names.into_iter().flatten().all(sound);
        all_sound.then_some(record)
    }
}

/// An answer in the store, as [`Store::list`](super::Store::list) gives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Where the model was when it was resolved, links followed.
    pub model: PathBuf,
    /// The strategy that found the tokenizer.
    pub strategy: String,
    /// Where the tokenizer came from.
    pub source: String,
    /// The Hub repository the tokenizer came from, if it did.
    pub repository: Option<String>,
    /// The commit of that repository.
    pub commit: Option<String>,
    /// Bytes on disk, the image included. Models of the same content share an image, which then counts for each.
    pub bytes: u64,
    /// When the answer was last used, to the hour.
    pub last_used: std::time::SystemTime,
    /// The record's file name.
    pub(super) name: String,
    pub(super) content: Option<String>,
    pub(super) image: Option<String>,
}
