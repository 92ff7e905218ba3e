//! Load: many threads, many processes, and processes that are killed. In an ordinary run each test takes a second or two;
//!
//! ```text
//! ANYTOK_LOAD_KILLS=200 ANYTOK_LOAD_SECONDS=60 cargo test --release --all-features --test load -- --nocapture
//! ```
//!
//! takes minutes and prints what it did.

#![cfg(feature = "hub")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anytok::{Resolver, Special, SpecialText, Tokenizer};

#[path = "hub/fake_hub.rs"]
mod fake_hub;
#[allow(dead_code, reason = "as above")]
#[path = "hub/models.rs"]
mod models;
#[allow(dead_code, reason = "as above")]
#[path = "hub/world.rs"]
mod world;

use world::World;

/// One test at a time: they look at the memory of the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect(name))
}

fn seconds() -> Duration {
    Duration::from_secs(setting("ANYTOK_LOAD_SECONDS", 1))
}

/// Bytes of this process that lie in memory; 0 where the system does not tell.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    pages.unwrap_or(0) * 4096
}

const MODELS: [&str; 8] = [
    "llama-bpe.gguf",
    "llama-spm.gguf",
    "qwen2.gguf",
    "bert.gguf",
    "tokenizer-json",
    "sentencepiece",
    "tekken",
    "wordpiece",
];

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/models").join(name)
}

/// Texts that no other number has, so that memos fill up.
fn text(number: u64) -> String {
    let word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("Hello, w{word:x}rld! {} é 漢字 {number} \n\n{}", word % 1000, "ab ".repeat((word % 40) as usize))
}

fn cold(path: &Path) -> Tokenizer {
    let resolver = Resolver::builder().offline(true).without_store().strict(true).build();
    resolver.resolve(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_tokenizer()
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 33) % limit
    }
}

/// Watches the memory while `work` runs: it may grow by `megabytes` of scratch, and in a long run not at all in the last quarter.
fn memory_stays(what: &str, megabytes: u64, work: impl FnOnce() + Send) {
    let done = AtomicBool::new(false);
    let (mut curve, began) = (vec![resident()], Instant::now());
    thread::scope(|scope| {
        scope.spawn(|| {
            work();
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            curve.push(resident());
            thread::sleep(Duration::from_millis(20));
        }
    });
    let step = (curve.len() / 8).max(1);
    let told: Vec<u64> = curve.iter().step_by(step).map(|bytes| bytes >> 20).collect();
    println!("{what}: MB resident {told:?}");
    let growth =
        |curve: &[u64]| curve.iter().max().zip(curve.first()).map_or(0, |(most, first)| (most - first) >> 20);
    assert!(growth(&curve) <= megabytes, "{what}: grew by {} MB", growth(&curve));
    if began.elapsed() > Duration::from_secs(20) {
        let late = growth(&curve[curve.len() / 4 * 3..]);
        assert!(late <= 8, "{what}: grew by {late} MB when it was long warm");
    }
}

#[test]
fn one_tokenizer_serves_sixty_four_threads() {
    let _alone = alone();
    let tokenizer = cold(&testdata("llama-bpe.gguf"));
    let texts: Vec<String> = (0..2000).map(text).collect();
    let expected: Vec<Vec<u32>> = texts.iter().map(|text| cold_ids(&tokenizer, text)).collect();
    let (encoded, end) = (AtomicU64::new(0), Instant::now() + seconds());
    memory_stays("64 threads, one tokenizer", 64 * 4, || {
        thread::scope(|scope| {
            for number in 0..64 {
                let (tokenizer, texts, expected, encoded) = (&tokenizer, &texts, &expected, &encoded);
                scope.spawn(move || {
                    let mut random = Random(number);
                    while Instant::now() < end {
                        let at = random.below(texts.len() as u64) as usize;
                        let ids = tokenizer.encode(&texts[at], Special::Add).unwrap();
                        assert_eq!(ids, expected[at]);
                        tokenizer.decode(&ids, SpecialText::Render).unwrap();
                        encoded.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    });
    println!("64 threads, one tokenizer: {} texts in {:?}", encoded.load(Ordering::Relaxed), seconds());
}

/// The ids on a thread that has encoded nothing before.
fn cold_ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    thread::scope(|scope| scope.spawn(|| tokenizer.encode(text, Special::Add).unwrap()).join().unwrap())
}

#[test]
fn threads_that_end_take_their_memory_with_them() {
    let _alone = alone();
    let tokenizer = cold(&testdata("llama-bpe.gguf"));
    let count = setting("ANYTOK_LOAD_SECONDS", 1).min(10) * 1000;
    let expected = tokenizer.encode(&text(1), Special::Add).unwrap();
    memory_stays(&format!("{count} threads one after the other"), 32, || {
        for _ in 0..count / 4 {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| assert_eq!(tokenizer.encode(&text(1), Special::Add).unwrap(), expected));
                }
            });
        }
    });
}

#[test]
fn one_resolver_serves_thirty_two_threads_and_eight_models() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let resolver = Resolver::builder().offline(true).strict(true).store_dir(directory.path()).build();
    let expected: Vec<Vec<u32>> =
        MODELS.iter().map(|name| cold(&testdata(name)).encode(&text(7), Special::Add).unwrap()).collect();
    let (resolved, end) = (AtomicU64::new(0), Instant::now() + seconds());
    memory_stays("32 threads, one resolver, 8 models", 32 * 4 * 4, || {
        thread::scope(|scope| {
            for number in 0..32 {
                let (resolver, expected, resolved) = (&resolver, &expected, &resolved);
                scope.spawn(move || {
                    let mut random = Random(number);
                    while Instant::now() < end {
                        let at = random.below(MODELS.len() as u64) as usize;
                        let found = resolver.resolve(testdata(MODELS[at])).unwrap();
                        assert_eq!(found.tokenizer().encode(&text(7), Special::Add).unwrap(), expected[at]);
                        resolved.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    });
    println!("32 threads, one resolver: {} answers in {:?}", resolved.load(Ordering::Relaxed), seconds());
}

const CHILD: &str = "ANYTOK_LOAD_CHILD";

/// What the processes below do until they are killed; nothing on its own: eight threads resolve every model, each time as a new process
/// would, and hold the ids against those they are given.
#[test]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let [endpoint, root, expected] = order.split('|').collect::<Vec<_>>()[..] else { panic!("{order}") };
    let expected: Vec<(PathBuf, Vec<u32>)> = expected
        .split(';')
        .map(|entry| {
            let (path, ids) = entry.split_once('=').unwrap();
            (PathBuf::from(path), ids.split(',').map(|id| id.parse().unwrap()).collect())
        })
        .collect();
    let root = Path::new(root);
    thread::scope(|scope| {
        for number in 0..8 {
            let expected = &expected;
            scope.spawn(move || {
                let mut random = Random(u64::from(std::process::id()) << 8 | number);
                loop {
                    let (path, ids) = &expected[random.below(expected.len() as u64) as usize];
                    let resolver = Resolver::builder()
                        .endpoint(endpoint)
                        .cache_dir(root.join("hub"))
                        .store_dir(root.join("store"))
                        .without_token()
                        .offline(false)
                        .strict(true)
                        .budget(Duration::from_secs(20))
                        .build();
                    let found = resolver.resolve(path).unwrap_or_else(|error| wrong(&format!("{error}")));
                    let given = found.tokenizer().encode(&text(7), Special::Add);
                    if given.as_ref().ok() != Some(ids) {
                        wrong(&format!("{}: {given:?} and not {ids:?}\n{found}", path.display()));
                    }
                    if random.below(2) == 0 {
                        resolver.store().flush();
                    }
                }
            });
        }
    });
}

/// Ends the process so that its parent can tell it from one that was killed.
fn wrong(what: &str) -> ! {
    eprintln!("{what}");
    std::process::exit(3)
}

#[test]
fn processes_that_are_killed_lose_nothing() {
    let _alone = alone();
    let kills = setting("ANYTOK_LOAD_KILLS", 12);
    let world = World::new();
    let root = world.directory.path();
    let models: Vec<PathBuf> = MODELS.iter().map(|name| testdata(name)).chain([world.model()]).collect();
    let expected: Vec<String> = models
        .iter()
        .map(|path| {
            let tokenizer = world.builder().cache_dir(root.join("another")).build().resolve(path).unwrap();
            let ids = tokenizer.tokenizer().encode(&text(7), Special::Add).unwrap();
            let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
            format!("{}={}", path.display(), ids.join(","))
        })
        .collect();
    let order = format!("{}|{}|{}", world.hub.endpoint(), root.display(), expected.join(";"));
    let spawn = || -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(CHILD, &order)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut random = Random(1);
    let mut children: Vec<Child> = (0..4).map(|_| spawn()).collect();
    let mut cleared = 0;
    for kill in 0..kills {
        thread::sleep(Duration::from_millis(10 + random.below(190)));
        let at = random.below(4) as usize;
        let mut child = std::mem::replace(&mut children[at], spawn());
        end(&mut child);
        if kill % 5 == 4 {
            // A careless cleaner: all of it goes while the others are at work, and is made again.
            let place = ["store", "hub"][random.below(2) as usize];
            let _ = std::fs::remove_dir_all(root.join(place));
            cleared += 1;
        }
    }
    thread::sleep(Duration::from_millis(500));
    children.iter_mut().for_each(end);

    // Every answer that is left is whole, and every model is found with its ids.
    let resolver = || world.builder().store_dir(root.join("store")).strict(true).build();
    let entries = resolver().store().list();
    for entry in &entries {
        resolver().store().verify(entry).unwrap();
    }
    for (path, expected) in models.iter().zip(&expected) {
        let found = resolver().resolve(path).unwrap();
        let ids = found.tokenizer().encode(&text(7), Special::Add).unwrap();
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        assert_eq!(format!("{}={}", path.display(), ids.join(",")), *expected);
    }
    let requests = world.hub.take_log().len();
    println!(
        "{kills} kills, {cleared} times cleared, {requests} requests, {} answers left, all whole",
        entries.len()
    );
}

/// Kills a process, which must have been at work until then.
fn end(child: &mut Child) {
    let ended = child.try_wait().unwrap();
    let _ = child.kill();
    child.wait().unwrap();
    if let Some(status) = ended {
        let mut told = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut told).unwrap();
        }
        panic!("a process ended on its own, {status}: {told}");
    }
}
