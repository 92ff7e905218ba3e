//! What other crates make of a tokenizer through their own traits.

#[allow(dead_code, reason = "these tests read no answers")]
mod shared;

use std::path::Path;

use anytok::{Resolver, Special, Tokenizer};
use text_splitter::{ChunkConfig, TextSplitter};
use toktrie::recognizer::{FunctionalRecognizer, StackRecognizer};
use toktrie::{TokEnv, TokTrie};

const TEXT: &str = "It was a bright cold day in April, and the clocks were striking thirteen. 1984 of them, or 3.14!\n\n\
    Ein zweiter Absatz: Straße, naïve façade. Третий. 第三段落。 🌊🌊\n\n\tfn main() { println!(\"{}\", 1 + 2); }\n";

fn tokenizer(path: &Path) -> Tokenizer {
    let resolver = Resolver::builder().offline(true).without_store().build();
    resolver.resolve(path).unwrap().into_tokenizer()
}

fn testdata(name: &str) -> Tokenizer {
    tokenizer(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/models").join(name))
}

#[test]
fn chunks_of_text_splitter_fit() {
    for name in ["llama-bpe.gguf", "llama-spm.gguf", "bert.gguf", "t5.gguf"] {
        let tokenizer = testdata(name);
        for capacity in [12, 40, 1000] {
            let splitter =
                TextSplitter::new(ChunkConfig::new(capacity).with_sizer(&tokenizer).with_trim(false));
            let chunks: Vec<&str> = splitter.chunks(TEXT).collect();
            assert_eq!(chunks.concat(), TEXT, "{name}");
            for chunk in &chunks {
                let count = tokenizer.count(chunk, Special::Ignore).unwrap();
                assert!(count <= capacity || chunk.chars().count() == 1, "{name}: {chunk:?} has {count}");
            }
            assert_eq!(chunks.len() == 1, capacity == 1000, "{name}");
        }
    }
}

/// Tokens are what the tokenizer says, marked where they are special; the texts they are found by are spelled.
fn holds(name: &str, tokenizer: &Tokenizer) -> TokEnv {
    let env = tokenizer.tok_env().unwrap();
    let trie = env.tok_trie();
    assert_eq!(trie.vocab_size(), tokenizer.vocab_size() as usize);
    for id in 0..tokenizer.vocab_size() {
        let token = trie.token(id);
        if tokenizer.is_special(id) || tokenizer.is_eog(id) {
            let text = tokenizer.token_text(id).unwrap();
            assert_eq!(token, [&[TokTrie::SPECIAL_TOKEN_MARKER], &*text].concat(), "{name}: {id}");
        } else {
            assert_eq!(token, tokenizer.token_bytes(id).unwrap_or_default(), "{name}: {id}");
        }
    }
    assert!(env.tokenize_is_canonical(), "{name}");
    for eos in tokenizer.eog_tokens() {
        assert!(trie.eos_tokens().contains(eos), "{name}");
    }
    for text in TEXT.split_inclusive('\n').chain([TEXT, "Hello", " Hello", "", "里"]) {
        let ids = env.tokenize(text);
        assert_eq!(trie.decode_str(&ids), text, "{name}");
        // Behind a special token no space goes in front either, so that the ids are those of the text behind one.
        assert_eq!(env.tokenize_special(text), ids, "{name}: {text:?}");
    }
    env
}

#[test]
fn toktrie_has_the_tokens_and_tokenizes_as_the_tokenizer_does() {
    for name in ["llama-bpe.gguf", "qwen2.gguf", "tokenizer-json/tokenizer.json"] {
        let tokenizer = testdata(name);
        let env = holds(name, &tokenizer);
        // Byte-level vocabularies put nothing in front of a text.
        assert_eq!(env.tokenize(TEXT), tokenizer.encode(TEXT, Special::Ignore).unwrap(), "{name}");
    }
    let spm = testdata("llama-spm.gguf");
    let env = holds("llama-spm.gguf", &spm);
    let first = spm.encode("Hello", Special::Ignore).unwrap();
    assert_eq!(spm.token_bytes(first[0]).unwrap()[0], b' ');
    assert_eq!(env.tokenize(" Hello"), first, "with the space, it is that text");
}

#[test]
fn special_tokens_are_asked_for_by_their_marker() {
    let tokenizer = testdata("qwen2.gguf");
    let env = tokenizer.tok_env().unwrap();
    let end = tokenizer.id("<|im_end|>").unwrap();
    let (ids, fixed) = env.tokenize_bytes_marker(b"Hi\xFF<|im_end|>");
    assert_eq!((ids.last(), fixed), (Some(&end), ids.len()));
    assert!(!env.tokenize("Hi<|im_end|>").contains(&end), "what a user writes is text");
    assert!(env.tokenize_special("Hi<|im_end|>").contains(&end));
    assert_eq!(env.tok_trie().get_special_token("<|im_end|>"), Some(end));
}

/// A grammar of digits.
#[derive(Clone)]
struct Digits;

impl FunctionalRecognizer<()> for Digits {
    fn initial(&self) {}

    fn try_append(&self, (): (), byte: u8) -> Option<()> {
        byte.is_ascii_digit().then_some(())
    }

    fn get_error(&self, (): ()) -> Option<String> {
        None
    }
}

#[test]
fn a_grammar_allows_the_tokens_that_fit_it() {
    let tokenizer = testdata("llama-bpe.gguf");
    let env = tokenizer.tok_env().unwrap();
    let trie = env.tok_trie();
    let mut allowed = trie.alloc_token_set();
    trie.add_bias(&mut StackRecognizer::from(Digits), &mut allowed, b"");
    let of_digits = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    let mut count = 0;
    for id in 0..tokenizer.vocab_size() {
        let fits = !tokenizer.is_special(id) && tokenizer.token_bytes(id).is_some_and(of_digits);
        assert_eq!(allowed.is_allowed(id), fits, "{id}");
        count += u32::from(fits);
    }
    assert!(count >= 10);
}

#[test]
fn a_model_that_never_ends_has_no_environment() {
    let description =
        r#"{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}"#;
    let tokenizer = Tokenizer::from_files([("tokenizer.json", description.as_bytes().to_vec())]).unwrap();
    let error = tokenizer.tok_env().err().unwrap();
    assert!(error.to_string().starts_with("expected a token that ends a generation"), "{error}");
}

#[test]
fn real_vocabularies_hold_too() {
    let Some(shared) = shared::root().map(|root| root.join("vocab/gguf")) else { return };
    for name in ["llama-bpe", "gemma-4", "llama-spm", "phi-3"] {
        holds(name, &tokenizer(&shared.join(name).with_extension("gguf")));
    }
}
