//! Models and tokenizer files of a few kilobytes: the bytes as tokens, and "Hello" merged from them.

use anytok::gguf::GgufBuilder;

/// Ids of "Hello, world!" by the tokenizer of this module: "Hello" is one token, the rest are bytes.
pub(crate) const HELLO: [u32; 9] = [259, 44, 32, 119, 111, 114, 108, 100, 33];

const MERGES: [(&str, &str); 4] = [("H", "e"), ("l", "l"), ("He", "ll"), ("Hell", "o")];

/// Tokens by id: byte `b` is token `b`, written as GPT-2 writes bytes, then the merged ones, then `<|end|>`.
pub(crate) fn tokens() -> Vec<String> {
    let mut tokens: Vec<String> = byte_alphabet().iter().map(char::to_string).collect();
    tokens.extend(MERGES.iter().map(|(left, right)| format!("{left}{right}")));
    tokens.push("<|end|>".into());
    tokens
}

/// A `tokenizer.json` of byte-level BPE.
pub(crate) fn tokenizer_json() -> Vec<u8> {
    let tokens = tokens();
    let (end, rest) = tokens.split_last().unwrap();
    let vocab: serde_json::Map<String, serde_json::Value> =
        rest.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect();
    let byte_level = serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let json = serde_json::json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": rest.len(), "content": end, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab,
            "merges": MERGES.map(|(left, right)| format!("{left} {right}")),
        },
    });
    serde_json::to_vec(&json).unwrap()
}

/// A `tokenizer.json` that is well-formed and of no use.
pub(crate) const BROKEN: &[u8] = br#"{"version":"1.0","model":{"type":"BPE","vocab":7,"merges":[]}}"#;

/// A `tokenizer_config.json` that gives the end of text its role.
pub(crate) const CONFIG: &[u8] = br#"{"eos_token":"<|end|>","chat_template":"{{ messages }}"}"#;

/// A GGUF that says how many rows its vocabulary has, and nothing of its tokenizer.
pub(crate) fn bare_gguf() -> GgufBuilder {
    GgufBuilder::new().string("general.architecture", "llama").u32("llama.vocab_size", tokens().len() as u32)
}

/// A GGUF with its tokenizer.
pub(crate) fn whole_gguf() -> GgufBuilder {
    gguf_without_pre().string("tokenizer.ggml.pre", "gpt-2")
}

/// A GGUF that tells its tokens and not how its text is cut.
pub(crate) fn gguf_without_pre() -> GgufBuilder {
    let tokens = tokens();
    let types = (0..tokens.len()).map(|id| if id + 1 == tokens.len() { 3 } else { 1 });
    bare_gguf()
        .string("tokenizer.ggml.model", "gpt2")
        .i32s("tokenizer.ggml.token_type", types)
        .strings("tokenizer.ggml.merges", MERGES.map(|(left, right)| format!("{left} {right}")))
        .strings("tokenizer.ggml.tokens", tokens)
}

/// A safetensors file with the embedding's shape and no data.
pub(crate) fn safetensors() -> Vec<u8> {
    let rows = tokens().len();
    let header = format!(
        r#"{{"model.embed_tokens.weight":{{"dtype":"F16","shape":[{rows},0],"data_offsets":[0,0]}}}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes
}

/// The characters that stand for bytes 0 to 255 in byte-level vocabularies: printable ones for themselves, the others by
/// those from U+0100 on.
fn byte_alphabet() -> Vec<char> {
    let mut others = '\u{100}'..;
    (0..=255u8)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => others.next().unwrap(),
        })
        .collect()
}
