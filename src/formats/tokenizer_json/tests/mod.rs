use std::io::Read as _;
use std::path::PathBuf;

#[cfg(feature = "tokenizers")]
mod against_the_crate;

use super::*;
use crate::formats::{Content, Files};
use crate::store::image::{self, Trust};
use crate::{Special, SpecialText};

/// The vocabularies and answers that lie beside the project, if they do.
pub(crate) fn shared() -> Option<PathBuf> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("ANYTOK_SHARED").map_or_else(default, PathBuf::from);
    if shared.is_dir() {
        return Some(shared);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is absent", shared.display());
    println!("skipped: ../shared is absent");
    None
}

pub(crate) struct Case {
    pub(crate) text: String,
    pub(crate) ids: Vec<u32>,
    pub(crate) ids_special: Vec<u32>,
    pub(crate) decoded: String,
}

pub(crate) fn cases(name: &str) -> Vec<Case> {
    let path = shared().unwrap().join("expected/files").join(format!("{name}.jsonl.gz"));
    let mut lines = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut lines).unwrap();
    let ids = |value: &serde_json::Value| serde_json::from_value(value.clone()).unwrap();
    let case = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| value[key].as_str().unwrap().to_owned();
        Case {
            text: text("text"),
            ids: ids(&value["ids"]),
            ids_special: ids(&value["ids_special"]),
            decoded: text("decoded"),
        }
    };
    lines.lines().map(case).collect()
}

/// All files of a directory of the shared vocabularies.
pub(crate) fn files(name: &str) -> Files {
    let mut files = Files::default();
    for entry in std::fs::read_dir(shared().unwrap().join("vocab/files").join(name)).unwrap() {
        let entry = entry.unwrap();
        files.insert(entry.file_name().into_string().unwrap(), Content::Path(entry.path()));
    }
    files
}

fn open(name: &str) -> (Bytes, SideFiles) {
    let files = files(name);
    (files.open("tokenizer.json").unwrap().unwrap(), SideFiles::read(&files))
}

/// Everything a tokenizer says of a text is right, and all its ways of saying it agree.
#[track_caller]
pub(crate) fn agrees(tokenizer: &Tokenizer, case: &Case) {
    let text = case.text.as_str();
    assert_eq!(tokenizer.encode(text, Special::Ignore).unwrap(), case.ids, "{text:?}");
    assert_eq!(tokenizer.encode(text, Special::Add).unwrap(), case.ids_special, "{text:?}");
    assert_eq!(tokenizer.decode(&case.ids, SpecialText::Render).unwrap(), case.decoded, "{text:?}");
    one_story(tokenizer, text);
}

/// The tokenizer as the next process reads it from the store.
pub(crate) fn stored(tokenizer: &Tokenizer) -> Tokenizer {
    let mut image = Vec::new();
    image::write(tokenizer, &mut image).unwrap();
    image::read(&image.into(), Trust::Nothing).unwrap()
}

/// Counting, offsets and streams tell the same as encoding and decoding.
#[track_caller]
pub(crate) fn one_story(tokenizer: &Tokenizer, text: &str) {
    let ids = tokenizer.encode(text, Special::AddAndParse).unwrap();
    assert_eq!(tokenizer.count(text, Special::AddAndParse).unwrap(), ids.len(), "{text:?}");
    let encoding = tokenizer.encode_with_offsets(text, Special::AddAndParse).unwrap();
    assert_eq!(encoding.ids, ids, "{text:?}");
    assert!(encoding.offsets.iter().all(|span| span.start <= span.end && span.end <= text.len()), "{text:?}");
    for special in [SpecialText::Render, SpecialText::Skip] {
        let mut stream = tokenizer.decode_stream(special);
        let mut streamed = String::new();
        for &id in &ids {
            streamed += stream.push(id).unwrap();
        }
        streamed += &stream.finish();
        assert_eq!(streamed, tokenizer.decode(&ids, special).unwrap(), "{text:?}");
    }
}

pub(crate) fn engine(tokenizer: &Tokenizer) -> String {
    match &tokenizer.recipe().pipeline {
        Pipeline::Tokenizers(_) => "native".to_owned(),
        Pipeline::Crate(wrapped) => {
            let decoder = if wrapped.renderer.is_some() { "decoded here" } else { "decoded there" };
            format!("crate, {decoder}: {}", wrapped.reason)
        }
        _ => "other".to_owned(),
    }
}

const SHARED: &[&str] =
    &["all-minilm-l6-v2", "deepseek-v3", "gpt-4o", "llama2", "llama3.1", "qwen3", "t5-v1_1-xxl"];

#[test]
fn shared_files_encode_and_decode_as_the_library_does() {
    if shared().is_none() {
        return;
    }
    for name in SHARED {
        let (bytes, side) = open(name);
        let started = std::time::Instant::now();
        let tokenizer = load_json(&bytes, &side).unwrap();
        println!("{name}: {} ({:?})", engine(&tokenizer), started.elapsed());
        let stored = stored(&tokenizer);
        for case in cases(&format!("{name}.json")) {
            agrees(&tokenizer, &case);
            agrees(&stored, &case);
        }
    }
}
