//! Inputs for models against those of the `tokenizers` crate: every `tokenizer.json` that is given, one text and two, truncated and
//! padded in every way, one by one and as a batch.

#[allow(dead_code, reason = "these tests read no answers")]
mod shared;

use std::path::{Path, PathBuf};

use anytok::{Encoded, EncoderError, Input, Padding, Resolver, Side, Special, Truncate, Truncation};
use tokenizers::utils::padding::{PaddingDirection, PaddingParams, PaddingStrategy};
use tokenizers::utils::truncation::{TruncationDirection, TruncationParams, TruncationStrategy};
use tokenizers::{EncodeInput, PostProcessorWrapper, Tokenizer as Reference};

const TEXTS: [&str; 9] = [
    "",
    "Hello",
    "What is the capital of France?",
    "Paris is the capital  and most populous city of France. It has 2,102,650 residents.\n\nIt is on the Seine.",
    "naïve café — 漢字 한국어 👩‍👩‍👧 e\u{301}",
    "   leading and trailing   ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "fn main() {\n    println!(\"{}\", 1 + 1);\n}\n",
    "the quick brown fox jumps over the lazy dog the quick brown fox jumps over the lazy dog the quick brown fox",
];

/// Directories with a `tokenizer.json`.
fn directories() -> Vec<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/models");
    let files = shared::root().map(|root| root.join("vocab/files"));
    let mut directories = Vec::new();
    for root in [Some(models), files].into_iter().flatten() {
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            if path.join("tokenizer.json").is_file() {
                directories.push(path);
            }
        }
    }
    directories.sort();
    directories
}

/// What the file is with another post-processor, in a directory that goes with the value.
struct Model {
    name: String,
    ours: anytok::Tokenizer,
    /// As it is used.
    whole: Reference,
    /// Without a post-processor: nothing but the texts.
    bare: Reference,
}

impl Model {
    fn new(name: String, json: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tokenizer.json"), json).unwrap();
        let resolver = Resolver::builder().offline(true).without_store().strict(true).build();
        let found = resolver.resolve(directory.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut whole = Reference::from_bytes(json).unwrap();
        whole.with_truncation(None).unwrap();
        whole.with_padding(None);
        let mut bare = whole.clone();
        bare.with_post_processor(None::<PostProcessorWrapper>);
        Self { name, ours: found.tokenizer().clone(), whole, bare }
    }

    /// The library's input. Its own parts that overflow are cut from what it had read when the limit was reached: ours are of the whole
    /// text, so they are held against the library's functions on the whole text.
    fn reference(
        &self,
        configured: &Reference,
        input: Input<'_>,
        adds: bool,
    ) -> Result<(tokenizers::Encoding, tokenizers::Encoding), String> {
        let guarded = |work: &dyn Fn() -> tokenizers::Result<tokenizers::Encoding>| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
                .map_err(|_| "a panic".to_owned())?
                .map_err(|error| error.to_string())
        };
        let encoded = guarded(&|| match input {
            Input::Single(text) => configured.encode(text, adds),
            Input::Pair(first, second) => configured.encode((first, second), adds),
        })?;
        let whole = guarded(&|| {
            let (first, second) = match input {
                Input::Single(text) => (text, None),
                Input::Pair(first, second) => (first, Some(second)),
            };
            let first = self.bare.encode(first, false)?;
            let second = second.map(|second| self.bare.encode(second, false)).transpose()?;
            let second = second.map(|mut second| {
                second.set_type_ids(vec![1; second.len()]);
                second
            });
            configured.post_process(first, second, adds)
        })?;
        Ok((encoded, whole))
    }
}

#[derive(Default)]
struct Cells {
    same: usize,
    refused: usize,
}

fn compare_one(name: &str, ours: &Encoded, theirs: &tokenizers::Encoding, cells: &mut Cells) {
    assert_eq!(ours.ids, theirs.get_ids(), "{name}: ids");
    assert_eq!(ours.type_ids, theirs.get_type_ids(), "{name}: type ids");
    assert_eq!(ours.attention_mask, theirs.get_attention_mask(), "{name}: attention mask");
    assert_eq!(ours.special_mask, theirs.get_special_tokens_mask(), "{name}: special mask");
    // Places are those of `encode_with_offsets`, which go their own way where a mark is dropped or a space is added or joined.
    if !name.starts_with("t5") && !name.contains("e\\u{301}") {
        let offsets: Vec<_> = ours.offsets.iter().map(|place| (place.start, place.end)).collect();
        assert_eq!(offsets, theirs.get_offsets(), "{name}: offsets");
        cells.same += ours.ids.len();
    }
    assert_eq!(ours.texts.len(), ours.ids.len());
    cells.same += 4 * ours.ids.len();
}

fn compare(name: &str, ours: &Encoded, theirs: &tokenizers::Encoding, cells: &mut Cells) {
    compare_one(name, ours, theirs, cells);
    assert_eq!(ours.overflowing.len(), theirs.get_overflowing().len(), "{name}: overflowing");
    for (ours, theirs) in ours.overflowing.iter().zip(theirs.get_overflowing()) {
        compare_one(name, ours, theirs, cells);
    }
}

fn truncations() -> Vec<Option<TruncationParams>> {
    let mut all = vec![None];
    for max_length in [1, 2, 3, 4, 5, 8, 16, 33] {
        for strategy in
            [TruncationStrategy::LongestFirst, TruncationStrategy::OnlyFirst, TruncationStrategy::OnlySecond]
        {
            for direction in [TruncationDirection::Left, TruncationDirection::Right] {
                for stride in [0, 2] {
                    all.push(Some(TruncationParams { direction, max_length, strategy, stride }));
                }
            }
        }
    }
    all
}

fn ours(truncation: &TruncationParams) -> Truncation {
    Truncation::new(truncation.max_length)
        .stride(truncation.stride)
        .side(match truncation.direction {
            TruncationDirection::Left => Side::Left,
            TruncationDirection::Right => Side::Right,
        })
        .what(match truncation.strategy {
            TruncationStrategy::LongestFirst => Truncate::LongestFirst,
            TruncationStrategy::OnlyFirst => Truncate::OnlyFirst,
            TruncationStrategy::OnlySecond => Truncate::OnlySecond,
        })
}

fn paddings() -> Vec<(Option<PaddingParams>, Option<Padding>)> {
    let theirs = |strategy, direction, multiple| PaddingParams {
        strategy,
        direction,
        pad_to_multiple_of: multiple,
        pad_id: 3,
        pad_type_id: 2,
        pad_token: "anything".into(),
    };
    let ours = |padding: Padding| Some(padding.id(3).type_id(2));
    vec![
        (None, None),
        (
            Some(theirs(PaddingStrategy::BatchLongest, PaddingDirection::Right, None)),
            ours(Padding::longest()),
        ),
        (
            Some(theirs(PaddingStrategy::BatchLongest, PaddingDirection::Left, Some(8))),
            ours(Padding::longest().side(Side::Left).multiple_of(8)),
        ),
        (
            Some(theirs(PaddingStrategy::Fixed(20), PaddingDirection::Right, Some(7))),
            ours(Padding::to(20).multiple_of(7)),
        ),
    ]
}

fn inputs() -> Vec<Input<'static>> {
    let singles = TEXTS.iter().map(|&text| Input::Single(text));
    let pairs = [(0, 2), (1, 1), (2, 3), (3, 2), (3, 8), (4, 5), (5, 0), (6, 7), (8, 6)];
    singles.chain(pairs.iter().map(|&(a, b)| Input::Pair(TEXTS[a], TEXTS[b]))).collect()
}

fn check(model: &Model, cells: &mut Cells) {
    let inputs = inputs();
    let mut configured = model.whole.clone();
    for truncation in truncations() {
        // Padding comes last and knows nothing of what came before.
        let paddings = paddings().into_iter();
        let with_all = truncation.as_ref().is_none_or(|truncation| truncation.max_length == 16);
        for (theirs, padding) in paddings.take(if with_all { usize::MAX } else { 1 }) {
            configured.with_padding(theirs);
            for adds in [true, false] {
                let mut built = model
                    .ours
                    .encoder()
                    .special(if adds { Special::Add } else { Special::Ignore })
                    .padding(padding)
                    .overflowing(true);
                if let Some(truncation) = &truncation {
                    built = built.truncation(ours(truncation));
                    configured.with_truncation(None).unwrap();
                    // Where its own check subtracts below zero or refuses, there is nothing to compare.
                    let set = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        configured.with_truncation(Some(truncation.clone())).map(drop)
                    }));
                    if !matches!(set, Ok(Ok(()))) {
                        cells.refused += 1;
                        assert!(!adds || built.build().is_err(), "{}: {truncation:?}", model.name);
                        continue;
                    }
                }
                let encoder = match built.build() {
                    Ok(encoder) => encoder,
                    // The library notices a stride as long as a part only when a text is that long.
                    Err(EncoderError::Stride { .. }) => {
                        cells.refused += 1;
                        continue;
                    }
                    Err(error) => panic!("{}: {error}", model.name),
                };
                let mut good = Vec::new();
                for &input in &inputs {
                    let name = format!("{} {input:?} {truncation:?} {padding:?} {adds}", model.name);
                    match (encoder.encode(input), model.reference(&configured, input, adds)) {
                        (Ok(ours), Ok((encoded, whole))) => {
                            compare_one(&name, &ours, &encoded, cells);
                            if whole.get_ids() == encoded.get_ids() {
                                compare(&name, &ours, &whole, cells);
                            }
                            good.push(input);
                        }
                        (Err(_), Err(_)) => cells.refused += 1,
                        (Err(error), Ok(_)) => panic!("{name}: {error}"),
                        (Ok(_), Err(error)) => panic!("{name}: the reference says {error}"),
                    }
                }
                let batch = good.iter().map(|&input| match input {
                    Input::Single(text) => EncodeInput::from(text),
                    Input::Pair(first, second) => EncodeInput::from((first, second)),
                });
                let theirs = configured.encode_batch(batch.collect(), adds).unwrap();
                let ours = encoder.encode_batch(good.iter().copied()).unwrap();
                assert_eq!(ours.len(), theirs.len());
                for ((ours, theirs), input) in ours.iter().zip(&theirs).zip(&good) {
                    compare_one(&format!("{} batch {input:?}", model.name), ours, theirs, cells);
                }
                if padding.is_some_and(|padding| padding == Padding::longest().id(3).type_id(2))
                    && ours.iter().all(|ours| ours.overflowing.is_empty())
                {
                    let flat = encoder.batch::<i64, _>(good.iter().copied()).unwrap();
                    assert_eq!((flat.rows, flat.ids.len()), (good.len(), flat.rows * flat.columns));
                    for (row, theirs) in theirs.iter().enumerate() {
                        let range = row * flat.columns..(row + 1) * flat.columns;
                        let wide =
                            |values: &[u32]| -> Vec<i64> { values.iter().map(|&v| v.into()).collect() };
                        assert_eq!(flat.ids[range.clone()], wide(theirs.get_ids()));
                        assert_eq!(flat.type_ids[range.clone()], wide(theirs.get_type_ids()));
                        assert_eq!(flat.attention_mask[range], wide(theirs.get_attention_mask()));
                    }
                }
            }
        }
    }
}

/// Another post-processor for a file that has tokens for it.
fn with_post_processor(json: &[u8], post_processor: serde_json::Value) -> Vec<u8> {
    let mut file: serde_json::Value = serde_json::from_slice(json).unwrap();
    file["post_processor"] = post_processor;
    serde_json::to_vec(&file).unwrap()
}

#[test]
fn inputs_are_those_of_tokenizers() {
    // The reference's own panics are caught, and are many.
    std::panic::set_hook(Box::new(|panic| {
        if !panic.location().is_some_and(|place| place.file().contains("tokenizers-")) {
            eprintln!("{panic}");
        }
    }));
    let mut cells = Cells::default();
    let mut models = 0;
    for directory in directories() {
        let json = std::fs::read(directory.join("tokenizer.json")).unwrap();
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        check(&Model::new(name.clone(), &json), &mut cells);
        models += 1;
        // Those that no file given has.
        if name == "tokenizer-json" {
            let token = |id: u32| serde_json::json!([format!("<{id}>"), id]);
            for post_processor in [
                serde_json::json!({"type": "BertProcessing", "sep": token(5), "cls": token(4)}),
                serde_json::json!({"type": "RobertaProcessing", "sep": token(5), "cls": token(4), "trim_offsets": true, "add_prefix_space": true}),
                serde_json::json!({"type": "RobertaProcessing", "sep": token(5), "cls": token(4), "trim_offsets": false, "add_prefix_space": false}),
                serde_json::json!({"type": "ByteLevel", "trim_offsets": true, "add_prefix_space": false, "use_regex": true}),
                serde_json::json!({
                    "type": "TemplateProcessing",
                    "single": [{"SpecialToken": {"id": "x", "type_id": 4}}, {"Sequence": {"id": "A", "type_id": 3}}],
                    "pair": [{"Sequence": {"id": "B", "type_id": 5}}, {"SpecialToken": {"id": "x", "type_id": 4}}, {"Sequence": {"id": "A", "type_id": 3}}, {"SpecialToken": {"id": "x", "type_id": 7}}],
                    "special_tokens": {"x": {"id": "x", "ids": [7, 8], "tokens": ["a", "b"]}},
                }),
            ] {
                let json = with_post_processor(&json, post_processor.clone());
                check(&Model::new(format!("{name} with {post_processor}"), &json), &mut cells);
                models += 1;
            }
        }
    }
    let Cells { same, refused } = cells;
    println!(
        "{models} tokenizers: {same} cells the same, {refused} inputs or settings refused by both, 0 different"
    );
    assert!(same > 100_000);
}
