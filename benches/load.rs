//! How long it takes from nothing to the first ids, each time in a process of its own.
//!
//! `cargo bench --bench load [-- RUNS]` runs every case RUNS times (default 21) and prints medians in milliseconds, next to
//! `tokenizers` loading the same vocabulary, or the nearest there is, and `shimmytok` loading the same GGUF, in the same run:
//!
//! - *cold*: no store; *saving*: an empty store, so the image is written as well; *warm*: a new process that finds the image;
//! - *again*: the second `resolve` of one resolver, in microseconds;
//! - *anon*: memory that is no file's once the ids are there, in KiB, cold and warm.
//!
//! Vocabularies come from `../shared/vocab` (or `$ANYTOK_SHARED/vocab`).

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anytok::{Resolver, ResolverBuilder, Special};

const TEXT: &str = "Hello, world! The quick brown fox jumps over the lazy dog.";

/// A name, the model, and the tokenizer.json that `tokenizers` loads for comparison.
const CASES: &[(&str, &str, &str)] = &[
    ("llama-bpe", "gguf/llama-bpe.gguf", "files/llama3.1/tokenizer.json"),
    ("gemma-4", "gguf/gemma-4.gguf", "files/gpt-4o/tokenizer.json"),
    ("qwen2", "gguf/qwen2.gguf", "files/qwen3/tokenizer.json"),
    ("llama-spm", "gguf/llama-spm.gguf", "files/llama2/tokenizer.json"),
    ("llama3.1", "files/llama3.1/tokenizer.json", "files/llama3.1/tokenizer.json"),
    ("minilm", "files/all-minilm-l6-v2/tokenizer.json", "files/all-minilm-l6-v2/tokenizer.json"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [mode, path, store] = &arguments[..] {
        return child(mode, Path::new(path), Path::new(store));
    }
    let runs = arguments.first().and_then(|runs| runs.parse().ok()).unwrap_or(21);
    let shared = std::env::var_os("ANYTOK_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let vocabularies = shared.join("vocab");
    if !vocabularies.is_dir() {
        println!("skipped: {} is absent", vocabularies.display());
        return ExitCode::SUCCESS;
    }
    let Ok(store) = tempfile::tempdir() else {
        eprintln!("no temporary directory");
        return ExitCode::FAILURE;
    };
    println!(
        "{:10} {:>8} {:>8} {:>8} {:>9} {:>11} {:>10} {:>6} {:>6} {:>11} {:>11}",
        "model",
        "cold",
        "saving",
        "warm",
        "again µs",
        "tokenizers",
        "shimmytok",
        "× cold",
        "× warm",
        "anon cold",
        "anon warm"
    );
    for (name, model, json) in CASES {
        let (model, json) = (vocabularies.join(model), vocabularies.join(json));
        if !model.is_file() || !json.is_file() {
            println!("{name:10} absent");
            continue;
        }
        let [peer, _] = medians("tokenizers", &json, store.path(), runs.min(5));
        let is_gguf = model.extension().is_some_and(|extension| extension == "gguf");
        let other = is_gguf.then(|| medians("shimmytok", &model, store.path(), runs.min(5))[0]);
        let other = other.map_or("-".into(), |time| format!("{time:.1}"));
        let [cold, cold_memory] = medians("cold", &model, store.path(), runs);
        let [saving, _] = medians("saving", &model, store.path(), runs.min(5));
        let [warm, warm_memory] = medians("warm", &model, store.path(), runs);
        let [again, _] = medians("again", &model, store.path(), runs);
        println!(
            "{name:10} {cold:8.2} {saving:8.2} {warm:8.3} {:9.1} {peer:11.1} {other:>10} {:6.0} {:6.0} {cold_memory:11.0} {warm_memory:11.0}",
            again * 1e3,
            peer / cold,
            peer / warm
        );
    }
    ExitCode::SUCCESS
}

/// Milliseconds to the first ids and KiB of memory that is no file's, as the processes report them.
fn medians(mode: &str, path: &Path, store: &Path, runs: usize) -> [f64; 2] {
    let mut columns = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        let output = std::env::current_exe().and_then(|exe| {
            Command::new(exe).arg(mode).arg(path).arg(store).env("HF_HUB_OFFLINE", "1").output()
        });
        let output =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        for (column, number) in columns.iter_mut().zip(output.split_whitespace()) {
            column.extend(number.parse::<f64>().ok());
        }
    }
    columns.map(|mut column| {
        column.sort_by(f64::total_cmp);
        column.get(column.len() / 2).copied().unwrap_or(f64::NAN)
    })
}

fn child(mode: &str, path: &Path, store: &Path) -> ExitCode {
    let resolve = |builder: ResolverBuilder| {
        let start = Instant::now();
        let found = builder.build().resolve(path).ok()?;
        let ids = found.tokenizer().encode(TEXT, Special::Add).ok()?;
        report(start, &ids);
        Some(())
    };
    let done = match mode {
        "cold" => resolve(Resolver::builder().without_store()),
        "warm" => resolve(Resolver::builder().store_dir(store)),
        "saving" => {
            Resolver::builder().store_dir(store).build().store().clear();
            resolve(Resolver::builder().store_dir(store))
        }
        "again" => {
            let resolver = Resolver::builder().store_dir(store).build();
            resolver.resolve(path).ok().and_then(|first| {
                let start = Instant::now();
                let again = resolver.resolve(path).ok()?;
                report(start, &[again.tokenizer().vocab_size(), first.tokenizer().vocab_size()]);
                Some(())
            })
        }
        "tokenizers" => {
            let start = Instant::now();
            tokenizers::Tokenizer::from_file(path).ok().and_then(|found| {
                let encoding = found.encode_fast(TEXT, true).ok()?;
                report(start, encoding.get_ids());
                Some(())
            })
        }
        "shimmytok" => {
            let start = Instant::now();
            shimmytok::Tokenizer::from_gguf_file(path).ok().and_then(|found| {
                report(start, &found.encode(TEXT, true).ok()?);
                Some(())
            })
        }
        _ => None,
    };
    if done.is_none() {
        eprintln!("{}: nothing for {mode}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// While everything that was loaded is still there.
fn report(start: Instant, ids: &[u32]) {
    let took = start.elapsed();
    std::hint::black_box(ids);
    println!("{} {}", took.as_secs_f64() * 1e3, anonymous_memory());
}

/// KiB of resident memory beside mapped files; 0 where the system does not tell.
fn anonymous_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
