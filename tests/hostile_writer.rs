//! Another process that cuts short, overwrites and removes files while they are read and afterwards.
//!
//! A mapped file would end this process by a signal; a file read in halves would give wrong ids.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anytok::gguf::GgufBuilder;
use anytok::{Resolver, Special, Strategy};

const TEXT: &str = "Hello, world! 123 \u{e9}\u{1F600}";

/// A process that puts the file's content there, cuts it to nothing, to half, overwrites it and removes it, over and over.
struct Writer(Child);

impl Writer {
    fn begin(file: &Path, copy: &Path) -> Self {
        let script = "half=$(($(wc -c <\"$1\") / 2)); \
            while :; do cp \"$1\" \"$2\"; head -c \"$half\" \"$1\" >\"$2\"; : >\"$2\"; \
            cp \"$1\" \"$2\"; head -c \"$half\" /dev/zero >\"$2\"; rm -f \"$2\"; done";
        let child = Command::new("sh")
            .args(["-c", script, "writer"])
            .args([copy, file])
            .stderr(Stdio::null())
            .spawn()
            .expect("a POSIX shell");
        Self(child)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

/// Resolves `model` again and again while `victim` is attacked: a whole answer or none, and what was taken stays.
fn hold_out(model: &Path, victim: &Path, store: Option<&Path>) {
    let copy = victim.with_extension("copy");
    std::fs::copy(victim, &copy).unwrap();
    let resolver = || {
        let builder = Resolver::builder().offline(true).chain([Strategy::Embedded, Strategy::Sibling]);
        match store {
            Some(store) => builder.store_dir(store).build(),
            None => builder.without_store().build(),
        }
    };
    let expected = resolver().resolve(model).unwrap().tokenizer().encode(TEXT, Special::Add).unwrap();
    let kept = resolver().resolve(model).unwrap();
    let writer = Writer::begin(victim, &copy);
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        // An error is one of the answers that a file in pieces may have.
        if let Ok(found) = resolver().resolve(model) {
            assert_eq!(found.tokenizer().encode(TEXT, Special::Add).unwrap(), expected);
        }
        assert_eq!(kept.tokenizer().encode(TEXT, Special::Add).unwrap(), expected);
    }
    drop(writer);
    std::fs::write(victim, b"").unwrap();
    assert_eq!(kept.tokenizer().encode(TEXT, Special::Add).unwrap(), expected);
    let _ = std::fs::remove_file(victim);
    assert_eq!(kept.tokenizer().encode(TEXT, Special::Add).unwrap(), expected);
}

#[test]
fn a_model_that_is_cut_short_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let model = directory.path().join("model.gguf");
    std::fs::copy(testdata("models/llama-bpe.gguf"), &model).unwrap();
    hold_out(&model, &model, None);
}

#[test]
fn a_sibling_that_is_cut_short_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let model = directory.path().join("model.gguf");
    std::fs::write(&model, GgufBuilder::new().string("general.architecture", "llama").finish()).unwrap();
    let sibling = directory.path().join("tokenizer.json");
    std::fs::copy(testdata("models/tokenizer-json/tokenizer.json"), &sibling).unwrap();
    hold_out(&model, &sibling, None);
}

#[test]
fn an_image_of_the_store_that_is_cut_short_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let model = directory.path().join("model.gguf");
    let store = directory.path().join("store");
    std::fs::copy(testdata("models/llama-bpe.gguf"), &model).unwrap();
    let resolver = Resolver::builder().offline(true).store_dir(&store).build();
    resolver.resolve(&model).unwrap();
    resolver.store().flush();
    let image = std::fs::read_dir(store.join("1/images")).unwrap().next().unwrap().unwrap().path();
    hold_out(&model, &image, Some(&store));
}
