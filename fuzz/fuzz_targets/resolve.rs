//! Arbitrary bytes as a model or tokenizer file: whatever they are, a tokenizer comes of it (the last resort encodes bytes),
//! and it encodes and decodes without a panic.

#![no_main]

use std::io::Write;

use anytok::{Resolver, Special, SpecialText, Strategy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("model.bin");
    std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("a temporary file");
    let resolver = Resolver::builder()
        .without_store()
        .chain(vec![Strategy::Embedded, Strategy::Sibling, Strategy::Backup])
        .build();
    let found = resolver.resolve(&path).expect("the last resort always finds one");
    if let Ok(ids) = found.tokenizer().encode("Hello, world! ▁ é 語 \u{1F600}\n\n  x", Special::AddAndParse) {
        let _ = found.tokenizer().decode(&ids, SpecialText::Skip);
    }
});
