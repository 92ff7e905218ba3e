//! Speed of encoding and decoding, beside the `tokenizers` crate where it reads the same file.
//!
//! ```text
//! cargo bench --bench encode                       everything
//! cargo bench --bench encode -- llama-bpe/english  what matches
//! ```
//!
//! **Vocabularies** come from `../shared/vocab`, or `$ANYTOK_SHARED/vocab`.
//!
//! **Texts**, 5 MB each, are made from what a machine that builds this crate has: the sources in cargo's registry. *English* is
//! the prose of their documentation comments, *code* the sources themselves, both in the order of a fixed shuffle. *Scripts* are
//! words made up of the letters of sixteen scripts, drawn so that few are frequent and many rare, as words are. With `ANYTOK_CORPUS_DIR`
//! set, `english.txt`, `code.txt` and `scripts.txt` of that directory are taken instead. *Short* are 20,000 parts of the English
//! text, 20 to 200 bytes long, each encoded by a call of its own.
//!
//! **Unseen** means a thread that has not encoded before, and has taken in the first megabyte; timed are the other four. **Hot** is the
//! same text once more. Worst cases are a megabyte each.
//!
//! What takes part is compared first: where ids differ from those of `tokenizers`, the run says so and the figure means nothing.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anytok::{Resolver, Special, SpecialText, Tokenizer};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, measurement::WallTime};

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

const CORPUS: usize = 5_000_000;
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
        worst(&mut group, tokenizer);
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

fn worst(group: &mut BenchmarkGroup<'_, WallTime>, tokenizer: &Tokenizer) {
    const LEN: usize = 1_000_000;
    let mut random = Random(1);
    let cases: [(&str, Vec<u8>); 8] = [
        ("one-letter", vec![b'a'; LEN]),
        ("spaces", vec![b' '; LEN]),
        ("newlines", vec![b'\n'; LEN]),
        ("emoji", "😀".repeat(LEN / 4).into_bytes()),
        ("one-word", (0..LEN).map(|_| b'a' + random.below(26) as u8).collect()),
        ("han", "语言模型".repeat(LEN / 12).into_bytes()),
        ("random-bytes", (0..LEN).map(|_| random.below(256) as u8).collect()),
        ("special-starts", "<|".repeat(LEN / 2).into_bytes()),
    ];
    for (case, text) in &cases {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("worst", case), |bencher| {
            bencher.iter(|| tokenizer.encode_bytes(black_box(text), Special::Parse));
        });
    }
}

/// The last boundary between characters of `text` up to `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default()
}

fn on_a_new_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// English, code and scripts, as far as there are any.
fn texts() -> Vec<(&'static str, String)> {
    let texts = if let Some(directory) = std::env::var_os("ANYTOK_CORPUS_DIR").map(PathBuf::from) {
        ["english", "code", "scripts"].map(|name| {
            (name, std::fs::read_to_string(directory.join(name).with_extension("txt")).unwrap_or_default())
        })
    } else {
        let (english, code) = from_registry();
        [("english", english), ("code", code), ("scripts", scripts())]
    };
    for (name, text) in &texts {
        if text.len() < CORPUS / 2 {
            println!("{name}: only {} bytes of text; skipped if that is none", text.len());
        }
    }
    texts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// The prose of documentation comments, and the sources, of cargo's registry.
fn from_registry() -> (String, String) {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let mut files = Vec::new();
    sources(&home.join("registry/src"), &mut files);
    files.sort();
    let mut random = Random(3);
    for i in (1..files.len()).rev() {
        files.swap(i, random.below(i + 1));
    }
    let (mut english, mut code) = (String::new(), String::new());
    for file in files {
        if english.len() >= CORPUS && code.len() >= CORPUS {
            break;
        }
        // Larger ones are mostly generated.
        let Some(source) = std::fs::read_to_string(file).ok().filter(|source| source.len() < 400_000) else {
            continue;
        };
        if code.len() < CORPUS {
            code.push_str(&source);
        }
        let mut fenced = false;
        for line in source.lines().map(str::trim_start) {
            let Some(prose) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
            let prose = prose.strip_prefix(' ').unwrap_or(prose);
            if prose.starts_with("```") {
                fenced = !fenced;
            } else if !fenced && english.len() < CORPUS {
                english.push_str(prose);
                english.push('\n');
            }
        }
    }
    for text in [&mut english, &mut code] {
        text.truncate(boundary(text, CORPUS));
    }
    (english, code)
}

fn sources(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Words of one to nine letters, sixteen scripts in turn, a sentence each.
fn scripts() -> String {
    const SCRIPTS: [(u32, u32); 16] = [
        (0x0430, 0x044F), // Cyrillic
        (0x03B1, 0x03C9), // Greek
        (0x05D0, 0x05EA), // Hebrew
        (0x0627, 0x064A), // Arabic
        (0x0905, 0x0939), // Devanagari
        (0x0995, 0x09B9), // Bengali
        (0x0B85, 0x0BB9), // Tamil
        (0x0C05, 0x0C39), // Telugu
        (0x0E01, 0x0E2E), // Thai
        (0x10D0, 0x10F0), // Georgian
        (0x0561, 0x0586), // Armenian
        (0xAC00, 0xD7A3), // Hangul
        (0x4E00, 0x5FFF), // Han
        (0x3042, 0x3093), // Hiragana
        (0x00E0, 0x00FE), // Latin with diacritics
        (0x1200, 0x1248), // Ethiopic
    ];
    let mut random = Random(5);
    let words: Vec<Vec<String>> = SCRIPTS
        .iter()
        .map(|&(first, last)| {
            let letter = |random: &mut Random| {
                // Of two draws the lower: some letters are more frequent.
                let span = (last - first + 1) as usize;
                char::from_u32(first + random.below(span).min(random.below(span)) as u32).unwrap_or('x')
            };
            (0..20_000).map(|_| (0..=random.below(9)).map(|_| letter(&mut random)).collect()).collect()
        })
        .collect();
    let mut text = String::with_capacity(CORPUS + 1000);
    while text.len() < CORPUS {
        let words = &words[random.below(words.len())];
        for _ in 0..4 + random.below(12) {
            // The share of a word falls with its number, about as in Zipf's law.
            let number = random.below(words.len()) * random.below(words.len()) / words.len()
                * random.below(words.len())
                / words.len();
            let _ = write!(text, "{} ", words[number]);
        }
        text.pop();
        text.push_str(".\n");
    }
    text.truncate(boundary(&text, CORPUS));
    text
}

/// Marsaglia's xorshift: the same texts on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}
