//! Several processes on one cache, and processes that are killed.
//!
//! The test binary starts itself again as a child, told by a variable what to fetch.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use super::{
    super::session::How,
    fake_hub::{Delivery, Fault},
    *,
};

const CHILD: &str = "ANYTOK_TEST_HUB_CHILD";

/// Does nothing in an ordinary run. With `endpoint|cache|repository|revision|files,…|threads` in the variable, each thread
/// fetches all the files, and one line per file says how. Also started by `tests/crosscheck`.
#[test]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let parts: Vec<&str> = order.split('|').collect();
    let [endpoint, cache, repository, revision, files, threads] = parts[..] else {
        panic!("{CHILD}={order}")
    };
    let mut settings = settings(endpoint, Path::new(cache));
    settings.offline = endpoint == "offline";
    if settings.offline {
        settings.endpoint = "http://127.0.0.1:1".into();
    }
    settings.root_certificates = std::env::var_os("SSL_CERT_FILE").map(Into::into);
    let settings = &settings;
    thread::scope(|scope| {
        for _ in 0..threads.parse().unwrap() {
            scope.spawn(move || {
                let id = repository.parse().unwrap();
                let mut session = Session::new(settings, id, revision, None, settings.deadline()).unwrap();
                for file in files.split(',') {
                    match session.fetch(file) {
                        Ok(fetched) => {
                            let Fetched { how, requests, commit, content, path, .. } = fetched;
                            let kept = if path.is_some() { "kept" } else { "unkept" };
                            println!("child: {file} {how:?} {requests} {commit} {} {kept}", content.len());
                        }
                        Err(error) if error.is_absent() => println!("child: {file} absent ({error})"),
                        Err(error) => panic!("{file}: {error}"),
                    }
                }
            });
        }
    });
}

/// A Hub for other programs: prints its endpoint and stays until its input ends. Does nothing in an ordinary run.
#[test]
fn serve() {
    if std::env::var_os("ANYTOK_TEST_HUB_SERVE").is_none() {
        return;
    }
    let hub = FakeHub::start();
    let vocabulary: Vec<u8> = (0..300_000_u32).flat_map(|i| (i ^ (i << 7)).to_le_bytes()).collect();
    hub.commit(
        "org/model",
        "main",
        &[
            (FILE, CONTENT, Delivery::Relative),
            ("tokenizer_config.json", b"{\"bos_token\": \"<s>\"}\n", Delivery::Direct),
            ("original/tokenizer.model", &vocabulary, Delivery::Cdn),
        ],
    );
    hub.commit("org/gated", "main", &[(FILE, CONTENT, Delivery::Direct)]);
    hub.set_access("org/gated", fake_hub::Access::Gated);
    println!("serving {}", hub.endpoint());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    for request in hub.take_log() {
        println!(
            "{:?} {} {} {} authorization={}",
            request.server,
            request.method,
            request.target,
            request.status,
            request.header("authorization").is_some()
        );
    }
}

fn spawn(world: &World, files: &str, threads: usize) -> Child {
    spawn_by(&mut Command::new(std::env::current_exe().unwrap()), world, files, threads)
}

fn spawn_by(command: &mut Command, world: &World, files: &str, threads: usize) -> Child {
    let cache = world.cache();
    let order = format!("{}|{}|{REPOSITORY}|main|{files}|{threads}", world.hub.endpoint(), cache.display());
    command
        .args(["hub::tests::processes::child", "--exact", "--nocapture"])
        .env(CHILD, order)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn eight_threads_in_four_processes_share_one_download() {
    let world = World::empty();
    let large: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let files = [
        (FILE, CONTENT, Delivery::Relative),
        ("tokenizer.model", &large, Delivery::Cdn),
        ("v", b"", Delivery::Direct),
    ];
    let commit = world.hub.commit(REPOSITORY, "main", &files);
    let children: Vec<Child> =
        (0..4).map(|_| spawn(&world, "tokenizer.json,tokenizer.model,v,absent", 8)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(text.matches("child: ").count(), 8 * 4, "{text}");
        assert_eq!(text.matches(" kept").count(), 8 * 3, "{text}");
    }
    assert_eq!(world.blobs().len(), 3, "no temporary file is left: {:?}", world.blobs());
    for blob in world.blobs() {
        let content = fs::read(world.repository().join("blobs").join(&blob)).unwrap();
        assert_eq!(super::super::digest::Digest::new(&blob).unwrap().of_same_kind(&content).as_str(), blob);
    }
    assert_eq!(names(&world.repository().join("snapshots")), [commit.as_str()]);
    assert_eq!(names(&world.repository().join("refs")), ["main"]);
    assert_eq!(names(&world.cache()), [".locks", "CACHEDIR.TAG", "models--org--model"]);
    assert_eq!(names(&world.cache().join(".locks/models--org--model")).len(), 3);
}

#[test]
fn a_process_that_waited_for_another_finds_its_blob() {
    let world = World::with(Delivery::Cdn);
    world.hub.script("?Signature", [Fault::Drip(8, Duration::from_millis(60))]);
    thread::scope(|scope| {
        let first = scope.spawn(|| world.fetch().unwrap().how);
        while !world.hub.log().iter().any(|request| request.target.contains("?Signature")) {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(60)); // the first one holds the lock by now
        assert_eq!(world.fetch().unwrap().how, How::Relinked);
        assert_eq!(first.join().unwrap(), How::Downloaded);
    });
}

#[test]
fn a_killed_download_leaves_a_cache_to_go_on_with() {
    let world = World::empty();
    let large: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    world.hub.commit(
        REPOSITORY,
        "main",
        &[("a.json", CONTENT, Delivery::Relative), (FILE, &large, Delivery::Cdn)],
    );
    // Killed after the first file, before a byte of the second, in its middle, and near its end.
    for delay in [0, 30, 120, 300] {
        world.hub.take_log();
        world.hub.clear_scripts();
        world.hub.script("?Signature", [Fault::Drip(20_000, Duration::from_millis(50))]);
        let mut child = spawn(&world, "a.json,tokenizer.json", 1);
        let start = Instant::now();
        while !world.hub.log().iter().any(|request| request.target.contains("?Signature")) {
            assert!(start.elapsed() < Duration::from_secs(10), "the child asked for nothing");
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut offline = world.settings.clone();
        offline.offline = true;
        let mut session =
            Session::new(&offline, REPOSITORY.parse().unwrap(), "main", None, offline.deadline()).unwrap();
        assert_eq!(session.fetch("a.json").unwrap().content, CONTENT);
        assert!(session.fetch(FILE).unwrap_err().is_absent(), "killed after {delay} ms");
        assert_eq!(world.blobs().len(), 1, "{:?}", world.blobs());
    }
    world.hub.clear_scripts();
    let start = Instant::now();
    let fetched = world.fetch().unwrap();
    assert!(fetched.content == large && fetched.how == How::Downloaded);
    assert!(start.elapsed() < world.settings.timeouts.lock, "a dead process holds no lock");
}

#[test]
#[cfg(unix)]
fn a_full_disk_costs_only_the_cache() {
    let world = World::empty();
    let large = vec![b'x'; 100_000];
    world.hub.commit(
        REPOSITORY,
        "main",
        &[("a.json", CONTENT, Delivery::Relative), (FILE, &large, Delivery::Cdn)],
    );
    // No file may grow beyond a few blocks; the signal that would end the process is ignored, so writing fails instead.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap());
    let output = spawn_by(&mut limited, &world, "a.json,tokenizer.json", 1).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("child: a.json Downloaded") && text.contains(" 45 kept"), "{text}");
    assert!(text.contains("child: tokenizer.json Downloaded") && text.contains(" 100000 unkept"), "{text}");
    assert_eq!(world.blobs().len(), 1, "the part that was written is removed: {:?}", world.blobs());
}
