//! What every worker process does: load one tokenizer from one source, encode and decode the texts it is given, and print one line
//! of JSON with the CPU time of each step and a hash of the ids. `worker.py` does the same for Python packages.
//!
//! ```text
//! worker PEER KIND PATH WARM TIMED
//! ```
//!
//! `WARM` and `TIMED` are files of documents separated by NUL bytes. Each document is one call. The process is fresh, so the pass over
//! `WARM` is a first pass, the pass over `TIMED` meets text that was not seen before, and further passes over `TIMED` are hot.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a tokenizer is read from. `Bundled` is a name: the peer carries the vocabulary itself.
pub enum Source {
    Gguf(PathBuf),
    TokenizerJson(PathBuf),
    Tiktoken(PathBuf),
    SentencePiece(PathBuf),
    Bundled(String),
}

impl Source {
    pub fn new(kind: &str, path: &str) -> Option<Self> {
        let file = PathBuf::from(path);
        Some(match kind {
            "gguf" => Self::Gguf(file),
            "tokenizer.json" => Self::TokenizerJson(file),
            "tiktoken" => Self::Tiktoken(file),
            "sentencepiece" => Self::SentencePiece(file),
            "bundled" => Self::Bundled(path.to_owned()),
            _ => return None,
        })
    }

    /// The path of a `tokenizer.json`, for peers that read nothing else.
    pub fn tokenizer_json(&self) -> Result<&Path, Failure> {
        if let Self::TokenizerJson(path) = self { Ok(path) } else { Err("reads tokenizer.json only".into()) }
    }
}

/// The pattern that a file of tiktoken ranks needs and does not hold, by the name of the file.
pub fn tiktoken_pattern(path: &Path) -> Result<&'static str, Failure> {
    const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("cl100k_base") => Ok(CL100K),
        Some("o200k_base") => Ok(O200K),
        _ => Err(format!("no pattern is known for {}", path.display()).into()),
    }
}

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Load = fn(&Source) -> Result<Loaded, Failure>;

/// A tokenizer that is ready: a text to its ids without special tokens around it, and back.
pub struct Loaded {
    encode: Box<dyn Fn(&str) -> Result<Vec<u32>, Failure>>,
    decode: Box<dyn Fn(&[u32]) -> Result<usize, Failure>>,
}

impl Loaded {
    /// `decode` may return text or bytes.
    pub fn new<T, U, E, F>(
        encode: impl Fn(&T, &str) -> Result<Vec<u32>, E> + 'static,
        decode: impl Fn(&T, &[u32]) -> Result<U, F> + 'static,
        tokenizer: T,
    ) -> Self
    where
        T: 'static,
        U: AsRef<[u8]>,
        E: Into<Failure>,
        F: Into<Failure>,
    {
        let tokenizer = std::rc::Rc::new(tokenizer);
        let shared = tokenizer.clone();
        Self {
            encode: Box::new(move |text| encode(&tokenizer, text).map_err(Into::into)),
            decode: Box::new(move |ids| {
                decode(&shared, ids).map(|text| black_box(text).as_ref().len()).map_err(Into::into)
            }),
        }
    }
}

/// CPU times of one process, in nanoseconds.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct Measured {
    /// From nothing to the first ids.
    pub load: u64,
    pub first: u64,
    pub unseen: u64,
    /// The least of some passes.
    pub hot: u64,
    /// The least of some passes.
    pub decode: u64,
    /// SHA-256 of all ids of `WARM` and `TIMED`.
    pub ids: String,
}

#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Measured(Measured),
    Failed(String),
}

/// Runs one measurement as the arguments after the program's name say, and prints its [`Outcome`].
pub fn serve(arguments: &[String], peer: impl Fn(&str) -> Option<Load>) {
    let outcome =
        measure(arguments, peer).map_or_else(|error| Outcome::Failed(error.to_string()), Outcome::Measured);
    println!("{}", serde_json::to_string(&outcome).expect("strings and numbers are JSON"));
}

fn measure(arguments: &[String], peer: impl Fn(&str) -> Option<Load>) -> Result<Measured, Failure> {
    let [name, kind, path, warm, timed] = arguments else {
        return Err("expected PEER KIND PATH WARM TIMED".into());
    };
    let load = peer(name).ok_or_else(|| format!("no peer is named {name}"))?;
    let source = Source::new(kind, path).ok_or_else(|| format!("no kind of source is named {kind}"))?;
    let (warm, timed) = (std::fs::read_to_string(warm)?, std::fs::read_to_string(timed)?);
    let (warm, timed): (Vec<&str>, Vec<&str>) = (warm.split('\0').collect(), timed.split('\0').collect());
    let mut ids = Sha256::new();
    let mut hash = |documents: &[Vec<u32>]| {
        for document in documents {
            ids.update((document.len() as u32).to_le_bytes());
            document.iter().for_each(|id| ids.update(id.to_le_bytes()));
        }
    };

    let (load, loaded) = clock(|| {
        let loaded = load(&source)?;
        (loaded.encode)("Hello")?;
        Ok(loaded)
    })?;
    let encode = |documents: &[&str]| {
        documents.iter().map(|text| (loaded.encode)(text)).collect::<Result<Vec<_>, _>>()
    };
    let (first, warm_ids) = clock(|| encode(&warm))?;
    let (unseen, timed_ids) = clock(|| encode(&timed))?;
    let hot = least(|| encode(&timed).map(drop))?;
    let decode = least(|| timed_ids.iter().try_for_each(|ids| (loaded.decode)(ids).map(drop)))?;
    hash(&warm_ids);
    hash(&timed_ids);
    let ids = ids.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Measured { load, first, unseen, hot, decode, ids })
}

/// The least of five runs, or of as many as fit into half a second.
fn least(mut run: impl FnMut() -> Result<(), Failure>) -> Result<u64, Failure> {
    let (mut least, mut total) = (u64::MAX, 0);
    for _ in 0..5 {
        let (time, ()) = clock(&mut run)?;
        (least, total) = (least.min(time), total + time);
        if total > 500_000_000 {
            break;
        }
    }
    Ok(least)
}

fn clock<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<(u64, T), Failure> {
    let start = cpu_time();
    let result = run()?;
    Ok((cpu_time() - start, result))
}

/// CPU time of this process with all its threads, so that no helper thread works for free.
fn cpu_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec` to the address of a live one.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "the clock of the process cannot be read");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
