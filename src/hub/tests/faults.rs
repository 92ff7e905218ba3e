//! Servers that are slow, silent, broken, busy, or lie about the content.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    ops::ControlFlow,
    sync::Mutex,
    thread,
    time::Instant,
};

use super::{
    super::{
        error::{Error, Phase},
        observer::Progress,
        session::How,
    },
    fake_hub::{Delivery, Fault},
    *,
};

const MS: Duration = Duration::from_millis(1);

impl World {
    /// Timeouts of 300 ms, so that a test of one is over soon.
    fn impatient(delivery: Delivery) -> Self {
        let mut world = Self::with(delivery);
        world.settings.timeouts.first_byte = 300 * MS;
        world.settings.timeouts.stall = 300 * MS;
        world
    }

    #[track_caller]
    fn assert_nothing_cached(&self) {
        let files: Vec<PathBuf> =
            tree(&self.cache()).into_iter().filter(|path| !path.starts_with(".locks")).collect();
        assert!(files.is_empty(), "{files:?}");
    }
}

#[test]
fn silence_ends_in_a_timeout_that_names_the_host() {
    let world = World::impatient(Delivery::Direct);
    world.hub.script("", [Fault::Hang, Fault::Hang, Fault::Hang]);
    let start = Instant::now();
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::Answer, .. }), "{error}");
    let host = world.hub.endpoint().replace("http://", "");
    assert_eq!(error.to_string(), format!("{host} did not answer within 0.3 s"));
    assert!(!error.is_absent() && !error.is_about_one_file());
    assert!(start.elapsed() < 4000 * MS, "{:?}", start.elapsed());
    assert_eq!(world.requests(), ["GET hub"; 2], "one more attempt, each costs a timeout");
}

#[test]
fn a_revalidation_is_not_repeated_since_the_cache_has_a_copy() {
    let world = World::impatient(Delivery::Direct);
    world.fetch().unwrap();
    world.requests();
    for fault in [Fault::Hang, Fault::Status(503, vec![])] {
        world.hub.script("", [fault]);
        assert!(!world.fetch().unwrap_err().is_absent());
        assert_eq!(world.requests(), ["HEAD hub"]);
    }
}

#[test]
fn a_body_that_stands_still_ends_in_a_timeout() {
    let world = World::impatient(Delivery::Cdn);
    world.hub.script("?Signature", [Fault::Stall(10), Fault::Stall(10)]);
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::Send, .. }), "{error}");
    world.assert_nothing_cached();
}

#[test]
fn a_slow_body_that_goes_on_is_waited_for() {
    let world = World::impatient(Delivery::Direct);
    // 45 bytes, 5 at a time: more than half a second in all, more than any timeout but the budget.
    world.hub.script("", [Fault::Drip(5, 60 * MS)]);
    let start = Instant::now();
    assert_eq!(world.fetch().unwrap().content, CONTENT);
    assert!(start.elapsed() > 500 * MS);
}

#[test]
fn the_budget_ends_everything() {
    for fault in [Fault::Hang, Fault::Drip(1, 20 * MS), Fault::Stall(3), Fault::Delay(3000 * MS)] {
        let mut world = World::with(Delivery::Direct);
        world.settings.timeouts.budget = 200 * MS;
        world.hub.script("", [fault.clone()]);
        let start = Instant::now();
        let error = world.fetch().unwrap_err();
        assert!(matches!(error, Error::Budget { .. }), "{fault:?}: {error}");
        assert!(start.elapsed() < 2000 * MS, "{fault:?}: {:?}", start.elapsed());
        world.assert_nothing_cached();
    }
}

#[test]
fn a_budget_already_spent_asks_nobody() {
    let mut world = World::with(Delivery::Direct);
    world.settings.timeouts.budget = Duration::ZERO;
    assert!(matches!(world.fetch(), Err(Error::Budget { .. })));
    assert_eq!(world.requests(), [""; 0]);
}

#[test]
fn a_broken_connection_is_tried_again() {
    for delivery in [Delivery::Direct, Delivery::Cdn] {
        let world = World::with(delivery);
        let pattern = if delivery == Delivery::Cdn { "?Signature" } else { "" };
        world.hub.script(pattern, [Fault::Reset(10), Fault::Close(20), Fault::Raw(vec![])]);
        let fetched = world.fetch().unwrap();
        assert_eq!((fetched.content.as_slice(), fetched.how), (CONTENT, How::Downloaded));
        assert_eq!(world.blobs().len(), 1);
    }
}

#[test]
fn a_connection_that_always_breaks_is_given_up() {
    for fault in
        [Fault::Reset(10), Fault::Close(10), Fault::Raw(vec![]), Fault::Raw(b"SSH-2.0-x\r\n\r\n".to_vec())]
    {
        let world = World::with(Delivery::Direct);
        world.hub.script("", vec![fault.clone(); 9]);
        let error = world.fetch().unwrap_err();
        assert!(matches!(error, Error::Connection { .. }), "{fault:?}: {error}");
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(world.requests().len(), 4, "{fault:?}: the first attempt and three more");
        world.assert_nothing_cached();
    }
}

#[test]
fn busy_servers_are_asked_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let world = World::with(Delivery::Direct);
        let dated = vec![("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT".to_owned())];
        world.hub.script("", [Fault::Status(status, vec![]), Fault::Status(status, dated)]);
        assert_eq!(world.fetch().unwrap().content, CONTENT, "{status}");
        assert_eq!(world.requests().len(), 3);
    }
    for status in [400, 405, 416, 418, 501, 206, 304] {
        let world = World::with(Delivery::Direct);
        let words = vec![("X-Error-Message", "in\tdeed".to_owned()), ("X-Request-Id", "r1".to_owned())];
        world.hub.script("", [Fault::Status(status, words)]);
        let error = world.fetch().unwrap_err();
        assert!(error.to_string().contains(&format!("answered {status}: in deed (request r1)")), "{error}");
        assert_eq!(world.requests().len(), 1);
    }
}

#[test]
fn a_rate_limit_is_waited_for_if_the_budget_allows() {
    let limits = [("RateLimit", "\"resolvers\";r=0;t=0"), ("Retry-After", "0")];
    for (name, value) in limits {
        let world = World::with(Delivery::Direct);
        world.hub.script("", [Fault::Status(429, vec![(name, value.to_owned())])]);
        let start = Instant::now();
        assert_eq!(world.fetch().unwrap().content, CONTENT);
        assert!(start.elapsed() >= 1000 * MS, "{name}");
    }
    for (name, value) in [("RateLimit", "\"resolvers\";r=0;t=240"), ("Retry-After", "240")] {
        let world = World::with(Delivery::Direct);
        world.hub.script("", [Fault::Status(429, vec![(name, value.to_owned())])]);
        let start = Instant::now();
        let error = world.fetch().unwrap_err();
        assert!(error.to_string().contains("the next in 241 s"), "{error}");
        assert!(start.elapsed() < 1000 * MS);
        assert_eq!(world.requests().len(), 1);
    }
}

#[test]
fn a_wrong_byte_never_gets_into_the_cache() {
    for delivery in [Delivery::Direct, Delivery::Relative, Delivery::Cdn] {
        let pattern = match delivery {
            Delivery::Direct => "/resolve/",
            Delivery::Relative => "/resolve-cache/",
            Delivery::Cdn => "?Signature",
        };
        let world = World::with(delivery);
        world.hub.script(pattern, [Fault::Flip(7), Fault::Flip(7)]);
        let error = world.fetch().unwrap_err();
        assert!(matches!(error, Error::Hash { .. }), "{error}");
        world.assert_nothing_cached();
        world.hub.clear_scripts();
        world.hub.script(pattern, [Fault::Flip(7)]);
        assert_eq!(world.fetch().unwrap().content, CONTENT, "once is repaired by asking again");
    }
}

#[test]
fn a_body_of_another_length_than_announced_is_refused() {
    let world = World::with(Delivery::Cdn);
    world.hub.script("?Signature", vec![Fault::Shorten(10); 9]);
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::Length { expected: 45, found: 10, .. }), "{error}");
    world.assert_nothing_cached();

    // Without an announced length there is still the hash, and a long body is no better than a short one.
    let world = World::with(Delivery::Direct);
    let long =
        |size: usize| Fault::All(vec![Fault::NoLength, Fault::With("X-Linked-Size", size.to_string())]);
    world.hub.script("", vec![long(44); 9]);
    assert!(matches!(world.fetch(), Err(Error::Length { expected: 44, found: 45, .. })));
    world.hub.clear_scripts();
    world.hub.script("", [Fault::NoLength]);
    assert_eq!(world.fetch().unwrap().content, CONTENT);
}

#[test]
fn a_redirects_own_length_is_not_the_files() {
    let world = World::with(Delivery::Cdn);
    world.hub.script("/resolve/", [Fault::Without("X-Linked-Size")]);
    assert_eq!(world.fetch().unwrap().content, CONTENT);
}

#[test]
fn a_body_that_was_compressed_unasked_is_refused() {
    let world = World::with(Delivery::Direct);
    world.hub.script("", [Fault::With("Content-Encoding", "gzip".into())]);
    let error = world.fetch().unwrap_err();
    assert!(error.to_string().contains("\"gzip\""), "{error}");
    world.assert_nothing_cached();
}

#[test]
fn the_size_limit_holds_before_and_during_the_download() {
    let mut world = World::with(Delivery::Direct);
    world.settings.max_file_bytes = 44;
    for fault in [Fault::None, Fault::NoLength, Fault::With("X-Linked-Size", "18446744073709551615".into())] {
        world.hub.script("", [fault]);
        let error = world.fetch().unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 44, .. }), "{error}");
        world.assert_nothing_cached();
    }
    world.settings.max_file_bytes = 45;
    assert_eq!(world.fetch().unwrap().content, CONTENT);
    world.settings.max_file_bytes = 44;
    world.settings.offline = true;
    assert!(matches!(world.fetch(), Err(Error::TooLarge { limit: 44, .. })));
}

#[test]
fn a_file_beyond_ten_megabytes_arrives_whole() {
    let world = World::empty();
    let content: Vec<u8> = (0..12_000_000_u32).map(|i| (i * 7 / 3) as u8).collect();
    world.hub.commit(REPOSITORY, "main", &[(FILE, &content, Delivery::Cdn)]);
    let seen = Mutex::new(Vec::new());
    let observer = |progress: &Progress<'_>| {
        seen.lock().unwrap().push((progress.received, progress.total));
        ControlFlow::Continue(())
    };
    assert!(world.observed(&observer).fetch(FILE).unwrap().content == content);
    let seen = seen.into_inner().unwrap();
    assert_eq!((seen[0], seen[seen.len() - 1]), ((0, Some(12_000_000)), (12_000_000, Some(12_000_000))));
    assert!(seen.len() > 100 && seen.is_sorted());
}

#[test]
fn an_observer_that_stops_leaves_nothing() {
    let world = World::with(Delivery::Cdn);
    let observer = |progress: &Progress<'_>| {
        if progress.received > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let error = world.observed(&observer).fetch(FILE).unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error}");
    world.assert_nothing_cached();
    assert_eq!(world.requests(), ["GET hub", "GET cdn"], "what was cancelled is not tried again");
}

#[test]
fn a_host_that_refuses_connections_is_not_asked_twice() {
    let mut world = World::empty();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    world.settings.endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    world.settings.retry.wait = Duration::from_secs(10);
    let start = Instant::now();
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error}");
    assert!(start.elapsed() < 2000 * MS);
}

#[test]
fn a_server_without_tls_is_reported_with_a_hint() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::empty();
    world.settings.endpoint = format!("https://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::Tls { .. }) && error.to_string().contains("SSL_CERT_FILE"), "{error}");
    server.join().unwrap();
}

#[test]
fn root_certificates_that_cannot_be_used_are_reported() {
    let mut world = World::with(Delivery::Direct);
    let path = world.directory.path().join("roots.pem");
    world.settings.root_certificates = Some(path.clone());
    for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")] {
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let error = world.fetch().unwrap_err();
        assert!(matches!(&error, Error::RootCertificates { path: found, .. } if *found == path), "{error}");
    }
}

#[test]
fn a_proxy_is_used_unless_excepted_and_never_bypassed() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap()
    });
    let mut world = World::with(Delivery::Direct);
    world.settings.proxies.http = Some(format!("http://{address}"));
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error}");
    let host = world.hub.endpoint().replace("http://", "");
    let asked = asked.join().unwrap();
    assert!(asked.starts_with(&format!("CONNECT {host} ")), "{asked:?}");
    assert_eq!(world.requests(), [""; 0]);

    world.settings.proxies.no_proxy = Some("127.0.0.1".into());
    assert_eq!(world.fetch().unwrap().content, CONTENT);

    world.settings.proxies.http = Some("no proxy".into());
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::BadProxy { .. }), "{error}");
}
