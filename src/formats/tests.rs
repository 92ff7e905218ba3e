//! Every format against the library that owns it.

use std::io::Read as _;

use super::side_files::SideFiles;
use super::*;
use crate::tokenizer::{Special, SpecialText, Tokenizer};
use crate::unicode::tests::shared;

/// A line of a file of expected answers.
#[derive(serde::Deserialize)]
pub(super) struct Case {
    pub(super) text: String,
    pub(super) ids: Vec<u32>,
    pub(super) ids_special: Option<Vec<u32>>,
    pub(super) decoded: Option<String>,
}

/// The answers of the library that owns a format, in `expected/{file}` of the shared data.
pub(super) fn cases(file: &str) -> Option<Vec<Case>> {
    let path = shared(&format!("expected/{file}"))?;
    let mut lines = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut lines).unwrap();
    let cases: Vec<Case> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 100, "{file}: {} cases", cases.len());
    Some(cases)
}

/// Encodes and decodes every case: ids, ids with special tokens added, text, offsets, counting, streaming.
#[track_caller]
pub(super) fn check(name: &str, tokenizer: &Tokenizer, cases: &[Case]) {
    let mut differences = Vec::new();
    for Case { text, ids, ids_special, decoded } in cases {
        let got = tokenizer.encode(text, Special::Ignore).unwrap();
        if got != *ids {
            differences.push(format!("{text:?}: ids {got:?}, expected {ids:?}"));
        }
        // A second time, from the memory of words.
        assert_eq!(tokenizer.encode(text, Special::Ignore).unwrap(), got, "{text:?}");
        assert_eq!(tokenizer.count(text, Special::Ignore).unwrap(), got.len(), "{text:?}");
        let encoding = tokenizer.encode_with_offsets(text, Special::Ignore).unwrap();
        assert_eq!(encoding.ids, got, "{text:?}");
        let in_order = encoding.offsets.windows(2).all(|pair| pair[0].start <= pair[1].start);
        let inside = encoding.offsets.iter().all(|span| span.start <= span.end && span.end <= text.len());
        assert!(in_order && inside, "{text:?}: {:?}", encoding.offsets);
        if let Some(ids) = ids_special {
            let got = tokenizer.encode(text, Special::Add).unwrap();
            if got != *ids {
                differences.push(format!("{text:?}: ids with special tokens {got:?}, expected {ids:?}"));
            }
        }
        let rendered = tokenizer.decode(ids, SpecialText::Skip).unwrap();
        if let Some(decoded) = decoded.as_ref().filter(|&decoded| rendered != *decoded) {
            differences.push(format!("{ids:?}: text {rendered:?}, expected {decoded:?}"));
        }
        let mut stream = tokenizer.decode_stream(SpecialText::Skip);
        let mut streamed = String::new();
        for &id in ids {
            streamed.push_str(stream.push(id).unwrap());
        }
        streamed.push_str(&stream.finish());
        assert_eq!(streamed, rendered, "{ids:?}");
    }
    let count = differences.len();
    assert!(
        differences.is_empty(),
        "{name}: {count} differences\n{}",
        differences[..count.min(5)].join("\n")
    );
}

/// The bytes of a vocabulary of the shared data.
pub(super) fn vocabulary(file: &str) -> Option<Vec<u8>> {
    Some(std::fs::read(shared(&format!("vocab/files/{file}"))?).unwrap())
}

#[test]
fn rank_files_encode_as_tiktoken_does() {
    for (expected, file) in [
        ("cl100k_base", "cl100k_base/cl100k_base.tiktoken"),
        ("o200k_base", "o200k_base/o200k_base.tiktoken"),
        ("llama3-meta", "llama3-meta/tokenizer.model"),
    ] {
        let Some(bytes) = vocabulary(file) else { return };
        let tokenizer = tiktoken::load(file, &bytes, &SideFiles::default()).unwrap();
        check(expected, &tokenizer, &cases(&format!("files/{expected}.tiktoken.jsonl.gz")).unwrap());
    }
}

#[test]
fn tekken_encodes_as_mistral_common_does() {
    let Some(bytes) = vocabulary("mistral-tekken-240911/tekken.json") else { return };
    let tokenizer = tekken::load("tekken.json", &bytes, &SideFiles::default()).unwrap();
    check("tekken", &tokenizer, &cases("files/mistral-tekken-240911.tekken.jsonl.gz").unwrap());
    assert_eq!(tokenizer.vocab_size(), 131_072);
}

#[test]
fn sentencepiece_models_encode_as_sentencepiece_does() {
    for (expected, file) in [
        ("mistral-v3", "mistral-v3/tokenizer.model"),
        ("spm-test-unigram", "spm-test-unigram/tokenizer.model"),
        ("t5-v1_1-xxl", "t5-v1_1-xxl/spiece.model"),
    ] {
        let Some(bytes) = vocabulary(file) else { return };
        let tokenizer = sentencepiece::load(file, &bytes, &SideFiles::default()).unwrap();
        check(expected, &tokenizer, &cases(&format!("files/{expected}.spm.jsonl.gz")).unwrap());
    }
}

#[test]
fn rwkv_vocabularies_encode_as_llama_cpp_encodes_them() {
    // The GGUF of the same vocabulary has its ids, and a text for each.
    let Some(bytes) = vocabulary("rwkv-world/rwkv_vocab_v20230424.txt") else { return };
    let tokenizer = rwkv::load("rwkv_vocab_v20230424.txt", &bytes, &SideFiles::default()).unwrap();
    let mut cases = cases("gguf/rwkv-world.jsonl.gz").unwrap();
    // The GGUF has a token `<s>` at id 0, which llama.cpp finds in a text; the file begins at 1.
    cases.retain(|case| !case.ids.contains(&0));
    for case in &mut cases {
        (case.ids_special, case.decoded) = (None, Some(case.text.clone()));
    }
    check("rwkv", &tokenizer, &cases);
}
