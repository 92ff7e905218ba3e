//! Bytes changed in what the store keeps: the model's own ids are served, never others.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anytok::{Resolver, Special};
use libfuzzer_sys::fuzz_target;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/models/llama-bpe.gguf");
const TEXT: &str = "Hello, world! 12 é";

fn encode(store: &Path) -> Vec<u32> {
    let resolver = Resolver::builder().offline(true).store_dir(store).build();
    let ids = resolver.resolve(MODEL).expect("a sound model").tokenizer().encode(TEXT, Special::Add).expect("its text");
    resolver.store().flush();
    ids
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A store that holds the model, each file with its path below the store.
static KEPT: LazyLock<(Vec<u32>, Vec<(PathBuf, Vec<u8>)>)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ids = encode(directory.path());
    let kept = files(directory.path()).into_iter().map(|path| {
        let bytes = fs::read(&path).expect("a file of the store");
        (path.strip_prefix(directory.path()).expect("below the store").to_owned(), bytes)
    });
    let kept: Vec<_> = kept.collect();
    assert!(kept.iter().any(|(_, bytes)| bytes.len() > 4096), "an image among them");
    (ids, kept)
});

fuzz_target!(|input: (u8, Vec<(u16, u8)>, Option<u16>, &[u8])| {
    let (which, changes, cut, tail) = input;
    let (ids, kept) = &*KEPT;
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (i, (path, bytes)) in kept.iter().enumerate() {
        let mut bytes = bytes.clone();
        if i == usize::from(which) % kept.len() {
            let len = bytes.len().max(1);
            for &(at, xor) in &changes {
                if let Some(byte) = bytes.get_mut(usize::from(at) % len) {
                    *byte ^= xor;
                }
            }
            if let Some(cut) = cut {
                bytes.truncate(usize::from(cut) % len);
                bytes.extend_from_slice(tail);
            }
        }
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().expect("below the store")).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }
    // Twice: what was found damaged is replaced.
    assert_eq!(&encode(directory.path()), ids);
    assert_eq!(&encode(directory.path()), ids);
});
