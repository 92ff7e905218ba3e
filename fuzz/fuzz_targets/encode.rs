//! Arbitrary text through a real vocabulary: decoding gives the text back, a stream gives what decoding gives, offsets stay inside the text.

#![no_main]

use std::sync::LazyLock;

use anytok::{Resolver, Special, SpecialText, Tokenizer};
use libfuzzer_sys::fuzz_target;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/models/llama-bpe.gguf");
    Resolver::builder().without_store().strict(true).offline(true).build().resolve(model).expect("a sound model").into_tokenizer()
});

fuzz_target!(|text: &str| {
    let encoding = TOKENIZER.encode_with_offsets(text, Special::Ignore).expect("every byte has a token");
    assert_eq!(encoding.ids, TOKENIZER.encode(text, Special::Ignore).expect("as above"));
    assert!(encoding.offsets.iter().all(|range| range.start <= range.end && range.end <= text.len()));
    let decoded = TOKENIZER.decode(&encoding.ids, SpecialText::Render).expect("own ids");
    let mut stream = TOKENIZER.decode_stream(SpecialText::Render);
    let mut streamed = String::new();
    for &id in &encoding.ids {
        streamed.push_str(stream.push(id).expect("own ids"));
    }
    streamed.push_str(&stream.finish());
    assert_eq!(streamed, decoded);
});
