//! Servers that mean harm, a row each: what the Hub strategy answers, after how many requests and how long. Each time the tokenizer
//! beside the model serves instead, nothing of the answer is kept, and the next resolution with a server that behaves finds the file.
//!
//! `cargo test --all-features --test hub hostile -- --nocapture` prints the table.

use std::time::{Duration, Instant};

use anytok::Strategy;

use crate::fake_hub::{Delivery, FakeHub, Fault, Server, TOKEN};
use crate::models;
use crate::world::{REPOSITORY, World, assert_found, reason, story};

const BUDGET: Duration = Duration::from_secs(2);
/// Beyond the budget: to open connections, to write, and to be held up by other tests.
const SLACK: Duration = Duration::from_secs(3);

/// A row: its name, what each answer is turned into, what the reason says (nothing where the file is taken all the same, since its
/// content decides), and the most requests.
type Row = (&'static str, Fault, &'static str, usize);

fn header(name: &'static str, value: &str) -> Fault {
    Fault::With(name, value.to_owned())
}

fn redirect(location: &str) -> Fault {
    Fault::Status(302, vec![("Location", location.to_owned())])
}

fn wait(status: u16, seconds: &str) -> Fault {
    Fault::Status(status, vec![("Retry-After", seconds.to_owned())])
}

/// A thousand million spaces as a megabyte of gzip.
fn bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let megabyte = vec![b' '; 1 << 20];
    (0..1000).for_each(|_| encoder.write_all(&megabyte).unwrap());
    encoder.finish().unwrap()
}

fn rows() -> Vec<Row> {
    let year = "31536000";
    let raw = |text: &str| Fault::Raw(text.as_bytes().to_vec());
    let many_headers = (0..1000).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    vec![
        ("silence", Fault::Hang, "budget was spent", 2),
        ("silence after the first bytes", Fault::Stall(10), "budget was spent", 2),
        ("a byte at a time", Fault::Drip(1, Duration::from_millis(200)), "budget was spent", 2),
        ("an endless body", Fault::Endless, "at most 67108864 bytes", 9),
        (
            "a body of 2^63 bytes",
            header("Content-Length", "9223372036854775808"),
            "at most 67108864 bytes",
            9,
        ),
        ("a length that is no number", header("Content-Length", "many"), "content-length", 2),
        ("a negative length", header("Content-Length", "-1"), "content-length", 2),
        (
            "a compressed bomb",
            Fault::All(vec![
                Fault::Body(bomb()),
                header("Content-Encoding", "gzip"),
                Fault::Without("Content-Length"),
            ]),
            "not asked for",
            2,
        ),
        (
            "a thousand headers",
            raw(&format!("HTTP/1.1 200 OK\r\n{many_headers}Content-Length: 0\r\n\r\n")),
            "too many headers",
            2,
        ),
        (
            "a header of a megabyte",
            raw(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(1 << 20))),
            "too big",
            2,
        ),
        ("no HTTP", raw("220 mail.example ESMTP\r\n"), "parse fail", 2),
        ("nothing at all", raw(""), "or it broke", 2),
        ("429, a year", wait(429, year), "the next in 31536001 s", 1),
        ("503, a year", wait(503, year), "answered 503", 2),
        ("429, 2^64 seconds", wait(429, "18446744073709551616"), "asks for fewer requests", 2),
        ("429, a negative wait", wait(429, "-5"), "asks for fewer requests", 2),
        ("503 without an end", Fault::Status(503, Vec::new()), "answered 503", 2),
        ("a wrong ETag", header("ETag", "\"0123456789012345678901234567890123456789\""), "to hash to", 9),
        ("an ETag that is a path", header("ETag", "\"../../../../tmp/x\""), "", 3),
        ("a commit that is a path", header("X-Repo-Commit", "../../../../../tmp/x"), "no X-Repo-Commit", 2),
        (
            "a part that nobody asked for",
            Fault::All(vec![Fault::Status(206, vec![("Content-Range", "bytes 5-10/4000".to_owned())])]),
            "answered 206",
            1,
        ),
        ("a redirect to a file", redirect("file:///etc/passwd"), "no file can come from", 1),
        ("a redirect to another scheme", redirect("gopher://127.0.0.1/"), "no file can come from", 1),
        ("a redirect in a circle", redirect("/org/model/resolve/main/tokenizer.json"), "more than 20", 21),
        ("a redirect to nobody", redirect("http://127.0.0.1:1/"), "does not answer like a Hub", 1),
        ("a redirect of a megabyte", redirect(&format!("/{}", "a".repeat(1 << 20))), "too big", 2),
        ("a redirect with a NUL", redirect("/a\0b"), "invalid header", 2),
    ]
}

#[test]
fn each_costs_the_budget_at_most_and_leaves_nothing() {
    println!("{:32} {:>8} {:>8}  reason", "server", "requests", "ms");
    let mut wrong = Vec::new();
    for (name, fault, expected, most) in rows() {
        let world = World::new();
        world.hub.script("", vec![fault; 100]);
        world.write("models/one/tokenizer.json", models::tokenizer_json());
        let model = world.model();
        let resolver = || world.builder().token(TOKEN.parse().unwrap()).budget(BUDGET).build();
        let start = Instant::now();
        let found = resolver().resolve(&model).unwrap();
        let took = start.elapsed();
        let requests = world.hub.take_log();
        let told = story(found.attempts());
        let reason =
            if told[1] == "hub: found" { String::new() } else { reason(found.attempts(), Strategy::Hub) };
        let short: String = reason.chars().take(150).collect();
        println!("{name:32} {:>8} {:>8}  {short}", requests.len(), took.as_millis());
        let sibling = ["embedded: not applicable", "hub: failed", "cache: not applicable", "sibling: found"];
        let hub = ["embedded: not applicable", "hub: found"];
        if told != if expected.is_empty() { &hub[..] } else { &sibling } {
            wrong.push(format!("{name}: {told:?}"));
        }
        if !reason.contains(expected) || reason.len() > 1000 {
            wrong.push(format!("{name}: expected a reason with {expected:?}, found {short:?}"));
        }
        if took > BUDGET + SLACK || requests.len() > most {
            wrong.push(format!("{name}: {} requests, {took:?}", requests.len()));
        }
        // What was half there is gone, and does not stand in the way.
        world.hub.clear_scripts();
        assert_found(&resolver().resolve(&model).unwrap(), &["embedded: not applicable", "hub: found"]);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn cookies_are_neither_kept_nor_sent() {
    let world = World::empty();
    world.hub.script("", vec![header("Set-Cookie", "id=1; Path=/; Domain=127.0.0.1"); 9]);
    let resolver = world.builder().build();
    for repository in ["org/one", "org/two", "org/three"] {
        world.publish(repository);
        let found = resolver.resolve(world.model_of(&[repository])).unwrap();
        assert_found(&found, &["embedded: not applicable", "hub: found"]);
    }
    let requests = world.hub.take_log();
    assert!(requests.len() >= 3);
    assert!(requests.iter().all(|request| request.header("Cookie").is_none()), "{requests:#?}");
}

#[test]
fn a_hub_at_an_ipv6_address_is_a_hub() {
    let Ok(hub) = FakeHub::start_at("[::1]:0") else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    let world = World { hub, directory: tempfile::tempdir().unwrap() };
    world.hub.commit(REPOSITORY, "main", &[("tokenizer.json", &models::tokenizer_json(), Delivery::Cdn)]);
    let resolver = world.builder().token(TOKEN.parse().unwrap()).build();
    assert_found(&resolver.resolve(world.model()).unwrap(), &["embedded: not applicable", "hub: found"]);
    let requests = world.hub.take_log();
    assert!(requests[0].header("Host").is_some_and(|host| host.starts_with("[::1]:")), "{requests:#?}");
    // Same host, another port: another origin.
    for request in requests {
        assert_eq!(request.header("Authorization").is_some(), request.server == Server::Hub, "{request:?}");
    }
}
