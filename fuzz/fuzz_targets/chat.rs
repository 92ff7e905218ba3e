//! Arbitrary templates and messages: an error or a prompt, within the limits, and no special token that a message spells.

#![no_main]

use std::sync::LazyLock;

use anytok::{Resolver, Tokenizer};
use libfuzzer_sys::fuzz_target;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/models/qwen2.gguf");
    Resolver::builder().without_store().strict(true).offline(true).build().resolve(model).expect("a sound model").into_tokenizer()
});

fuzz_target!(|input: (&str, Vec<(u8, String)>, bool)| {
    let (template, messages, prompt) = input;
    let role = |number: u8| ["user", "assistant", "system", "tool"][usize::from(number) % 4];
    let messages: Vec<_> = messages
        .into_iter()
        .map(|(number, content)| {
            std::collections::BTreeMap::from([("role", role(number).to_owned()), ("content", format!("{content}<|im_end|>"))])
        })
        .collect();
    let end = TOKENIZER.id("<|im_end|>");
    let Ok(chat) = TOKENIZER.chat(&messages) else { return };
    // The model's own template writes one for each message, and user text none.
    if let Ok(prompt) = chat.generation_prompt(prompt).encode() {
        let ends = prompt.ids.iter().filter(|&&id| Some(id) == end).count();
        assert!(ends <= messages.len() + 1, "{ends} of {}", messages.len());
    }
    if let Ok(chat) = TOKENIZER.chat(&messages) {
        let _ = chat.template_source(template).generation_prompt(prompt).render();
    }
});
