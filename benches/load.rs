//! How long it takes from nothing to the first ids, each time in a process of its own.
//!
//! `cargo bench --bench load [-- RUNS]` runs every case RUNS times (default 21) in a fresh process and prints medians, next to
//! the `tokenizers` crate loading the same vocabulary, or the nearest there is, in the same run. Vocabularies come from
//! `../shared/vocab` (or `$ANYTOK_SHARED/vocab`).

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anytok::{Resolver, Special, Strategy};

const TEXT: &str = "Hello, world! The quick brown fox jumps over the lazy dog.";

/// A name, the model, and the tokenizer.json that `tokenizers` loads for comparison.
const CASES: &[(&str, &str, &str)] = &[
    ("llama-bpe", "gguf/llama-bpe.gguf", "files/llama3.1/tokenizer.json"),
    ("gemma-4", "gguf/gemma-4.gguf", "files/gpt-4o/tokenizer.json"),
    ("llama-spm", "gguf/llama-spm.gguf", "files/llama2/tokenizer.json"),
    ("qwen2", "gguf/qwen2.gguf", "files/qwen3/tokenizer.json"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [mode, path] = &arguments[..] {
        return child(mode, Path::new(path));
    }
    let runs = arguments.first().and_then(|runs| runs.parse().ok()).unwrap_or(21);
    let shared = std::env::var_os("ANYTOK_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let vocabularies = shared.join("vocab");
    if !vocabularies.is_dir() {
        println!("skipped: {} is absent", vocabularies.display());
        return ExitCode::SUCCESS;
    }
    println!("{:12} {:>10} {:>12} {:>8} {:>10}", "model", "cold ms", "tokenizers ms", "ratio", "anon KiB");
    for (name, model, json) in CASES {
        let [cold, memory] = medians("cold", &vocabularies.join(model), runs);
        let [peer, _] = medians("tokenizers", &vocabularies.join(json), runs.min(5));
        println!("{name:12} {cold:10.2} {peer:12.1} {:8.1} {memory:10.0}", peer / cold);
    }
    ExitCode::SUCCESS
}

/// Milliseconds to the first ids and KiB of memory that is no file's, as the processes report them.
fn medians(mode: &str, path: &Path, runs: usize) -> [f64; 2] {
    let mut columns = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        let output = std::env::current_exe().and_then(|exe| Command::new(exe).arg(mode).arg(path).output());
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

fn child(mode: &str, path: &Path) -> ExitCode {
    let start = Instant::now();
    // What was loaded is kept until the memory has been measured.
    let done = match mode {
        "cold" => {
            Resolver::builder().chain([Strategy::Embedded]).build().resolve(path).ok().and_then(|found| {
                let ids = found.tokenizer().encode(TEXT, Special::Add).ok()?;
                report(start, &ids);
                Some(())
            })
        }
        "tokenizers" => tokenizers::Tokenizer::from_file(path).ok().and_then(|found| {
            let encoding = found.encode_fast(TEXT, true).ok()?;
            report(start, encoding.get_ids());
            Some(())
        }),
        _ => None,
    };
    if done.is_none() {
        eprintln!("{}: nothing for {mode}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

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
