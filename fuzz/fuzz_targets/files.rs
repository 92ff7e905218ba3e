//! Arbitrary bytes as each kind of tokenizer file, without a file system: an error, or a tokenizer whose methods agree.

#![no_main]

use anytok::{Special, SpecialText, Tokenizer};
use libfuzzer_sys::fuzz_target;

const TEXT: &str = "Hello, world! ▁ é 語 \u{1F600}\n\n  x <s></s>12";

/// The file that is made up, and what lies beside it.
const KINDS: &[(&str, &[(&str, &str)])] = &[
    ("tokenizer.json", &[]),
    ("tokenizer.model", &[]),
    ("qwen.tiktoken", &[("tokenizer_config.json", r#"{"tokenizer_class": "QWenTokenizer"}"#)]),
    ("tekken.json", &[]),
    ("vocab.json", &[("merges.txt", "#version: 0.2\na b\nab c\n")]),
    ("merges.txt", &[("vocab.json", r#"{"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}"#)]),
    ("vocab.txt", &[]),
    ("rwkv_vocab_v20230424.txt", &[]),
    ("tokenizer_config.json", &[("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n##b\n")]),
    ("added_tokens.json", &[("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n##b\n")]),
    ("special_tokens_map.json", &[("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n##b\n")]),
    ("generation_config.json", &[("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n##b\n")]),
];

fuzz_target!(|input: (u8, &[u8])| {
    let (name, beside) = KINDS[usize::from(input.0) % KINDS.len()];
    let beside = beside.iter().map(|&(name, text)| (name, text.as_bytes().to_vec()));
    let Ok(tokenizer) = Tokenizer::from_files(beside.chain([(name, input.1.to_vec())])) else { return };
    for special in [Special::Ignore, Special::AddAndParse] {
        let Ok(ids) = tokenizer.encode(TEXT, special) else { continue };
        assert_eq!(tokenizer.count(TEXT, special).ok(), Some(ids.len()));
        let encoding = tokenizer.encode_with_offsets(TEXT, special).expect("as without offsets");
        assert_eq!(encoding.ids, ids);
        assert!(encoding.offsets.iter().all(|span| span.start <= span.end && span.end <= TEXT.len()));
        let Ok(decoded) = tokenizer.decode(&ids, SpecialText::Render) else { continue };
        let mut stream = tokenizer.decode_stream(SpecialText::Render);
        let mut streamed = String::new();
        for &id in &ids {
            streamed.push_str(stream.push(id).expect("decoded before"));
        }
        assert_eq!(streamed + &stream.finish(), decoded);
    }
});
