//! A Hub that answers anything: status, headers, redirects, lengths, bodies. Nothing panics, nothing is written beside the cache, the
//! budget holds, and the token goes to no other origin.

#![no_main]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use anytok::{Resolver, Special};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const BUDGET: Duration = Duration::from_millis(50);

#[derive(Arbitrary, Debug)]
enum Answer<'a> {
    Raw(&'a [u8]),
    Http { status: Status, headers: Vec<Header<'a>>, body: Body<'a> },
}

#[derive(Arbitrary, Debug)]
enum Status {
    Ok,
    Partial,
    Found,
    Temporary,
    NotModified,
    NotFound,
    Unauthorized,
    Forbidden,
    Many,
    Unavailable,
    Any(u16),
}

#[derive(Arbitrary, Debug)]
enum Header<'a> {
    Commit,
    Etag,
    Location(Location<'a>),
    Length(Number),
    RetryAfter(Number),
    Text(Name, &'a str),
}

#[derive(Arbitrary, Debug)]
enum Location<'a> {
    Same,
    Other,
    File,
    Any(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Number {
    Small(u8),
    Any(i128),
}

#[derive(Arbitrary, Debug)]
enum Name {
    Etag,
    LinkedEtag,
    LinkedSize,
    Commit,
    ErrorCode,
    Location,
    Range,
    Length,
    Encoding,
    Transfer,
    RetryAfter,
    RateLimit,
    Cookie,
}

#[derive(Arbitrary, Debug)]
enum Body<'a> {
    Tokenizer,
    Any(&'a [u8]),
}

const TOKENIZER: &[u8] = include_bytes!("../../testdata/models/tokenizer-json/tokenizer.json");
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The Hub and another origin, which see what is asked; answers in the order in which they are given.
struct Servers {
    hub: String,
    other: String,
}

static ANSWERS: Mutex<(usize, Vec<Vec<u8>>)> = Mutex::new((0, Vec::new()));

static SERVERS: LazyLock<Servers> = LazyLock::new(|| Servers { hub: serve(true), other: serve(false) });

fn serve(token_allowed: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, token_allowed));
        }
    });
    address
}

fn answer(mut stream: TcpStream, token_allowed: bool) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => head.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    if !token_allowed && text.contains("hf_secret") {
        eprintln!("the token went to another origin: {text}");
        std::process::abort();
    }
    let mut answers = ANSWERS.lock().expect("not poisoned");
    let at = answers.0;
    answers.0 += 1;
    let bytes = answers.1.get(at % answers.1.len().max(1)).cloned().unwrap_or_default();
    drop(answers);
    let _ = stream.write_all(&bytes);
}

impl Answer<'_> {
    fn bytes(&self) -> Vec<u8> {
        let Self::Http { status, headers, body } = self else {
            let Self::Raw(bytes) = self else { return Vec::new() };
            return bytes.to_vec();
        };
        let status = match status {
            Status::Ok => 200,
            Status::Partial => 206,
            Status::Found => 302,
            Status::Temporary => 307,
            Status::NotModified => 304,
            Status::NotFound => 404,
            Status::Unauthorized => 401,
            Status::Forbidden => 403,
            Status::Many => 429,
            Status::Unavailable => 503,
            Status::Any(status) => status % 1000,
        };
        let body = match body {
            Body::Tokenizer => TOKENIZER,
            Body::Any(bytes) => bytes,
        };
        let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
        let number = |number: &Number| match number {
            Number::Small(number) => number.to_string(),
            Number::Any(number) => number.to_string(),
        };
        for header in headers {
            head += &match header {
                Header::Commit => format!("X-Repo-Commit: {COMMIT}"),
                Header::Etag => "ETag: \"f8e2f5ca0b1d4d7e9c3b2a1908f7e6d5c4b3a291\"".to_owned(),
                Header::Location(Location::Same) => format!("Location: {}/x", SERVERS.hub),
                Header::Location(Location::Other) => format!("Location: {}/x", SERVERS.other),
                Header::Location(Location::File) => "Location: file:///etc/passwd".to_owned(),
                Header::Location(Location::Any(text)) => format!("Location: {text}"),
                Header::Length(length) => format!("Content-Length: {}", number(length)),
                Header::RetryAfter(wait) => format!("Retry-After: {}", number(wait)),
                Header::Text(name, text) => {
                    let name = match name {
                        Name::Etag => "ETag",
                        Name::LinkedEtag => "X-Linked-Etag",
                        Name::LinkedSize => "X-Linked-Size",
                        Name::Commit => "X-Repo-Commit",
                        Name::ErrorCode => "X-Error-Code",
                        Name::Location => "Location",
                        Name::Range => "Content-Range",
                        Name::Length => "Content-Length",
                        Name::Encoding => "Content-Encoding",
                        Name::Transfer => "Transfer-Encoding",
                        Name::RetryAfter => "Retry-After",
                        Name::RateLimit => "RateLimit",
                        Name::Cookie => "Set-Cookie",
                    };
                    format!("{name}: {text}")
                }
            };
            head += "\r\n";
        }
        [head.as_bytes(), b"\r\n", body].concat()
    }
}

fuzz_target!(|answers: Vec<Answer<'_>>| {
    *ANSWERS.lock().expect("not poisoned") = (0, answers.iter().map(Answer::bytes).collect());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let resolver = Resolver::builder()
        .endpoint(&SERVERS.hub)
        .cache_dir(directory.path().join("cache"))
        .token("hf_secret".parse().expect("a token"))
        .without_store()
        .offline(false)
        .budget(BUDGET)
        .build();
    let start = Instant::now();
    if let Ok(found) = resolver.resolve_repo("org/model") {
        let _ = found.tokenizer().encode("Hello, world!", Special::Add);
    }
    assert!(start.elapsed() < BUDGET + Duration::from_secs(5), "{:?}", start.elapsed());
    let beside = std::fs::read_dir(directory.path()).expect("the directory");
    assert!(beside.flatten().all(|entry| entry.file_name() == "cache"));
});
