//! Vocabularies made up by a grammar, and texts: every way to encode gives the same ids, whether merges are looked up in the list or in
//! compiled tables, read from the store or from the file, on one thread or on many; and every way to decode the same text.

#![no_main]

use anytok::gguf::GgufBuilder;
use anytok::{Resolver, Special, SpecialText, Tokenizer};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Case {
    model: u8,
    pre: u8,
    /// Each token is two that are there already.
    joins: Vec<(u8, u8)>,
    /// Lines of the list that are no joins.
    strays: Vec<(u8, u8)>,
    scores: Vec<i8>,
    types: Vec<u8>,
    swaps: Vec<(u8, u8)>,
    switches: [bool; 4],
    texts: Vec<Vec<Piece>>,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    Token(u8),
    Letter(u8),
    Char(char),
    Repeat(u8, u8),
}

const LETTERS: [&str; 12] = ["a", "b", "c", " ", "1", "é", "語", "\n", ".", "'s", "A", "▁"];
const PRES: [&str; 8] = ["gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "gpt-4o", "tekken", "falcon", "default"];

impl Case {
    fn gguf(&self) -> (Vec<u8>, Vec<String>) {
        let model = ["gpt2", "llama", "t5", "bert", "gemma4", "rwkv"][usize::from(self.model) % 6];
        let byte_level = model == "gpt2";
        // The GPT-2 alphabet of what these letters are made of.
        let spelled = |text: &str| -> String {
            if !byte_level {
                return text.replace(' ', "▁");
            }
            let byte = |byte: u8| match byte {
                b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
                0..=32 => char::from_u32(256 + u32::from(byte)).unwrap_or(' '),
                127..=160 => char::from_u32(256 + 33 + u32::from(byte) - 127).unwrap_or(' '),
                0xAD => '\u{143}',
            };
            text.bytes().map(byte).collect()
        };
        let mut tokens: Vec<String> = vec!["<unk>".into(), "<s>".into(), "</s>".into()];
        let mut kinds: Vec<i32> = vec![2, 3, 3];
        let letters: Vec<String> = if byte_level {
            (0..=255u8).map(|byte| spelled(&String::from_utf8_lossy(&[byte]))).filter(|text| text.chars().count() == 1).collect()
        } else {
            LETTERS.iter().map(|letter| spelled(letter)).collect()
        };
        for letter in letters.into_iter().chain(LETTERS.iter().map(|letter| spelled(letter))) {
            if !tokens.contains(&letter) {
                tokens.push(letter);
                kinds.push(1);
            }
        }
        let first = 3;
        let mut merges = Vec::new();
        for (i, &(left, right)) in self.joins.iter().take(40).enumerate() {
            let pick = |at: u8| tokens[first + usize::from(at) * 7 % (tokens.len() - first)].clone();
            let (left, right) = (pick(left), pick(right));
            let joined = format!("{left}{right}");
            merges.push(format!("{left} {right}"));
            if joined.len() < 40 && !tokens.contains(&joined) {
                tokens.push(joined);
                kinds.push(match self.types.get(i).map(|kind| kind % 16) {
                    Some(0) => 3,
                    Some(1) => 4,
                    Some(2) => 5,
                    _ => 1,
                });
            }
        }
        for &(left, right) in self.strays.iter().take(10) {
            let pick = |at: u8| &tokens[usize::from(at) % tokens.len()];
            merges.push(format!("{} {}", pick(left), pick(right)));
        }
        for &(a, b) in self.swaps.iter().take(10) {
            if !merges.is_empty() {
                let (a, b) = (usize::from(a) % merges.len(), usize::from(b) % merges.len());
                merges.swap(a, b);
            }
        }
        let score = |i: usize| self.scores.get(i).map_or(-(i as f32), |&score| f32::from(score) / 4.0);
        let [bos, prefix, collapse, eos] = self.switches;
        let bytes = GgufBuilder::new()
            .string("tokenizer.ggml.model", model)
            .string("tokenizer.ggml.pre", PRES[usize::from(self.pre) % PRES.len()])
            .strings("tokenizer.ggml.tokens", &tokens)
            .f32s("tokenizer.ggml.scores", (0..tokens.len()).map(score))
            .i32s("tokenizer.ggml.token_type", kinds)
            .strings("tokenizer.ggml.merges", &merges)
            .bool("tokenizer.ggml.add_bos_token", bos)
            .bool("tokenizer.ggml.add_space_prefix", prefix)
            .bool("tokenizer.ggml.remove_extra_whitespaces", collapse)
            .bool("tokenizer.ggml.add_eos_token", eos)
            .finish();
        (bytes, tokens)
    }

    fn texts(&self, tokens: &[String]) -> Vec<String> {
        let text = |pieces: &Vec<Piece>| {
            let mut text = String::new();
            for piece in pieces.iter().take(30) {
                match piece {
                    Piece::Token(at) => text += &tokens[usize::from(*at) % tokens.len()],
                    Piece::Letter(at) => text += LETTERS[usize::from(*at) % LETTERS.len()],
                    Piece::Char(c) => text.push(*c),
                    Piece::Repeat(at, times) => text += &LETTERS[usize::from(*at) % LETTERS.len()].repeat(usize::from(*times)),
                }
            }
            text
        };
        self.texts.iter().take(6).map(text).collect()
    }
}

fn one_story(tokenizer: &Tokenizer, texts: &[String], special: Special) -> Option<Vec<Vec<u32>>> {
    let batch = tokenizer.encode_batch(texts, special).ok()?;
    for (text, ids) in texts.iter().zip(&batch) {
        assert_eq!(tokenizer.encode(text, special).as_ref().ok(), Some(ids));
        let mut into = vec![7];
        tokenizer.encode_into(text, special, &mut into).expect("as encode");
        assert_eq!(&into[1..], &ids[..]);
        assert_eq!(tokenizer.count(text, special).ok(), Some(ids.len()));
        let encoding = tokenizer.encode_with_offsets(text, special).expect("as encode");
        assert_eq!(&encoding.ids, ids);
        let ends = encoding.offsets.iter().all(|span| span.start <= span.end && span.end <= text.len());
        assert!(ends && encoding.offsets.is_sorted_by_key(|span| span.start), "{:?}", encoding.offsets);
        for special in [SpecialText::Render, SpecialText::Skip] {
            let Ok(decoded) = tokenizer.decode(ids, special) else { continue };
            let mut stream = tokenizer.decode_stream(special);
            let mut streamed = String::new();
            for &id in ids {
                streamed.push_str(stream.push(id).expect("as decode"));
            }
            assert_eq!(streamed + &stream.finish(), decoded);
        }
    }
    Some(batch)
}

fuzz_target!(|case: Case| {
    let (bytes, tokens) = case.gguf();
    let Ok(tokenizer) = Tokenizer::from_gguf_bytes(bytes.clone()) else { return };
    let texts = case.texts(&tokens);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("model.gguf");
    std::fs::write(&path, bytes).expect("a temporary file");
    // A new resolver each time, as a new process would have: the second one reads compiled tables from the store.
    let stored = [(); 2].map(|()| {
        let resolver = Resolver::builder().offline(true).store_dir(directory.path().join("store")).build();
        let found = resolver.resolve(&path).expect("what loads from bytes loads from a file").into_tokenizer();
        resolver.store().flush();
        found
    });
    for special in [Special::Ignore, Special::Add, Special::AddAndParse] {
        let ids = one_story(&tokenizer, &texts, special);
        for stored in &stored {
            assert_eq!(one_story(stored, &texts, special), ids);
        }
    }
});
