//! Counting and cutting by tokens: what is promised holds for every model of testdata and any text.

use anytok::{BudgetError, Resolver, Side, Special, Tokenizer};
use proptest::prelude::*;

/// Models of every kind: byte-level and SentencePiece merges, Unigram, WordPiece, RWKV; GGUF and `tokenizer.json`.
fn tokenizers() -> Vec<(String, Tokenizer)> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/models");
    let entries = std::fs::read_dir(root).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let resolver = Resolver::builder().offline(true).without_store().strict(true).build();
    let resolved = paths.into_iter().filter_map(|path| {
        let found = resolver.resolve(&path).ok()?;
        Some((path.file_name()?.to_str()?.to_owned(), found.tokenizer().clone()))
    });
    let tokenizers: Vec<_> = resolved.collect();
    assert!(tokenizers.len() >= 6, "{} models", tokenizers.len());
    tokenizers
}

fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-zA-Z]{1,9}",
        4 => Just(" ".to_owned()),
        1 => prop::sample::select(vec![
            ". ", "? ", ", ", "\n", "\n\n", "\r\n\r\n", "  ", "   \n", "don't", "3.14", "é", "e\u{301}", "漢字", "👩‍👩‍👧", "🇩🇪🇫🇷",
            "한국어", "<s>", "</s>", "<|im_end|>", "\u{FEFF}", "\u{301}", "aaaaaaaaaaaaaaaaaaaaaaaa", "İ", "▁",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..60).prop_map(|parts| parts.concat())
}

const SPECIALS: [Special; 4] = [Special::Ignore, Special::Add, Special::Parse, Special::AddAndParse];

#[test]
fn counts_up_to_a_limit_are_counts() {
    let tokenizers = tokenizers();
    proptest!(ProptestConfig::with_cases(60), |(text in texts(), special in prop::sample::select(&SPECIALS))| {
        for (name, tokenizer) in &tokenizers {
            let Ok(count) = tokenizer.count(&text, special) else { continue };
            for limit in [0, 1, count / 2, count.saturating_sub(1), count, count + 1, usize::MAX] {
                let up_to = tokenizer.count_up_to(&text, limit, special).unwrap();
                prop_assert_eq!(up_to, (count <= limit).then_some(count), "{} {}", name, limit);
            }
        }
    });
}

#[test]
fn parts_are_the_text_and_fit() {
    let tokenizers = tokenizers();
    let parameters = (texts(), 0..40usize, 0..8usize, prop::sample::select(&SPECIALS));
    proptest!(ProptestConfig::with_cases(60), |((text, budget, overlap, special) in parameters)| {
        for (name, tokenizer) in &tokenizers {
            let Ok(frame) = tokenizer.count("", special) else { continue };
            let parts = tokenizer.split(&text, budget).overlap(overlap).special(special).parts();
            let parts = match parts {
                Ok(parts) => parts,
                Err(BudgetError::Frame { .. }) => {
                    prop_assert!(budget <= frame, "{}", name);
                    continue;
                }
                Err(BudgetError::Overlap { room, .. }) => {
                    prop_assert!(overlap >= room && room == budget - frame, "{}", name);
                    continue;
                }
                Err(error) => return Err(TestCaseError::fail(format!("{name}: {error}"))),
            };
            let (mut start, mut end) = (None, 0);
            for part in parts {
                let part = match part {
                    Ok(part) => part,
                    Err(BudgetError::Character { at, .. }) => {
                        prop_assert_eq!(at, end);
                        let character = text[at..].chars().next().unwrap().to_string();
                        prop_assert!(tokenizer.count(&character, special).unwrap() > budget, "{}", name);
                        end = text.len();
                        continue;
                    }
                    // A vocabulary without a token for some byte.
                    Err(BudgetError::Encode { .. }) => {
                        prop_assert!(tokenizer.count(&text, special).is_err(), "{}", name);
                        end = text.len();
                        continue;
                    }
                    Err(error) => return Err(TestCaseError::fail(format!("{name}: {error}"))),
                };
                prop_assert!(tokenizer.count(&text[part.clone()], special).unwrap() <= budget, "{} {:?}", name, part);
                prop_assert!(part.end > end && part.start <= end, "{} {:?} behind {}", name, part, end);
                prop_assert!(start.is_none_or(|start| start < part.start), "{} {:?}", name, part);
                let within = if special.parses() { Special::Parse } else { Special::Ignore };
                prop_assert!(tokenizer.count(&text[part.start..end], within).unwrap() <= overlap, "{} {:?}", name, part);
                (start, end) = (Some(part.start), part.end);
            }
            prop_assert_eq!(end, text.len(), "{}", name);
        }
    });
}

#[test]
fn truncated_texts_fit() {
    let tokenizers = tokenizers();
    let parameters = (texts(), 0..30usize, prop::sample::select(&SPECIALS));
    proptest!(ProptestConfig::with_cases(60), |((text, budget, special) in parameters)| {
        for (name, tokenizer) in &tokenizers {
            let Ok(count) = tokenizer.count(&text, special) else { continue };
            for side in [Side::Left, Side::Right] {
                match tokenizer.truncate(&text, budget, side, special) {
                    Ok(kept) => {
                        let at_its_end = match side {
                            Side::Left => text.ends_with(kept),
                            Side::Right => text.starts_with(kept),
                        };
                        prop_assert!(at_its_end, "{} {:?}", name, kept);
                        prop_assert!(tokenizer.count(kept, special).unwrap() <= budget, "{} {:?}", name, kept);
                        prop_assert!(count > budget || kept == text, "{}", name);
                    }
                    Err(BudgetError::Frame { frame, .. }) => prop_assert!(frame > budget, "{}", name),
                    Err(error) => return Err(TestCaseError::fail(format!("{name}: {error}"))),
                }
            }
        }
    });
}

/// A byte is a token where nothing else is known: so budgets are bytes, and cuts can be told by eye.
fn bytes() -> Tokenizer {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("unknown.bin");
    std::fs::write(&path, b"\0nothing").unwrap();
    let resolver = Resolver::builder().offline(true).without_store().build();
    resolver.resolve(&path).unwrap().tokenizer().clone()
}

#[track_caller]
fn cuts(text: &str, budget: usize, expected: &[&str]) {
    let tokenizer = bytes();
    let parts: Vec<_> =
        tokenizer.split(text, budget).parts().unwrap().map(|part| &text[part.unwrap()]).collect();
    assert_eq!(parts, expected);
}

#[test]
fn parts_end_where_a_reader_would_end_them() {
    cuts("One. Two.\n\nThree. Four.", 15, &["One. Two.\n\n", "Three. Four."]);
    cuts("One.\r\n\r\nTwo and three.", 12, &["One.\r\n\r\n", "Two and", " three."]);
    cuts("One two. Three four five.", 14, &["One two. ", "Three four", " five."]);
    cuts("one two three", 9, &["one two", " three"]);
    cuts("abcdefghij", 4, &["abcd", "efgh", "ij"]);
    cuts("漢字漢字", 7, &["漢字", "漢字"]);
    // A cluster stays whole if it fits, and is cut between characters if it does not.
    cuts("xe\u{301}e\u{301}", 5, &["xe\u{301}", "e\u{301}"]);
    cuts("e\u{301}\u{301}\u{301}", 4, &["e\u{301}", "\u{301}\u{301}"]);
    cuts("", 4, &[]);
}

#[test]
fn the_end_of_a_part_begins_the_next() {
    let tokenizer = bytes();
    let text = "one two three four five";
    let parts = tokenizer.split(text, 12).overlap(6).parts().unwrap();
    let parts: Vec<_> = parts.map(|part| &text[part.unwrap()]).collect();
    assert_eq!(parts, ["one two", " two three", " three four", " four five"]);
}

#[test]
fn what_does_not_fit_is_told() {
    let tokenizer = bytes();
    let error = |result: Result<_, BudgetError>| result.map(drop).unwrap_err().to_string();
    assert_eq!(
        error(tokenizer.split("a", 3).overlap(3).parts()),
        "expected an overlap of fewer tokens than a part holds (3), found 3"
    );
    let mut parts = tokenizer.split("a漢", 2).parts().unwrap();
    assert_eq!(parts.next().unwrap().unwrap(), 0..1);
    assert_eq!(
        parts.next().unwrap().unwrap_err().to_string(),
        "the character at byte 1 has more tokens by itself than the budget of 2"
    );
    assert!(parts.next().is_none());
    let found = Resolver::builder().offline(true).without_store().build();
    let found =
        found.resolve(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/models/llama-spm.gguf")).unwrap();
    assert_eq!(
        found.tokenizer().truncate("a", 0, Side::Right, Special::Add).unwrap_err().to_string(),
        "expected a budget of more than the 1 tokens that are added to every text, found 0; raise it, or add no special tokens"
    );
    assert_eq!(found.tokenizer().truncate("a", 1, Side::Right, Special::Add).unwrap(), "");
}

#[test]
fn nothing_is_encoded_behind_a_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qwen.tiktoken");
    // `a` and a space; nothing else has a token.
    std::fs::write(&path, "YQ== 0\nIA== 1\nIGE= 2\n").unwrap();
    let config = directory.path().join("tokenizer_config.json");
    std::fs::write(config, r#"{"tokenizer_class": "QWenTokenizer"}"#).unwrap();
    let resolver = Resolver::builder().offline(true).without_store().strict(true).build();
    let found = resolver.resolve(&path).unwrap_or_else(|error| panic!("{error}"));
    let tokenizer = found.tokenizer();
    let text = format!("{}!", "a ".repeat(5000));
    assert!(tokenizer.count(&text, Special::Ignore).is_err());
    assert_eq!(tokenizer.count_up_to(&text, 100, Special::Ignore).unwrap(), None);
    assert_eq!(tokenizer.truncate(&text, 100, Side::Right, Special::Ignore).unwrap().len(), 199);
}

#[test]
fn text_without_tokens_fits_where_there_is_no_room() {
    let tokenizers = tokenizers();
    let (_, t5) = tokenizers.iter().find(|(name, _)| name == "t5.gguf").unwrap();
    assert_eq!(t5.count(" ", Special::Add).unwrap(), 1, "the end marker alone");
    for side in [Side::Left, Side::Right] {
        assert_eq!(t5.truncate(" ", 1, side, Special::Add).unwrap(), " ");
        assert_eq!(t5.truncate("a b", 1, side, Special::Add).unwrap(), "");
    }
}
