//! Tokenizers written as a `tokenizer.json`, read by the `tokenizers` crate: the same ids, or an error that says what cannot be written.

#[allow(dead_code, reason = "these tests list models, not answers")]
mod shared;

use std::path::{Path, PathBuf};

use anytok::{Resolver, Special, TokenizerJsonError};
use serde::Deserialize;
use tokenizers::Tokenizer as Reference;

#[derive(Deserialize)]
struct Case {
    text: String,
}

const TEXTS: [&str; 13] = [
    "",
    " ",
    "Hello, world! It's 12345.67 o'clock; we'LL see.\n\n  Don'T\r\n\tdo  that…   ",
    "naïve café — 漢字 한국어 👩‍👩‍👧 e\u{301} ſ'ſ \u{A0}x\u{3000}y",
    "<s>a</s><|im_start|>user<|im_end|><|end_of_text|> <unk> [CLS] [MASK]x",
    "camelCaseWordsAndHTTPServers XMLHttp ÉCOLE École ǅ",
    "for (int i = 0; i < 10; ++i) {\n    x[i] /= 2; // half\n}\n",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1111111111111 ................",
    "▁a ▁▁ b▁",
    "привет мир, שלום, สวัสดี, नमस्ते, ١٢٣",
    "a\u{3}b \u{3} \u{40000}c\u{80000}\u{100000}",
    "\u{0}\u{1}\u{7f}\u{feff}\u{200d}\u{fffd}",
    "   leading and trailing   ",
];

fn models() -> Vec<PathBuf> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/models");
    let mut directories = vec![testdata];
    if let Some(root) = shared::root() {
        directories.extend([root.join("vocab/gguf"), root.join("vocab/files")]);
    }
    let mut models: Vec<PathBuf> = directories
        .iter()
        .flat_map(|directory| std::fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    models.sort();
    models
}

#[test]
fn what_is_written_gives_the_same_ids() {
    let mut texts: Vec<String> = TEXTS.iter().map(|&text| text.to_owned()).collect();
    if let Some(root) = shared::root() {
        let cases: Vec<Case> = shared::lines(&root.join("expected/gguf/llama-bpe.jsonl.gz"));
        texts.extend(cases.into_iter().step_by(5).map(|case| case.text).filter(|text| text.len() < 4000));
    }
    let resolver = Resolver::builder().offline(true).without_store().strict(true).build();
    let (mut written, mut refused, mut otherwise) = (0, 0, Vec::new());
    for path in models() {
        let Ok(found) = resolver.resolve(&path) else { continue };
        let tokenizer = found.tokenizer();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let json = match tokenizer.to_tokenizer_json() {
            Ok(json) => json,
            Err(error) => {
                println!("{name}: {error}");
                otherwise.extend(matches!(error, TokenizerJsonError::ReadsOtherwise { .. }).then_some(name));
                refused += 1;
                continue;
            }
        };
        let mut reference = Reference::from_bytes(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        reference.with_truncation(None).unwrap().with_padding(None);
        for text in &texts {
            for (special, adds) in [(Special::AddAndParse, true), (Special::Parse, false)] {
                let ids = tokenizer.encode(text, special).unwrap();
                let theirs = reference.encode_fast(text.as_str(), adds).unwrap();
                assert_eq!(theirs.get_ids(), ids, "{name}: {text:?}");
            }
        }
        println!("{name}: written, {} bytes", json.len());
        written += 1;
    }
    println!("{written} written, {refused} refused");
    assert!(otherwise.is_empty(), "{otherwise:?}");
    assert!(written >= 8 && refused >= 4, "{written} {refused}");
}
