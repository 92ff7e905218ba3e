//! The client against a Hub on loopback, row by row of what can go wrong. No test leaves the machine.

mod cache;
mod faults;
mod processes;
mod protocol;

#[path = "../../../tests/hub/fake_hub.rs"]
mod fake_hub;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use fake_hub::{Delivery, FakeHub, Server};

use super::{
    error::Error,
    observer::Observer,
    session::{Fetched, Session},
    settings::{Retry, Settings, Timeouts},
};
use crate::env::Environment;

const REPOSITORY: &str = "org/model";
const FILE: &str = "tokenizer.json";
const CONTENT: &[u8] = b"{\"version\": \"1.0\", \"model\": {\"type\": \"BPE\"}}\n";

/// A hub, a cache directory and settings that join them, with waits in milliseconds.
struct World {
    hub: FakeHub,
    directory: tempfile::TempDir,
    settings: Settings,
}

impl World {
    /// With one repository that has one file at `main`.
    fn with(delivery: Delivery) -> Self {
        let world = Self::empty();
        world.hub.commit(REPOSITORY, "main", &[(FILE, CONTENT, delivery)]);
        world
    }

    fn empty() -> Self {
        let hub = FakeHub::start();
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(&hub.endpoint(), &directory.path().join("hub"));
        Self { hub, directory, settings }
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("hub")
    }

    fn repository(&self) -> PathBuf {
        self.cache().join("models--org--model")
    }

    fn session(&self) -> Session<'_> {
        self.session_at("main")
    }

    fn session_at(&self, revision: &str) -> Session<'_> {
        let id = REPOSITORY.parse().unwrap();
        Session::new(&self.settings, id, revision, None, self.settings.deadline()).unwrap()
    }

    fn observed<'a>(&'a self, observer: &'a dyn Observer) -> Session<'a> {
        let id = REPOSITORY.parse().unwrap();
        Session::new(&self.settings, id, "main", Some(observer), self.settings.deadline()).unwrap()
    }

    /// `FILE` at `main`, in a session of its own.
    fn fetch(&self) -> Result<Fetched, Error> {
        self.session().fetch(FILE)
    }

    /// The names in `blobs/`, sorted.
    fn blobs(&self) -> Vec<String> {
        names(&self.repository().join("blobs"))
    }

    /// The only blob's path.
    #[track_caller]
    fn blob(&self) -> PathBuf {
        let blobs = self.blobs();
        assert_eq!(blobs.len(), 1, "{blobs:?}");
        self.repository().join("blobs").join(&blobs[0])
    }

    /// "METHOD server" of each request since the last call.
    fn requests(&self) -> Vec<String> {
        let server = |server| if server == Server::Hub { "hub" } else { "cdn" };
        self.hub
            .take_log()
            .iter()
            .map(|request| format!("{} {}", request.method, server(request.server)))
            .collect()
    }
}

fn settings(endpoint: &str, cache: &Path) -> Settings {
    let mut settings = Settings::from_environment(&Environment::of(&[("HF_ENDPOINT", endpoint)]));
    settings.cache_dir = Some(cache.to_owned());
    settings.timeouts = Timeouts {
        connect: Duration::from_secs(2),
        first_byte: Duration::from_secs(2),
        stall: Duration::from_secs(2),
        lock: Duration::from_secs(5),
        budget: Duration::from_secs(20),
    };
    settings.retry = Retry { limit: 3, wait: Duration::from_millis(5), max_wait: Duration::from_millis(20) };
    settings
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// Every file below `directory`, links included, as relative paths.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(&current).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(directory).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
