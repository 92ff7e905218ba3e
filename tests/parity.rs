//! Ids and texts of real vocabularies against the answers of llama.cpp 0.8.0, case by case.
//!
//! Prints a table of differences; a difference in any file fails, after all of them were counted.

mod shared;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anytok::gguf::{Gguf, GgufBuilder};
use anytok::{Resolution, Resolver, Special, SpecialText, Strategy, Tokenizer};
use serde::Deserialize;

/// A line of an expected file; ids of -1 stand for `LLAMA_TOKEN_NULL`.
#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<i64>,
    ids_special: Option<Vec<i64>>,
    decoded: Option<String>,
    decoded_special: Option<String>,
}

#[test]
fn every_gguf_vocabulary_gives_the_ids_and_texts_of_llama_cpp() {
    let Some(root) = shared::root() else { return };
    let expected = root.join("expected/gguf");
    let names = shared::names(&expected, ".jsonl.gz");
    assert!(names.len() >= 26, "only {} vocabularies", names.len());
    in_parallel(&names, |name, report| {
        let model = match name.strip_prefix("syn-") {
            Some(name) => root.join(format!("spec/synthetic/{name}.gguf")),
            None => root.join(format!("vocab/gguf/{name}.gguf")),
        };
        // This one file does not say how its text is cut. The guess is right, and must not pass for knowledge.
        let Some(found) = resolve(&model, name != "gpt-neox", report) else { return };
        let cases: Vec<Case> = shared::lines(&expected.join(format!("{name}.jsonl.gz")));
        check(found.tokenizer(), &cases, report);
        if !found.is_degraded() {
            // What a list of merges says, and what an image has made of it.
            let directory = tempfile::tempdir().expect("a temporary directory");
            let resolver = || Resolver::builder().offline(true).store_dir(directory.path()).build();
            let first = report.expect(resolver().resolve(&model).map_err(|error| error.to_string()));
            drop(first);
            let warm = report.expect(resolver().resolve(&model).map_err(|error| error.to_string()));
            let Some(warm) = warm else { return };
            for case in &cases {
                let ids =
                    warm.tokenizer().encode(&case.text, Special::Ignore).map_err(|error| error.to_string());
                report.compare("ids from an image", &case.text, &ids, &Ok(unsigned(&case.ids)));
            }
        }
    });
}

#[test]
fn every_pre_tokenizer_cuts_as_llama_cpp_does() {
    let Some(root) = shared::root() else { return };
    let expected = root.join("expected/pre");
    let names = shared::names(&expected, ".jsonl.gz");
    assert!(names.len() >= 60, "only {} names", names.len());
    let base = Gguf::open(root.join("vocab/gguf/llama-bpe.gguf")).expect("a GGUF");
    let directory = tempfile::tempdir().expect("a temporary directory");
    in_parallel(&names, |name, report| {
        let model = directory.path().join(format!("{name}.gguf"));
        std::fs::write(&model, with_pre(&base, name)).expect("a file is written");
        let Some(found) = resolve(&model, true, report) else { return };
        check(found.tokenizer(), &shared::lines(&expected.join(format!("{name}.jsonl.gz"))), report);
        std::fs::remove_file(&model).expect("it was there");
    });
}

/// A line of the table of traps.
#[derive(Deserialize)]
struct Trap {
    #[serde(rename = "trap")]
    number: String,
    vocab: String,
    add_special: bool,
    parse_special: bool,
    input_hex: String,
    ids: Vec<i64>,
}

#[test]
fn every_trap_is_stepped_over() {
    let Some(root) = shared::root() else { return };
    let text = std::fs::read_to_string(root.join("spec/traps.jsonl")).expect("the table of traps");
    let mut traps = BTreeMap::<String, Vec<Trap>>::new();
    for line in text.lines() {
        let trap: Trap = serde_json::from_str(line).expect("a trap");
        // `test` is refused by design; three vocabularies are not given, nor a recipe for them.
        if !["syn/test", "deepseek-llm", "syn/lstrip_mask", "syn/pre_mmbert"].contains(&&*trap.vocab) {
            traps.entry(trap.vocab.clone()).or_default().push(trap);
        }
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let names: Vec<_> = traps.keys().cloned().collect();
    in_parallel(&names, |name, report| {
        let model = trap_model(&root, directory.path(), name);
        let Some(found) = resolve(&model, name != "gpt-neox", report) else { return };
        for Trap { number, add_special, parse_special, input_hex, ids, .. } in &traps[name] {
            let special = match (add_special, parse_special) {
                (false, false) => Special::Ignore,
                (true, false) => Special::Add,
                (false, true) => Special::Parse,
                (true, true) => Special::AddAndParse,
            };
            let input = unhex(input_hex);
            report.case();
            let got = found.tokenizer().encode_bytes(&input, special).map_err(|error| error.to_string());
            report.compare(
                "ids",
                &format_args!("trap {number}, {}", input.escape_ascii()),
                &got,
                &Ok(unsigned(ids)),
            );
        }
    });
}

/// The file of a trap: a given one, or one made from it by the trap's recipe.
fn trap_model(root: &Path, directory: &Path, name: &str) -> PathBuf {
    let given = |name: &str| root.join(format!("vocab/gguf/{name}.gguf"));
    let base = |name: &str| Gguf::open(given(name)).expect("a GGUF");
    let synthetic = name.strip_prefix("syn/").map(|name| root.join(format!("spec/synthetic/{name}.gguf")));
    if let Some(path) = synthetic.into_iter().chain([given(name)]).find(|path| path.is_file()) {
        return path;
    }
    let of_pre = name.strip_prefix("llama-bpe+pre=").or(name.strip_prefix("syn/pre_"));
    let bytes = match (of_pre, name) {
        (Some(pre), _) => with_pre(&base("llama-bpe"), pre),
        (_, "syn/noim") => with_pre(&base("llama-bpe"), "dbrx"),
        (_, "syn/ugm_00") => with_spaces(&base("nomic-bert-moe"), false),
        (_, "syn/ugm_10") => with_spaces(&base("nomic-bert-moe"), true),
        (_, "syn/ugm_ud") => with_tokens(&base("nomic-bert-moe"), &[(249_995, "\u{FB01}re")]),
        (_, "syn/meta_first") => without(&base("gemma-4"), &[SCHEME]).string(SCHEME, "first").finish(),
        (_, "syn/overlap") => {
            let tokens = [
                (128_010, "qzx"),
                (128_011, "zxwv"),
                (128_012, "<xq"),
                (128_013, "xq>"),
                (128_014, "qzxwvk"),
            ];
            with_tokens(&base("llama-bpe"), &tokens)
        }
        (_, "syn/missing_sym") => {
            let base = base("llama-bpe");
            let renamed = |token: &[u8]| match token {
                b"!" => b"<renamed 0>".to_vec(),
                b"\xC4\xA0" => b"<renamed 1>".to_vec(), // `Ġ`
                token => token.to_vec(),
            };
            let tokens: Vec<_> = base.strings(TOKENS).expect("tokens").map(renamed).collect();
            without(&base, &[TOKENS]).strings(TOKENS, tokens).finish()
        }
        _ => panic!("no file and no recipe for {name}"),
    };
    let path = directory.join(format!("{}.gguf", name.replace('/', "-")));
    std::fs::write(&path, bytes).expect("a file is written");
    path
}

fn with_pre(gguf: &Gguf, pre: &str) -> Vec<u8> {
    without(gguf, &[PRE]).string(PRE, pre).finish()
}

/// Unigram without the removal of extra spaces, with or without a space in front.
fn with_spaces(gguf: &Gguf, prefix: bool) -> Vec<u8> {
    without(gguf, &[PREFIX, REMOVE]).bool(PREFIX, prefix).bool(REMOVE, false).finish()
}

/// Makes some tokens user-defined ones of other texts.
fn with_tokens(gguf: &Gguf, others: &[(usize, &str)]) -> Vec<u8> {
    let mut tokens: Vec<_> = gguf.strings(TOKENS).expect("tokens").map(<[u8]>::to_vec).collect();
    let mut types: Vec<_> = gguf.i32s(TYPES).expect("types").collect();
    for &(id, text) in others {
        tokens[id] = text.as_bytes().to_vec();
        types[id] = USER_DEFINED;
    }
    without(gguf, &[TOKENS, TYPES]).strings(TOKENS, tokens).i32s(TYPES, types).finish()
}

fn without(gguf: &Gguf, keys: &[&str]) -> GgufBuilder {
    GgufBuilder::copy_of(gguf, |key| !keys.iter().any(|other| other.as_bytes() == key))
}

/// Resolves without the network; `None`, and a difference, if the result is not what it should be.
fn resolve(model: &Path, knows_its_pre: bool, report: &mut Report) -> Option<Resolution> {
    let found = Resolver::builder().offline(true).without_store().build().resolve(model);
    let found = report.expect(found.map_err(|error| error.to_string()))?;
    let (strategy, degraded) =
        if knows_its_pre { (Strategy::Embedded, false) } else { (Strategy::Backup, true) };
    if (found.strategy(), found.is_degraded()) != (strategy, degraded) {
        report.expect::<()>(Err(format!("expected {strategy}, found\n{found}")));
        return None;
    }
    Some(found)
}

/// Every case in every field, and every other way to the same ids and texts.
fn check(tokenizer: &Tokenizer, cases: &[Case], report: &mut Report) {
    let text_of = |error: anytok::EncodeError| error.to_string();
    let mut texts = Vec::with_capacity(cases.len());
    for case in cases {
        let text = &*case.text;
        report.case();
        let ids = tokenizer.encode(text, Special::Ignore).map_err(text_of);
        report.compare("ids", &text, &ids, &Ok(unsigned(&case.ids)));
        texts.push((text, ids));

        let special = tokenizer.encode(text, Special::AddAndParse).map_err(text_of);
        if let Some(expected) = &case.ids_special {
            report.compare("ids_special", &text, &special, &Ok(unsigned(expected)));
        }
        let Ok(special) = special else { continue };
        let count = tokenizer.count(text, Special::AddAndParse).map_err(text_of);
        report.compare("count", &text, &count, &Ok(special.len()));
        match tokenizer.encode_with_offsets(text, Special::AddAndParse) {
            Ok(encoding) => {
                report.compare("offsets", &text, &encoding.ids, &special);
                let lawful =
                    |range: &std::ops::Range<usize>| range.start <= range.end && range.end <= text.len();
                let fine = encoding.offsets.len() == encoding.ids.len()
                    && encoding.offsets.iter().all(lawful)
                    && encoding.offsets.is_sorted_by_key(|range| range.start);
                report.compare("offsets", &text, &(fine, &encoding.offsets), &(true, &encoding.offsets));
            }
            Err(error) => report.compare("offsets", &text, &Err(error.to_string()), &Ok::<(), _>(())),
        }

        let fields = [(SpecialText::Skip, &case.decoded), (SpecialText::Render, &case.decoded_special)];
        for (field, (render, expected)) in ["decoded", "decoded_special"].into_iter().zip(fields) {
            let Some(expected) = expected else { continue };
            let ids = case.ids_special.as_ref().map_or_else(Vec::new, |ids| unsigned(ids));
            let decoded = tokenizer.decode_bytes(&ids, render).map_err(|error| error.to_string());
            report.compare(field, &text, &decoded.map(|bytes| hex(&bytes)), &Ok(expected.clone()));
            let whole = tokenizer.decode(&ids, render).map_err(|error| error.to_string());
            report.compare("stream", &text, &streamed(tokenizer, &ids, render), &whole);
        }
    }

    let batch: Vec<_> = texts.iter().map(|&(text, _)| text).collect();
    let single: Result<Vec<_>, _> = texts.into_iter().map(|(_, ids)| ids).collect();
    let batch = tokenizer.encode_batch(&batch, Special::Ignore).map_err(text_of);
    report.compare("batch", &"all texts", &(batch == single), &true);
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32], render: SpecialText) -> Result<String, String> {
    let mut stream = tokenizer.decode_stream(render);
    let mut text = String::new();
    for &id in ids {
        text += stream.push(id).map_err(|error| error.to_string())?;
    }
    Ok(text + &stream.finish())
}

/// What came of one file.
#[derive(Default)]
struct Report {
    cases: usize,
    differences: BTreeMap<&'static str, usize>,
    messages: String,
}

impl Report {
    fn case(&mut self) {
        self.cases += 1;
    }

    /// Counts a difference, and writes out the first few of a field.
    fn compare<T: PartialEq + std::fmt::Debug>(
        &mut self,
        field: &'static str,
        text: &dyn std::fmt::Debug,
        got: &T,
        want: &T,
    ) {
        if got != want {
            let count = self.differences.entry(field).or_default();
            *count += 1;
            if *count <= 3 {
                let _ = write!(self.messages, "\n  {field} of {text:?}\n     got {got:?}\n    want {want:?}");
            }
        }
    }

    fn expect<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result
            .inspect_err(|error| {
                *self.differences.entry("resolve").or_default() += 1;
                let _ = write!(self.messages, "\n  {error}");
            })
            .ok()
    }
}

/// Runs `check` for each name, on all cores; fails after the last if there was a difference.
fn in_parallel(names: &[String], check: impl Fn(&str, &mut Report) + Sync) {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut report = Report::default();
                    check(name, &mut report);
                    reports.lock().unwrap_or_else(PoisonError::into_inner).insert(name, report);
                }
            });
        }
    });
    let reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (mut differences, mut messages, mut cases) = (0, String::new(), 0);
    for (name, report) in reports {
        println!("{name:<28} {:>5} cases, differences {:?}", report.cases, report.differences);
        cases += report.cases;
        differences += report.differences.values().sum::<usize>();
        if !report.messages.is_empty() {
            let _ = write!(messages, "\n{name}:{}", report.messages);
        }
    }
    assert!(cases > 0 || differences > 0, "nothing was compared");
    assert_eq!(differences, 0, "differences in {cases} cases; the first of each file and field:{messages}");
}

fn unsigned(ids: &[i64]) -> Vec<u32> {
    ids.iter().map(|&id| if id == -1 { u32::MAX } else { u32::try_from(id).expect("an id") }).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two hexadecimal digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const PRE: &str = "tokenizer.ggml.pre";
const PREFIX: &str = "tokenizer.ggml.add_space_prefix";
const REMOVE: &str = "tokenizer.ggml.remove_extra_whitespaces";
const SCHEME: &str = "tokenizer.ggml.metaspace.prepend_scheme";
const USER_DEFINED: i32 = 4;
