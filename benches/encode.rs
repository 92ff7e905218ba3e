//! Speed of encoding and decoding, beside the `tokenizers` crate where it reads the same file.
//!
//! ```text
//! cargo bench --bench encode                       everything
//! cargo bench --bench encode -- llama-bpe/english  what matches
//! ```
//!
//! **Vocabularies** come from `../shared/vocab`, or `$ANYTOK_SHARED/vocab`.
//!
//! **Texts**, 5 MB each, are English, code and many scripts (`texts/mod.rs` tells from where). *Short* are 20,000 parts of the
//! English text, 20 to 200 bytes long, each encoded by a call of its own.
//!
//! **Unseen** means a thread that has not encoded before, and has taken in the first megabyte; timed are the other four. **Hot** is the
//! same text once more.
//!
//! What takes part is compared first: where ids differ from those of `tokenizers`, the run says so and the figure means nothing.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anytok::{Resolver, Special, SpecialText, Tokenizer};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, measurement::WallTime};

mod texts;

use texts::{Random, boundary, on_a_new_thread, texts};

/// A name and a model. A `tokenizer.json` is measured with `tokenizers` as well.
const VOCABULARIES: &[(&str, &str)] = &[
    ("gpt-2", "gguf/gpt-2.gguf"),
    ("llama-bpe", "gguf/llama-bpe.gguf"),
    ("qwen2", "gguf/qwen2.gguf"),
    ("mistral-tekken", "gguf/mistral-tekken.gguf"),
    ("llama-spm", "gguf/llama-spm.gguf"),
    ("gemma3-spm", "gguf/gemma3-spm.gguf"),
    ("gemma-4", "gguf/gemma-4.gguf"),
    ("bert-bge", "gguf/bert-bge.gguf"),
    ("t5", "gguf/t5-v1_1-xxl.gguf"),
    ("nomic-bert-moe", "gguf/nomic-bert-moe.gguf"),
    ("rwkv-world", "gguf/rwkv-world.gguf"),
    ("llama3.1.json", "files/llama3.1/tokenizer.json"),
    ("qwen3.json", "files/qwen3/tokenizer.json"),
    ("llama2.json", "files/llama2/tokenizer.json"),
    ("minilm.json", "files/all-minilm-l6-v2/tokenizer.json"),
];

const WARM: usize = 1_000_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let shared = std::env::var_os("ANYTOK_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let texts = texts();
    let resolver = Resolver::builder().without_store().offline(true).build();
    for &(name, model) in VOCABULARIES {
        let path = shared.join("vocab").join(model);
        if !path.exists() {
            println!("skipped: {} is absent", path.display());
            continue;
        }
        let found = match resolver.resolve(&path) {
            Ok(found) => found,
            Err(error) => {
                println!("skipped: {name}: {error}");
                continue;
            }
        };
        let tokenizer = found.tokenizer();
        let peer =
            path.extension().is_some_and(|extension| extension == "json").then(|| peer(&path)).flatten();
        let mut group = criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat);
        for (kind, text) in &texts {
            encode(&mut group, tokenizer, peer.as_ref(), kind, text);
            decode(&mut group, tokenizer, kind, text);
        }
        if let Some((_, english)) = texts.first() {
            short(&mut group, tokenizer, english);
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Reads all of a text, as ours does, whatever the file says about cutting it off.
fn peer(path: &Path) -> Option<tokenizers::Tokenizer> {
    let mut peer = tokenizers::Tokenizer::from_file(path).ok()?;
    peer.with_truncation(None).ok()?.with_padding(None);
    Some(peer)
}

fn encode(
    group: &mut BenchmarkGroup<'_, WallTime>,
    tokenizer: &Tokenizer,
    peer: Option<&tokenizers::Tokenizer>,
    kind: &str,
    text: &str,
) {
    let (warm, timed) = text.split_at(boundary(text, WARM.min(text.len() / 2)));
    let run = |text: &str| tokenizer.encode(text, Special::Ignore).map(black_box);
    group.throughput(Throughput::Bytes(timed.len() as u64));
    group.bench_function(BenchmarkId::new(kind, "unseen"), |bencher| {
        bencher.iter_custom(|iterations| {
            let once = || {
                let _ = run(warm);
                let start = Instant::now();
                let _ = run(timed);
                start.elapsed()
            };
            // Each on a thread of its own, which remembers nothing.
            (0..iterations).map(|_| on_a_new_thread(once)).sum()
        });
    });
    group.bench_function(BenchmarkId::new(kind, "hot"), |bencher| {
        let _ = run(timed);
        bencher.iter(|| run(timed));
    });
    // A hundred times slower: a tenth of the text will do.
    let Some(peer) = peer else { return };
    let part = &timed[..boundary(timed, timed.len() / 10)];
    let ids = tokenizer.encode(part, Special::Ignore).unwrap_or_default();
    let Ok(theirs) = peer.encode_fast(part, false) else { return };
    if theirs.get_ids() != ids {
        let at = theirs.get_ids().iter().zip(&ids).take_while(|(a, b)| a == b).count();
        println!("{kind}: ids differ from those of tokenizers, first at token {at}");
    }
    group.throughput(Throughput::Bytes(part.len() as u64));
    group.bench_function(BenchmarkId::new(kind, "tokenizers"), |bencher| {
        bencher.iter(|| peer.encode_fast(black_box(part), false).map(|encoding| encoding.len()));
    });
}

fn decode(group: &mut BenchmarkGroup<'_, WallTime>, tokenizer: &Tokenizer, kind: &str, text: &str) {
    let Ok(ids) = tokenizer.encode(text, Special::Ignore) else { return };
    let Ok(decoded) = tokenizer.decode(&ids, SpecialText::Skip) else { return };
    group.throughput(Throughput::Bytes(decoded.len() as u64));
    group.bench_function(BenchmarkId::new(kind, "decode"), |bencher| {
        bencher.iter(|| tokenizer.decode(black_box(&ids), SpecialText::Skip));
    });
}

fn short(group: &mut BenchmarkGroup<'_, WallTime>, tokenizer: &Tokenizer, text: &str) {
    let mut random = Random(7);
    let mut parts = Vec::new();
    let mut rest = text;
    while parts.len() < 20_000 && !rest.is_empty() {
        let len = 20 + random.below(181);
        let (part, tail) = rest.split_at(boundary(rest, len.min(rest.len())));
        parts.push(part);
        rest = tail;
    }
    let run = || {
        for part in &parts {
            let _ = black_box(tokenizer.encode(part, Special::Ignore));
        }
    };
    group.throughput(Throughput::Bytes(parts.iter().map(|part| part.len() as u64).sum()));
    group.bench_function(BenchmarkId::new("short", "unseen"), |bencher| {
        bencher.iter_custom(|iterations| {
            let once = || {
                let start = Instant::now();
                run();
                start.elapsed()
            };
            (0..iterations).map(|_| on_a_new_thread(once)).sum()
        });
    });
    group.bench_function(BenchmarkId::new("short", "hot"), |bencher| {
        run();
        bencher.iter(run);
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("short", "first-call"), |bencher| {
        bencher.iter_custom(|iterations| {
            let once = || {
                let start = Instant::now();
                let _ = black_box(tokenizer.encode("Hello, world!", Special::Ignore));
                start.elapsed()
            };
            (0..iterations).map(|_| on_a_new_thread(once)).sum()
        });
    });
    group.throughput(Throughput::Bytes(parts.iter().map(|part| part.len() as u64).sum()));
    group.bench_function(BenchmarkId::new("short", "batch"), |bencher| {
        bencher.iter(|| tokenizer.encode_batch(black_box(&parts), Special::Ignore));
    });
}
