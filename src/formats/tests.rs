//! Every format against the library that owns it.

use std::io::Read as _;

use proptest::prelude::Strategy as _;

use super::side_files::SideFiles;
use super::*;
use crate::decode::SpecialText;
use crate::encode::Special;
use crate::tokenizer::Tokenizer;
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
        let load = || tiktoken::load(file, &bytes, &SideFiles::default()).unwrap();
        let cases = cases(&format!("files/{expected}.tiktoken.jsonl.gz")).unwrap();
        check(expected, &load(), &cases);
        let compiled = load();
        compiled.compile();
        check(expected, &compiled, &cases);
    }
}

proptest::proptest! {
    /// Ranks in any order, also of tokens before their parts, and tokens that nothing reaches.
    #[test]
    fn ranks_merge_as_tiktoken_merges_them(
        mut tokens in proptest::collection::btree_set("[abc]{2,6}", 0..24)
            .prop_map(|tokens| tokens.into_iter().chain(["a", "b", "c"].map(String::from)).collect::<Vec<_>>())
            .prop_shuffle(),
        gap in 0..3_usize,
        texts in proptest::collection::vec("[abc]{1,12}", 1..20),
    ) {
        use base64::Engine as _;
        // Every `gap` ids or so there is none.
        let gap = gap + 2;
        for at in (0..tokens.len()).step_by(gap).rev() {
            tokens.insert(at, String::new());
        }
        let rank = |text: &str| tokens.iter().position(|token| token == text).filter(|_| !text.is_empty());
        let lines = tokens.iter().enumerate().filter(|(_, token)| !token.is_empty());
        let file: String = lines
            .map(|(rank, token)| format!("{} {rank}\n", base64::engine::general_purpose::STANDARD.encode(token)))
            .collect();
        let side = SideFiles { tokenizer_class: Some("QWenTokenizer".into()), ..SideFiles::default() };
        let load = || tiktoken::load("t", file.as_bytes(), &side).unwrap();
        let (lazy, compiled) = (load(), load());
        compiled.compile();
        for text in &texts {
            let mut parts: Vec<String> = text.chars().map(String::from).collect();
            if rank(text).is_some() {
                parts = vec![text.clone()];
            }
            // The two neighbours whose joined text has the lowest rank, the first of equal ones.
            let lowest = |parts: &[String]| {
                let joined = parts.windows(2).enumerate().map(|(at, pair)| (rank(&pair.concat()), at));
                joined.filter_map(|(rank, at)| Some((rank?, at))).min()
            };
            while let Some((_, at)) = lowest(&parts) {
                let right = parts.remove(at + 1);
                parts[at].push_str(&right);
            }
            let expected: Vec<u32> = parts.iter().map(|part| rank(part).unwrap() as u32).collect();
            for tokenizer in [&lazy, &compiled] {
                proptest::prop_assert_eq!(&tokenizer.encode(text, Special::Ignore).unwrap(), &expected);
            }
        }
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

/// Two vocabularies of the shared data come as a file and as a GGUF, a third pair looks alike and differs.
#[test]
fn files_fit_the_ggufs_made_from_them() {
    use crate::evidence::Evidence;
    use crate::fit::{Fit, Mismatch, ModelFacts, check};
    let gguf = |name: &str| Evidence::gather(shared(&format!("vocab/gguf/{name}.gguf"))?).ok();
    let load = |file: &str| {
        let mut files = Files::default();
        files.insert(file.rsplit('/').next()?, Content::Bytes(vocabulary(file)?.into()));
        Some(load_named(&files, file.rsplit('/').next()?).unwrap())
    };
    let Some(rwkv) = load("rwkv-world/rwkv_vocab_v20230424.txt") else { return };
    let model = gguf("rwkv-world").unwrap();
    assert!(matches!(check(&rwkv, &ModelFacts::of(&model)), Ok(Fit::Tokens { .. })));

    let tekken = load("mistral-tekken-240911/tekken.json").unwrap();
    assert!(matches!(check(&tekken, &ModelFacts::of(&model)), Err(Mismatch::Token { .. })));

    let t5 = load("t5-v1_1-xxl/spiece.model").unwrap();
    let model = gguf("t5-v1_1-xxl").unwrap();
    assert!(matches!(check(&t5, &ModelFacts::of(&model)), Ok(Fit::Tokens { padding: 1.. })));
    let v3 = load("mistral-v3/tokenizer.model").unwrap();
    assert!(check(&v3, &ModelFacts::of(&model)).is_err());
}

/// A small SentencePiece model, as protobuf: pieces of all types, a normalizer with a map.
fn small_model(kind: u8) -> Vec<u8> {
    let field = |tag: u8, value: &[u8]| [&[tag << 3 | 2, value.len() as u8], value].concat();
    let piece = |text: &str, score: f32, kind: u8| {
        let score = score.to_le_bytes();
        field(1, &[&field(1, text.as_bytes())[..], &[2 << 3 | 5], &score, &[3 << 3, kind]].concat())
    };
    let mut model = Vec::new();
    for (text, score, kind) in [
        ("<unk>", 0.0, 2),
        ("<s>", 0.0, 3),
        ("</s>", 0.0, 3),
        ("<sep>", 0.0, 4),
        ("\u{2581}", -3.0, 1),
        ("a", -2.0, 1),
        ("b", -2.5, 1),
        ("ab", -1.0, 5),
        ("\u{2581}ab", -0.5, 1),
    ] {
        model.extend(piece(text, score, kind));
    }
    model.extend(field(2, &[3 << 3, kind]));
    model
}

#[test]
fn every_kind_of_model_has_the_same_pieces() {
    let text = "abba <sep>x ab";
    for (kind, ids) in [
        (1, &[8, 6, 5, 4, 3, 0, 8][..]),
        (2, &[8, 6, 5, 4, 3, 0, 8]),
        (3, &[0, 8]),
        (4, &[4, 5, 6, 6, 5, 4, 3, 0, 4, 5, 6]),
    ] {
        let tokenizer = sentencepiece::load("m.model", &small_model(kind), &SideFiles::default()).unwrap();
        assert_eq!(tokenizer.encode(text, Special::Ignore).unwrap(), ids, "{kind}");
        assert_eq!(tokenizer.encode("<s>a</s>", Special::Parse).unwrap().first(), Some(&1), "{kind}");
        assert_eq!(tokenizer.encode("", Special::Add).unwrap(), [1], "{kind}");
        assert_eq!(tokenizer.decode(&[1, 8, 0, 8, 2], SpecialText::Skip).unwrap(), "ab \u{2047}  ab");
    }
}

/// Loads what is left or what has become of a file, and encodes with it if it still is one.
fn survives(load: impl Fn(&[u8]) -> Result<Tokenizer, FormatError>, bytes: &[u8]) {
    let use_it = |bytes: &[u8]| {
        if let Ok(tokenizer) = load(bytes) {
            let ids = tokenizer.encode(" ab\u{e9}<s>\n\u{3042}", Special::AddAndParse).unwrap_or_default();
            let _ = tokenizer.decode(&ids, SpecialText::Render);
        }
    };
    for len in 0..bytes.len() {
        use_it(&bytes[..len]);
    }
    for at in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80, 0xFF] {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= flip;
            use_it(&flipped);
        }
    }
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let side = SideFiles { tokenizer_class: Some("QWenTokenizer".into()), ..SideFiles::default() };
    for kind in 1..=4 {
        survives(|bytes| sentencepiece::load("m", bytes, &SideFiles::default()), &small_model(kind));
    }
    survives(|bytes| tiktoken::load("t", bytes, &side), b"YQ== 0\nYg== 1\r\nYWI= 3\n");
    survives(|bytes| rwkv::load("r", bytes, &side), b"1 'a' 1\n2 b'\\xe3' 1\n4 \"ab\" 2\r\n");
    let tekken = br#"{"config":{"pattern":"\\s|\\S+","default_vocab_size":4,"default_num_special_tokens":2},
        "vocab":[{"rank":0,"token_bytes":"YQ==","token_str":"a"},{"rank":1,"token_bytes":"YWI=","token_str":null}],
        "special_tokens":[{"rank":1,"token_str":"<s>","is_control":true}]}"#;
    survives(|bytes| tekken::load("tekken.json", bytes, &side), tekken);
}

#[test]
fn ranks_of_an_unknown_encoding_are_refused_with_the_reason() {
    let error =
        tiktoken::load("x.tiktoken", b"YQ== 0\nYg== 1\n", &SideFiles::default()).unwrap_err().to_string();
    assert!(error.contains("does not say how its text is cut") && error.contains("x.tiktoken"), "{error}");
    let error =
        tiktoken::load("x.tiktoken", b"YQ== 0\nYg==\n", &SideFiles::default()).unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
    let side = SideFiles { tokenizer_class: Some("QWenTokenizer".into()), ..SideFiles::default() };
    let error = tiktoken::load("x.tiktoken", b"YQ== 0\nYg== 4000000\n", &side).unwrap_err().to_string();
    assert!(error.contains("rank 4000208"), "{error}");
    let error = tiktoken::load("x.tiktoken", b"YQ== 0\nYg== 0\n", &side).unwrap_err().to_string();
    assert!(error.contains("every rank once"), "{error}");
}

#[test]
fn a_class_with_ids_of_its_own_is_refused() {
    let side = SideFiles { tokenizer_class: Some("XLMRobertaTokenizerFast".into()), ..SideFiles::default() };
    let error = sentencepiece::load("m", &small_model(1), &side).unwrap_err().to_string();
    assert!(error.contains("XLMRobertaTokenizerFast"), "{error}");
}

/// The reference: over and over the two neighbours whose joined bytes have the lowest rank.
fn by_the_book(ranks: &std::collections::HashMap<Vec<u8>, u32>, piece: &[u8]) -> Vec<u32> {
    let mut parts: Vec<Vec<u8>> = piece.iter().map(|&byte| vec![byte]).collect();
    loop {
        let joined = parts.windows(2).map(|pair| ranks.get(&pair.concat()).copied().unwrap_or(u32::MAX));
        match joined.enumerate().min_by_key(|&(at, rank)| (rank, at)) {
            Some((at, rank)) if rank != u32::MAX => {
                let right = parts.remove(at + 1);
                parts[at].extend(right);
            }
            _ => return parts.iter().map(|part| ranks[part]).collect(),
        }
    }
}

proptest::proptest! {
    /// Merges derived from ranks do what ranks do, for any tokens: also those that no merge makes.
    #[test]
    fn derived_merges_are_those_of_the_ranks(
        tokens in proptest::collection::vec("[abc]{2,6}", 1..40),
        texts in proptest::collection::vec("[abc]{1,60}", 1..10),
    ) {
        use base64::Engine as _;
        let mut ranks: std::collections::HashMap<Vec<u8>, u32> = (0..=255u8).map(|byte| (vec![byte], u32::from(byte))).collect();
        for token in tokens {
            let next = ranks.len() as u32;
            ranks.entry(token.into_bytes()).or_insert(next);
        }
        let mut file = String::new();
        for (token, rank) in &ranks {
            file += &format!("{} {rank}\n", base64::engine::general_purpose::STANDARD.encode(token));
        }
        let side = SideFiles { tokenizer_class: Some("QWenTokenizer".into()), ..SideFiles::default() };
        let tokenizer = tiktoken::load("x", file.as_bytes(), &side).unwrap();
        for text in texts {
            // Letters alone are one piece, and a piece that is a token is taken whole.
            let whole = ranks.get(text.as_bytes()).map(|&rank| vec![rank]);
            let expected = whole.unwrap_or_else(|| by_the_book(&ranks, text.as_bytes()));
            proptest::prop_assert_eq!(tokenizer.encode(&text, Special::Ignore).unwrap(), expected);
        }
    }
}
