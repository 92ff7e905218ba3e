//! Arbitrary bytes as what lies around a model: what is at the path is told, or an error; names never lead out of the directory.

#![no_main]

use std::fs;

use anytok::{Resolver, Special, Strategy};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 10] = [
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "params.json",
    "tokenizer_config.json",
    "generation_config.json",
    "adapter_config.json",
    "manifest.json",
    "README.md",
    "chat_template.json",
];

fuzz_target!(|input: (u8, &[u8], bool)| {
    let (which, bytes, as_path) = input;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let model = directory.path().join("model");
    fs::create_dir(&model).expect("a directory");
    let vocabulary = "[UNK]\n[CLS]\n[SEP]\n[PAD]\na\n##b\nhello\n";
    fs::write(model.join("vocab.txt"), vocabulary).expect("a file");
    let path = model.join(NAMES[usize::from(which) % NAMES.len()]);
    fs::write(&path, bytes).expect("a file");
    let chain = vec![Strategy::Embedded, Strategy::Cache, Strategy::Sibling, Strategy::Backup];
    let resolver = Resolver::builder().without_store().offline(true).chain(chain).build();
    if let Ok(found) = resolver.resolve(if as_path { &path } else { &model }) {
        let _ = found.tokenizer().encode("hello ab", Special::Add);
        assert!(!found.to_string().is_empty());
    }
});
