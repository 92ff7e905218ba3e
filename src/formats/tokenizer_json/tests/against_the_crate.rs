//! Native engines beside the `tokenizers` crate: the same file, the same answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use super::*;
use crate::vocabulary::charsmap_for_tests;

#[test]
fn engines_and_crate_agree_on_shared_files() {
    if shared().is_none() {
        return;
    }
    for name in SHARED {
        let (bytes, side) = open(name);
        let tokenizer = load_json(&bytes, &side).unwrap();
        let Pipeline::Tokenizers(_) = &tokenizer.recipe().pipeline else { continue };
        let by_crate = load_by(&bytes, FILE, &side, Engines::Crate).unwrap();
        let Pipeline::Crate(wrapped) = &by_crate.recipe().pipeline else { panic!("not the crate") };
        assert_eq!(tokenizer.vocab_size(), by_crate.vocab_size(), "{name}");
        for id in 0..tokenizer.vocab_size() {
            let text = tokenizer.token_text(id);
            assert_eq!(text, by_crate.token_text(id), "{name} {id}");
            assert_eq!(
                text.map(|text| String::from_utf8(text.into_owned()).unwrap()),
                wrapped
                    .get()
                    .get_added_vocabulary()
                    .get_added_tokens_decoder()
                    .get(&id)
                    .map(|t| t.content.clone())
                    .or_else(|| wrapped.get().id_to_token(id)),
                "{name} {id}"
            );
            assert_eq!(tokenizer.is_special(id), by_crate.is_special(id), "{name} {id}");
        }
        for case in cases(&format!("{name}.json")) {
            let text = case.text.as_str();
            let ids = tokenizer.encode(text, Special::Add).unwrap();
            assert_eq!(ids, by_crate.encode(text, Special::Add).unwrap(), "{name} {text:?}");
            for special in [SpecialText::Render, SpecialText::Skip] {
                assert_eq!(
                    tokenizer.decode(&ids, special).unwrap(),
                    wrapped.decode(&ids, special).unwrap(),
                    "{name} {text:?}"
                );
            }
        }
    }
}

/// The two tokenizers of a description: by the engines here, which must cover it, and by the crate.
#[track_caller]
fn both(description: &Value) -> (Tokenizer, Tokenizer) {
    let bytes: Bytes = description.to_string().into_bytes().into();
    let native = load_json(&bytes, &SideFiles::default()).unwrap();
    assert_eq!(engine(&native), "native", "{description}");
    (native, load_by(&bytes, FILE, &SideFiles::default(), Engines::Crate).unwrap())
}

/// The engines say of a text what the crate says; of its ids and of `ids` too.
fn same((native, by_crate): &(Tokenizer, Tokenizer), text: &str, ids: &[u32]) -> Result<(), TestCaseError> {
    let Pipeline::Crate(wrapped) = &by_crate.recipe().pipeline else { panic!("not the crate") };
    let stored = stored(native);
    for special in [Special::Ignore, Special::Add] {
        let found = native.encode(text, special).unwrap();
        prop_assert_eq!(&found, &by_crate.encode(text, special).unwrap(), "{:?}", text);
        prop_assert_eq!(&found, &stored.encode(text, special).unwrap(), "stored: {:?}", text);
        let ids: Vec<u32> = ids.iter().map(|id| id % native.vocab_size()).collect();
        for ids in [found, ids] {
            for special in [SpecialText::Render, SpecialText::Skip] {
                let decoded = native.decode(&ids, special).unwrap();
                prop_assert_eq!(&decoded, &wrapped.decode(&ids, special).unwrap(), "{:?}", ids);
                let mut stream = native.decode_stream(special);
                let mut streamed = String::new();
                for &id in &ids {
                    streamed += stream.push(id).unwrap();
                }
                prop_assert_eq!(streamed + &stream.finish(), decoded, "{:?}", ids);
            }
        }
    }
    one_story(native, text);
    Ok(())
}

/// What normalizers, splits, added tokens and byte fallback stumble over.
const AWKWARD: &[&str] = &[
    "a",
    "b",
    "c",
    "ab",
    "abc",
    "A",
    "B",
    "x",
    "hello",
    "Hello",
    " ",
    " ",
    "  ",
    "   ",
    "\n",
    "\r\n",
    "\t",
    "\u{a0}",
    "\u{3000}",
    "1",
    "23",
    "\u{663}",
    "\u{e9}",
    "e\u{301}",
    "\u{301}",
    "\u{323}\u{307}",
    "\u{1e0b}\u{323}",
    "\u{1100}\u{1161}\u{11a8}",
    "\u{fb01}",
    "\u{130}",
    "\u{df}",
    "\u{2126}",
    "\u{f900}",
    "\u{6f22}",
    "\u{5b57}",
    "\u{20000}",
    "\u{3042}",
    "!",
    "?",
    ".",
    "'s",
    "'re",
    "n't",
    " do not",
    "\u{2014}",
    "$",
    "`",
    "\u{0}",
    "\u{1}",
    "\u{7f}",
    "\u{ad}",
    "\u{200b}",
    "\u{200d}",
    "\u{fffd}",
    "\u{feff}",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\u{1f1e9}\u{1f1ea}",
    "\u{600}",
    "\u{2581}",
    "\u{2581}\u{2581}",
    "\u{120}",
    "<s>",
    "</s>",
    "<x>",
    "<y>",
    "<Z>",
    "<mask>",
    "<0x41>",
    "<unk>",
    "[UNK]",
    "[CLS]",
    "##b",
    "\u{16d63}\u{16d67}",
];

fn text() -> impl Strategy<Value = String> {
    let part =
        prop_oneof![8 => select(AWKWARD).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    vec(part, 0..14).prop_map(|parts| parts.concat())
}

fn added(id: u32, content: &str, flags: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": flags.contains('l'), "rstrip": flags.contains('r'),
        "normalized": flags.contains('n'), "special": flags.contains('s')})
}

fn description(sections: &Value, model: &Value, added: &[Value]) -> Value {
    let section = |key: &str| sections.get(key).cloned().unwrap_or(Value::Null);
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": section("normalizer"),
        "pre_tokenizer": section("pre_tokenizer"), "post_processor": section("post_processor"), "decoder": section("decoder"), "model": model})
}

fn byte_level_model(ignore_merges: bool) -> Value {
    let mut vocab = serde_json::Map::new();
    for byte in 0..=255 {
        vocab.insert(crate::unicode::byte_to_char(byte).to_string(), json!(byte));
    }
    let merges = ["a b", "ab c", "Ġ a", "Ġa b", "h e", "l l", "he ll", "hell o", "Ã ©", "e Ì", "Ġ Ġ", "Ġ Ċ"];
    for merge in merges {
        let id = vocab.len();
        vocab.insert(merge.replace(' ', ""), json!(id));
    }
    // No merge makes it, so only a whole word can be it.
    vocab.insert("hello!".to_owned(), json!(vocab.len()));
    vocab.insert("<s>".to_owned(), json!(vocab.len()));
    json!({"type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": ignore_merges, "unk_token": null, "dropout": null})
}

fn byte_level_added() -> Vec<Value> {
    vec![
        added(269, "<s>", "s"),
        added(270, "<x>", "ln"),
        added(271, "<y>", "r"),
        added(272, "<mask>", "lrs"),
        added(273, "</s>", "ns"),
        added(274, "\u{e9} x", "n"),
        added(275, "  ", ""),
    ]
}

fn byte_level(add_prefix_space: bool, use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": use_regex})
}

fn chars_model(byte_fallback: bool, fuse_unk: bool, ignore_merges: bool) -> Value {
    let mut vocab = serde_json::Map::new();
    let mut push = |text: String| {
        let id = vocab.len();
        vocab.insert(text, json!(id));
    };
    for text in ["<unk>", "<s>", "</s>"] {
        push(text.to_owned());
    }
    if byte_fallback {
        (0..=255).for_each(|byte| push(format!("<0x{byte:02X}>")));
    }
    for text in ["▁", "a", "b", "c", "h", "e", "l", "o", "!", ".", "é", "漢", "<", "s", ">"] {
        push(text.to_owned());
    }
    let merges =
        ["a b", "▁ a", "▁a b", "ab c", "▁ ▁", "l l", "h e", "he ll", "hell o", "▁ hello", "é ▁", "o !"];
    for merge in merges {
        push(merge.replace(' ', ""));
    }
    json!({"type": "BPE", "vocab": vocab, "merges": merges.map(|merge| merge.split(' ').collect::<Vec<_>>()), "unk_token": "<unk>",
        "byte_fallback": byte_fallback, "fuse_unk": fuse_unk, "ignore_merges": ignore_merges})
}

fn llama_decoder() -> Value {
    json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})
}

fn normalizers() -> impl Strategy<Value = Value> {
    let one = select(vec![
        json!({"type": "NFC"}),
        json!({"type": "NFD"}),
        json!({"type": "NFKC"}),
        json!({"type": "NFKD"}),
        json!({"type": "Lowercase"}),
        json!({"type": "StripAccents"}),
        json!({"type": "Prepend", "prepend": "▁"}),
        json!({"type": "Strip", "strip_left": true, "strip_right": false}),
        json!({"type": "Strip", "strip_left": false, "strip_right": true}),
        json!({"type": "Strip", "strip_left": true, "strip_right": true}),
        json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
        json!({"type": "Replace", "pattern": {"String": "ab"}, "content": ""}),
        json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}),
        json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}),
        json!({"type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": true, "strip_accents": true, "lowercase": false}),
    ]);
    vec(one, 0..3).prop_map(|steps| json!({"type": "Sequence", "normalizers": steps}))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn byte_level_bpe_is_the_librarys(
        text in text(), ids in vec(0u32..300, 0..12), ignore_merges: bool, prefix: bool, steps in normalizers(), kind in 0..4,
    ) {
        let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        let llama = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        let pre_tokenizer = match kind {
            0 => byte_level(prefix, true),
            1 => json!({"type": "Sequence", "pretokenizers": [split(llama), byte_level(false, false)]}),
            2 => json!({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": prefix}, byte_level(false, true)]}),
            _ => byte_level(prefix, false),
        };
        let template = json!({"type": "Sequence", "processors": [byte_level(false, true), {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [269, 270], "tokens": ["<s>", "<x>"]}}}]});
        let sections = json!({"normalizer": steps, "pre_tokenizer": pre_tokenizer, "post_processor": template, "decoder": byte_level(true, true)});
        let description = description(&sections, &byte_level_model(ignore_merges), &byte_level_added());
        // Normalizers may make two added tokens one, which nobody takes.
        let bytes: Bytes = description.to_string().into_bytes().into();
        prop_assume!(load_json(&bytes, &SideFiles::default()).is_ok_and(|tokenizer| engine(&tokenizer) == "native"));
        same(&both(&description), &text, &ids)?;
    }

    #[test]
    fn byte_fallback_bpe_is_the_librarys(text in text(), ids in vec(0u32..300, 0..12), ignore_merges: bool, normalized: bool) {
        let prefixed = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
        let flags = if normalized { "ns" } else { "s" };
        let tokens = [added(0, "<unk>", flags), added(1, "<s>", flags), added(2, "</s>", "s"), added(289, "<x>", "lr"), added(290, "\n", "")];
        let sections = json!({"normalizer": prefixed, "decoder": llama_decoder()});
        let mut model = chars_model(true, true, ignore_merges);
        same(&both(&description(&sections, &model, &tokens)), &text, &ids)?;
        // Gemma's: no prefix, and a split at spaces that are gone by then.
        let sections = json!({
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        });
        model["byte_fallback"] = json!(true);
        same(&both(&description(&sections, &model, &tokens)), &text, &ids)?;
    }

    #[test]
    fn metaspace_bpe_is_the_librarys(
        text in text(), ids in vec(0u32..60, 0..12), scheme in select(&["always", "first", "never"][..]), split: bool, fuse: bool,
        words: bool, steps in normalizers(),
    ) {
        let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split});
        let pre_tokenizer = if words { json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}) } else { metaspace.clone() };
        let tokens = [added(1, "<s>", "s"), added(2, "</s>", "s"), added(30, "<x>", "l"), added(31, "<y>", "r")];
        let sections = json!({"normalizer": if scheme == "first" { Value::Null } else { steps }, "pre_tokenizer": pre_tokenizer, "decoder": metaspace});
        same(&both(&description(&sections, &chars_model(false, fuse, false), &tokens)), &text, &ids)?;
        let tokens = [added(1, "<s>", "ns"), added(30, "<x>", "ln")];
        let sections = json!({"pre_tokenizer": pre_tokenizer});
        same(&both(&description(&sections, &chars_model(false, fuse, true), &tokens)), &text, &ids)?;
    }

    #[test]
    fn word_piece_is_the_librarys(
        text in text(), ids in vec(0u32..60, 0..12), clean_text: bool, handle_chinese_chars: bool, lowercase: bool,
        strip_accents in select(vec![Value::Null, json!(true), json!(false)]), cleanup: bool, max in 1u32..7,
    ) {
        let tokens = ["[UNK]", "[CLS]", "[SEP]", "a", "ab", "##b", "##c", "##bc", "hell", "##o", "hello", "Hello", "e", "\u{e9}", "\u{6f22}", "##\u{5b57}", "!", "'",
            "s", "re", ".", "do", "not", "n", "t", "1", "##3", "\u{df}", "i", "##\u{307}", "x", "$", "\u{2014}", "##n't", "'s", "?"];
        let vocab: serde_json::Map<String, Value> = tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
        let sections = json!({
            "normalizer": {"type": "BertNormalizer", "clean_text": clean_text, "handle_chinese_chars": handle_chinese_chars,
                "strip_accents": strip_accents, "lowercase": lowercase},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": cleanup},
        });
        let model = json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": max,
            "vocab": vocab});
        let added = [added(0, "[UNK]", "s"), added(1, "[CLS]", "s"), added(2, "[SEP]", "s"), added(36, "<x>", "lr")];
        same(&both(&description(&sections, &model, &added)), &text, &ids)?;
    }

    #[test]
    fn unigram_is_the_librarys(
        text in text(), ids in vec(0u32..300, 0..12), scores in vec(-6i8..0, 40), byte_fallback: bool, words: bool, charsmap: bool,
        split: bool, steps in normalizers(),
    ) {
        let mut tokens: Vec<String> = ["<pad>", "</s>", "<unk>", "▁", "a", "b", "c", "ab", "abc", "▁a", "▁ab", "bc", "h", "e", "l", "o", "he", "hello",
            "▁hello", "\u{e9}", "\u{6f22}", "x", "E", "!", "▁!", "1", "23"].map(str::to_owned).to_vec();
        if byte_fallback {
            tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
        }
        let vocab: Vec<Value> = tokens.iter().zip(scores.iter().cycle()).map(|(token, score)| json!([token, f64::from(*score) / 2.0])).collect();
        let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": split});
        let precompiled = json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(charsmap_for_tests())});
        let sections = json!({
            "normalizer": if charsmap { json!({"type": "Sequence", "normalizers": [precompiled, steps]}) } else { steps },
            "pre_tokenizer": if words { json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}) } else { metaspace.clone() },
            "decoder": metaspace,
        });
        let model = json!({"type": "Unigram", "unk_id": 2, "vocab": vocab, "byte_fallback": byte_fallback});
        let added = [added(0, "<pad>", "s"), added(1, "</s>", "s"), added(tokens.len() as u32, "<x>", "l")];
        same(&both(&description(&sections, &model, &added)), &text, &ids)?;
    }

    #[test]
    fn shared_vocabularies_agree_on_random_texts(texts in vec(text(), 1..4)) {
        static BOTH: std::sync::OnceLock<Vec<(Tokenizer, Tokenizer)>> = std::sync::OnceLock::new();
        if shared().is_none() {
            return Ok(());
        }
        let both = BOTH.get_or_init(|| {
            let both = |name: &&str| {
                let (bytes, side) = open(name);
                (load_json(&bytes, &side).unwrap(), load_by(&bytes, FILE, &side, Engines::Crate).unwrap())
            };
            SHARED.iter().map(both).collect()
        });
        for both in both {
            for text in &texts {
                same(both, text, &[])?;
            }
        }
    }
}

#[track_caller]
fn fails(description: &Value, message: &str) {
    let bytes: Bytes = description.to_string().into_bytes().into();
    let error = load_json(&bytes, &SideFiles::default()).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert_eq!(format!("{error} {source}").trim_end(), message);
}

#[test]
fn what_nobody_knows_is_named() {
    let sections = json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [byte_level(false, true), {"type": "Morphemes"}]}});
    fails(
        &description(&sections, &byte_level_model(false), &[]),
        "expected a type that tokenizers 0.23 knows at `pre_tokenizer.pretokenizers[1]` in tokenizer.json, found \"Morphemes\"; if a newer \
         tokenizers wrote the file, a newer version of this library may read it",
    );
    fails(
        &description(&json!({}), &json!({"type": "Morfessor"}), &[]),
        "expected a type that tokenizers 0.23 knows at `model` in tokenizer.json, found \"Morfessor\"; if a newer tokenizers wrote the file, a \
         newer version of this library may read it",
    );
    let mut newer = description(&json!({}), &byte_level_model(false), &[]);
    newer["version"] = json!("2.0");
    fails(&newer, "expected \"1.0\" in tokenizer.json (version), found \"2.0\"");
    fails(&json!({"version": "1.0"}), "expected the key `model` in tokenizer.json, found none");
}

#[test]
fn merges_are_made_of_tokens() {
    let sections = json!({"pre_tokenizer": byte_level(false, true)});
    let mut model = byte_level_model(false);
    model["merges"][3] = json!("Ġa x");
    fails(
        &description(&sections, &model, &[]),
        "expected a merge of two tokens that makes a token in tokenizer.json (merge 3, \"Ġa\" \"x\"), found \"Ġax\", which is none",
    );
    model["merges"][3] = json!("Ġ漢 x");
    fails(
        &description(&sections, &model, &[]),
        "expected a merge of two tokens that makes a token in tokenizer.json (merge 3, \"Ġ漢\" \"x\"), found \"Ġ漢\", which is none",
    );
    model["merges"][3] = json!("Ġab");
    let error = load_json(
        &description(&sections, &model, &[]).to_string().into_bytes().into(),
        &SideFiles::default(),
    )
    .unwrap_err();
    assert!(matches!(error, FormatError::Malformed { .. }));
}

#[test]
fn of_equal_merges_the_last_counts() {
    let mut model = byte_level_model(false);
    // Now `b c` stands before the `a b` that counts.
    let id = model["vocab"].as_object().unwrap().len();
    model["vocab"]["bc"] = json!(id);
    model["merges"].as_array_mut().unwrap().extend([json!("b c"), json!("a b")]);
    let both = both(&description(&json!({"pre_tokenizer": byte_level(false, true)}), &model, &[]));
    assert_eq!(both.0.encode("abc", Special::Ignore).unwrap(), [97, id as u32]);
    same(&both, "abc abcab", &[]).unwrap();
}

#[test]
fn what_is_not_covered_goes_through_the_crate() {
    let cases = [
        (
            json!({"pre_tokenizer": {"type": "Whitespace"}}),
            json!({"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "b": 1, "ab": 4}}),
        ),
        (
            json!({"pre_tokenizer": byte_level(false, true), "post_processor": {
                "type": "TemplateProcessing", "special_tokens": {}, "single": [
                    {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}]}}),
            byte_level_model(false),
        ),
    ];
    for (sections, model) in cases {
        let tokens = [added(1, "b", "s"), added(0, "<x>", "ln")];
        let tokenizer = load_json(
            &description(&sections, &model, &tokens).to_string().into_bytes().into(),
            &SideFiles::default(),
        )
        .unwrap();
        assert!(engine(&tokenizer).starts_with("crate"), "{sections}");
        for text in ["", "ab b a", "b <x> ab\u{e9}"] {
            one_story(&tokenizer, text);
        }
        assert_eq!(tokenizer.decode(&[], SpecialText::Skip).unwrap(), "");
        assert!(matches!(
            tokenizer.decode(&[2, 999], SpecialText::Skip),
            Err(crate::DecodeError::UnknownId { .. })
        ));
    }
}

#[test]
fn ids_may_have_holes_but_not_wide_gaps() {
    let sections = json!({"pre_tokenizer": byte_level(false, true), "decoder": byte_level(false, true)});
    let mut model = byte_level_model(true);
    model["vocab"]["<s>"] = json!(400);
    let both = both(&description(&sections, &model, &[added(400, "<s>", "s")]));
    assert_eq!(both.0.vocab_size(), 401);
    assert_eq!((both.0.token_text(399), both.0.id("<s>")), (None, Some(400)));
    same(&both, "ab<s> hello!", &[]).unwrap();
    model["vocab"]["<s>"] = json!(70_000_000);
    fails(
        &description(&sections, &model, &[]),
        "expected ids without wide gaps for 270 tokens in tokenizer.json (model.vocab), found the id 70000000",
    );
}

#[test]
fn added_tokens_take_the_next_id_whatever_the_file_says() {
    let sections = json!({"pre_tokenizer": byte_level(false, true)});
    let both = both(&description(&sections, &byte_level_model(false), &[added(500, "<x>", "s")]));
    assert_eq!(both.0.encode("a<x>", Special::Ignore).unwrap(), [97, 270]);
    assert_eq!(both.0.recipe().notes, ["tokenizer.json: the added token \"<x>\" has the id 270, not 500"]);
    same(&both, "<x>", &[]).unwrap();
}

#[test]
fn truncation_and_padding_are_reported_and_not_applied() {
    let mut description =
        description(&json!({"pre_tokenizer": byte_level(false, true)}), &byte_level_model(false), &[]);
    description["truncation"] =
        json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    let tokenizer = load_json(&description.to_string().into_bytes().into(), &SideFiles::default()).unwrap();
    assert_eq!(tokenizer.count("x y z", Special::Ignore).unwrap(), 5);
    assert_eq!(tokenizer.recipe().notes.len(), 1);
    assert!(tokenizer.recipe().notes[0].starts_with("tokenizer.json asks for truncation"));
}

#[test]
fn offsets_are_those_of_the_given_text() {
    let sections = json!({
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    });
    let (tokenizer, _) =
        both(&description(&sections, &chars_model(true, true, false), &[added(289, "<x>", "l")]));
    let encoding = tokenizer.encode_with_offsets("e\u{301} ab  <x>c", Special::Ignore).unwrap();
    let text = |id: &u32| String::from_utf8(tokenizer.token_text(*id).unwrap().into_owned()).unwrap();
    let found: Vec<_> = encoding.ids.iter().map(text).zip(encoding.offsets).collect();
    let expected = [("▁", 0..0), ("é▁", 0..4), ("ab", 4..6), ("<x>", 6..11), ("▁", 11..11), ("c", 11..12)]
        .map(|(text, span)| (text.to_owned(), span));
    assert_eq!(found, expected);
}

#[test]
fn bytes_that_are_not_utf8_read_as_replacement_characters() {
    let sections = json!({"pre_tokenizer": byte_level(false, true), "decoder": byte_level(false, true)});
    let (tokenizer, _) = both(&description(&sections, &byte_level_model(false), &[]));
    let ids = tokenizer.encode_bytes(b"ab\xFF\xED\xA0\x80c", Special::Ignore).unwrap();
    assert_eq!(ids, tokenizer.encode("ab\u{fffd}\u{fffd}\u{fffd}\u{fffd}c", Special::Ignore).unwrap());
}

/// A small file with every section.
fn small() -> Vec<u8> {
    let vocab = json!({"<unk>": 0, "a": 1, "b": 2, "ab": 3, "▁": 4});
    let sections = json!({
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "x", "type_id": 0}}],
            "pair": [], "special_tokens": {"x": {"id": "x", "ids": [1], "tokens": ["a"]}}},
        "decoder": llama_decoder(),
    });
    let model = json!({"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": [["a", "b"]]});
    description(&sections, &model, &[added(5, "<x>", "ls")]).to_string().into_bytes()
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = small();
    let (whole, _) = both(&serde_json::from_slice(&bytes).unwrap());
    assert_eq!(whole.encode("ab<x>", Special::Add).unwrap(), [4, 3, 5, 1]);
    for len in 0..bytes.len() {
        assert!(load_json(&bytes[..len].into(), &SideFiles::default()).is_err(), "{len}");
    }
}

#[test]
fn no_flipped_byte_panics() {
    let bytes = small();
    for at in 0..bytes.len() {
        for flip in [1, 0x20, 0x80] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            if let Ok(tokenizer) = load_json(&bytes.into(), &SideFiles::default()) {
                for text in ["", "ab <x>b\u{e9}"] {
                    if let Ok(ids) = tokenizer.encode(text, Special::AddAndParse) {
                        let _ = tokenizer.decode(&ids, SpecialText::Skip);
                    }
                }
            }
        }
    }
}
