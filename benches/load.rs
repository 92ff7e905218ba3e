//! How long it takes from nothing to the first ids, each time in a process of its own.
//!
//! `cargo bench --bench load [-- RUNS]` runs every case RUNS times (default 21) and prints medians in milliseconds of wall time:
//!
//! - *cold*: to the first ids, without a store; *answer*: to the answer of `resolve`, with a store that is empty, and *ids* to the
//!   first ids then; *warm*: to the first ids, in a new process that finds what was stored;
//! - *again*: the second `resolve` of one resolver, in microseconds;
//! - *CPU*: of the whole process, all threads, its start and its end included; cold and warm; the mean, where there is a shell that
//!   tells (*start*, in the last line, is what a process takes that does nothing);
//! - *anon*: memory that is no file's once the ids are there; *peak*: the most memory at any time, pages of the mapped file and of the
//!   program included; *file*: the vocabulary itself. All in KiB;
//! - `tokenizers`, loading the same vocabulary or the nearest there is: to the first ids. `benches/peers` has others.
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
    ("gpt-2", "gguf/gpt-2.gguf", "files/gpt2/tokenizer.json"),
    ("llama-spm", "gguf/llama-spm.gguf", "files/llama2/tokenizer.json"),
    ("llama3.1", "files/llama3.1/tokenizer.json", "files/llama3.1/tokenizer.json"),
    ("gpt-4o", "files/gpt-4o/tokenizer.json", "files/gpt-4o/tokenizer.json"),
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
        "{:10} {:>7} {:>7} {:>7} {:>7} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>7} {:>10}",
        "model",
        "cold",
        "answer",
        "ids",
        "warm",
        "again µs",
        "CPU cold",
        "CPU warm",
        "anon cold",
        "peak cold",
        "anon warm",
        "file",
        "tokenizers"
    );
    for (name, model, json) in CASES {
        let (model, json) = (vocabularies.join(model), vocabularies.join(json));
        let Ok(metadata) = model.metadata() else {
            println!("{name:10} absent");
            continue;
        };
        let [_, cold, anon, peak] = medians("cold", &model, store.path(), runs);
        let [answer, ids, ..] = medians("saving", &model, store.path(), runs);
        let [_, warm, anon_warm, _] = medians("warm", &model, store.path(), runs);
        let [_, again, ..] = medians("again", &model, store.path(), runs);
        let of_cold = cpu("cold", &model, store.path(), runs);
        let of_warm = cpu("warm", &model, store.path(), runs);
        let [_, tokenizers, ..] = medians("tokenizers", &json, store.path(), runs.min(5));
        println!(
            "{name:10} {cold:7.2} {answer:7.2} {ids:7.2} {warm:7.3} {:8.1} {of_cold:8.1} {of_warm:8.1} {anon:9.0} {peak:9.0} {anon_warm:9.0} {:7} {tokenizers:10.1}",
            again * 1e3,
            metadata.len() / 1024,
        );
    }
    println!("start: {:.1} ms CPU", cpu("nothing", Path::new(""), store.path(), runs));
    ExitCode::SUCCESS
}

fn command(mode: &str, path: &Path, store: &Path) -> Option<Command> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.arg(mode).arg(path).arg(store).env("HF_HUB_OFFLINE", "1");
    Some(command)
}

/// What the processes report: milliseconds to the answer and to the first ids, KiB of memory that is no file's and at the peak.
fn medians(mode: &str, path: &Path, store: &Path, runs: usize) -> [f64; 4] {
    let mut columns = [const { Vec::new() }; 4];
    for _ in 0..runs {
        let output = command(mode, path, store).and_then(|mut command| command.output().ok());
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

/// Milliseconds of processor time that a process takes, the mean over `runs` of them, as a shell counts it.
fn cpu(mode: &str, path: &Path, store: &Path, runs: usize) -> f64 {
    const LOOP: &str = r#"n=$1; shift; while [ $n -gt 0 ]; do "$@" > /dev/null; n=$((n - 1)); done; times"#;
    let seconds = || {
        let program = std::env::current_exe().ok()?;
        let mut shell = Command::new("sh");
        shell.args(["-c", LOOP, "sh", &runs.to_string()]).arg(program).arg(mode).arg(path).arg(store);
        let output = shell.env("HF_HUB_OFFLINE", "1").output().ok()?;
        let output = String::from_utf8(output.stdout).ok()?;
        // In the last line, of the children: `0m1.234s 0m0.567s`.
        let times = output.lines().last()?.split_whitespace();
        times.map(|time| time.trim_end_matches('s').split_once('m')).try_fold(0.0, |sum, time| {
            let (minutes, seconds) = time?;
            Some(sum + minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
        })
    };
    seconds().map_or(f64::NAN, |seconds| seconds * 1e3 / runs as f64)
}

fn child(mode: &str, path: &Path, store: &Path) -> ExitCode {
    let resolve = |builder: ResolverBuilder| {
        let resolver = builder.build();
        let start = Instant::now();
        let found = resolver.resolve(path).ok()?;
        let answer = start.elapsed();
        let ids = found.tokenizer().encode(TEXT, Special::Add).ok()?;
        let first_ids = start.elapsed();
        std::hint::black_box(ids);
        let [anonymous, peak] = memory();
        println!("{} {} {anonymous} {peak}", answer.as_secs_f64() * 1e3, first_ids.as_secs_f64() * 1e3);
        resolver.store().flush();
        Some(())
    };
    let done = match mode {
        "nothing" => Some(()),
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
                let took = start.elapsed().as_secs_f64() * 1e3;
                std::hint::black_box((first, again));
                println!("{took} {took}");
                Some(())
            })
        }
        "tokenizers" => {
            let start = Instant::now();
            tokenizers::Tokenizer::from_file(path).ok().and_then(|found| {
                let encoding = found.encode_fast(TEXT, true).ok()?;
                let took = start.elapsed().as_secs_f64() * 1e3;
                std::hint::black_box(encoding.get_ids());
                println!("{took} {took}");
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

/// KiB of resident memory beside mapped files, and of all memory at the peak; 0 where the system does not tell.
fn memory() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ["RssAnon:", "VmHWM:"].map(|key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    })
}
