//! `doctor` finds what it is for, and is silent on a sound model.

use std::fs;
use std::path::Path;

use anytok::gguf::{Gguf, GgufBuilder};
use serde_json::Value;

use crate::run;

/// A GGUF beside the `tokenizer.json` with the same tokens.
struct Model(tempfile::TempDir);

impl Model {
    fn sound() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for file in fs::read_dir("testdata/models/tokenizer-json").unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
        }
        fs::remove_file(directory.path().join("model.safetensors")).unwrap();
        let gguf = Gguf::parse(fs::read("testdata/models/llama-bpe.gguf").unwrap()).unwrap();
        let template = fs::read_to_string("testdata/models/tokenizer-json/chat_template.jinja").unwrap();
        let gguf = GgufBuilder::copy_of(&gguf, |_| true).string("tokenizer.chat_template", template);
        fs::write(directory.path().join("model.gguf"), gguf.finish()).unwrap();
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Replaces one key of the GGUF.
    fn set(&self, key: &str, set: impl FnOnce(&Gguf, GgufBuilder) -> GgufBuilder) {
        let path = self.path().join("model.gguf");
        let gguf = Gguf::parse(fs::read(&path).unwrap()).unwrap();
        assert!(gguf.entries().any(|entry| entry.key() == key.as_bytes()), "no {key}");
        let kept = GgufBuilder::copy_of(&gguf, |name| name != key.as_bytes());
        fs::write(path, set(&gguf, kept).finish()).unwrap();
    }

    fn edit(&self, file: &str, edit: impl FnOnce(&mut Value)) {
        let path = self.path().join(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut value);
        fs::write(path, value.to_string()).unwrap();
    }

    /// Exit status, answer of the file beside the model, and its differences: kind and all that is said of it.
    #[track_caller]
    fn examined(&self) -> (Option<i32>, String, Vec<(String, String)>) {
        let path = self.path().join("model.gguf");
        let output = run(&["doctor", path.to_str().unwrap(), "--json"], "");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let sources = report["sources"].as_array().unwrap();
        let sibling = sources.iter().find(|source| source["strategy"] == "sibling").unwrap();
        let differences = sibling["differences"].as_array().unwrap().iter();
        let differences = differences
            .map(|difference| (difference["kind"].as_str().unwrap().to_owned(), difference.to_string()))
            .collect();
        (output.status.code(), sibling["answer"].as_str().unwrap().to_owned(), differences)
    }

    /// The differences, of which one has this kind and says all of this.
    #[track_caller]
    fn assert_found(&self, kind: &str, says: &[&str]) {
        let (status, answer, differences) = self.examined();
        assert_eq!((status, &answer[..]), (Some(1), "differs"), "{differences:?}");
        let found = differences.iter().find(|(found, _)| found == kind);
        let (_, text) = found.unwrap_or_else(|| panic!("expected {kind}, found {differences:?}"));
        for part in says {
            assert!(text.contains(part), "expected {part:?} in {text}");
        }
    }
}

#[test]
fn a_sound_model_has_no_differences() {
    let model = Model::sound();
    assert_eq!(model.examined(), (Some(0), "agrees".into(), vec![]));
    let path = model.path().join("model.gguf");
    let output = run(&["doctor", path.to_str().unwrap()], "");
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("2 sources agree, on every token and on 60 texts"), "{report}");
    assert!(!report.contains("to do"), "{report}");
}

#[test]
fn every_model_of_the_repository_agrees_with_itself() {
    for entry in fs::read_dir("testdata/models").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let output = run(&["doctor", path.to_str().unwrap()], "");
        let is_broken = ["no-pre.gguf", "unknown-pre.gguf"].contains(&name);
        let report = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(i32::from(is_broken)), "{name}:\n{report}");
    }
}

#[test]
fn a_wrong_pre_is_found_and_the_right_one_named() {
    let model = Model::sound();
    model.set("tokenizer.ggml.pre", |_, gguf| gguf.string("tokenizer.ggml.pre", "gpt-2"));
    model.assert_found("Ids", &["`tokenizer.ggml.pre` is `gpt-2`", "--pre-tokenizer"]);
}

#[test]
fn a_missing_pre_is_found() {
    let model = Model::sound();
    fs::copy("testdata/models/no-pre.gguf", model.path().join("model.gguf")).unwrap();
    let output = run(&["doctor", model.path().join("model.gguf").to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("tokenizer.ggml.pre"), "{report}");
}

#[test]
fn a_missing_added_token_is_found() {
    let model = Model::sound();
    let mut removed = String::new();
    model.edit("tokenizer.json", |json| {
        let token = json["added_tokens"].as_array_mut().unwrap().pop().unwrap();
        removed = token["content"].as_str().unwrap().to_owned();
        if let Some(vocabulary) = json["model"]["vocab"].as_object_mut() {
            vocabulary.remove(&removed);
        }
    });
    model.assert_found("MissingToken", &[&removed]);
}

#[test]
fn two_tokens_that_changed_places_are_found() {
    let model = Model::sound();
    model.set("tokenizer.ggml.tokens", |gguf, builder| {
        let mut tokens: Vec<Vec<u8>> =
            gguf.strings("tokenizer.ggml.tokens").unwrap().map(<[u8]>::to_vec).collect();
        tokens.swap(300, 301);
        builder.strings("tokenizer.ggml.tokens", tokens)
    });
    model.assert_found("Token", &["300"]);
}

#[test]
fn another_bos_is_found() {
    let model = Model::sound();
    model.set("tokenizer.ggml.bos_token_id", |gguf, builder| {
        let bos = gguf.u32("tokenizer.ggml.bos_token_id").unwrap();
        builder.u32("tokenizer.ggml.bos_token_id", bos + 1)
    });
    model.assert_found("Role", &["BOS", "tokenizer.ggml.bos_token_id"]);
    model.assert_found("Frame", &[]);
}

#[test]
fn another_template_is_found() {
    let model = Model::sound();
    model.set("tokenizer.chat_template", |gguf, builder| {
        let template = gguf.str("tokenizer.chat_template").unwrap();
        builder.string("tokenizer.chat_template", template.replacen("content", "content|trim", 1))
    });
    model.assert_found("Template", &["chat template", "|trim"]);
}
