//! The cache on disk: what is written, what is believed, and what happens when it cannot be written.

use std::path::Component;

use super::{
    super::{
        cache::{self, Location, Lookup, Repository},
        digest::Digest,
        error::Error,
        session::How,
        settings::Verify,
    },
    fake_hub::Delivery,
    *,
};

#[test]
fn the_layout_is_the_shared_one() {
    let world = World::empty();
    let nested = "original/tokenizer.model";
    let commit = world.hub.commit(
        REPOSITORY,
        "main",
        &[(FILE, CONTENT, Delivery::Direct), (nested, b"x", Delivery::Cdn)],
    );
    let mut session = world.session();
    session.fetch(FILE).unwrap();
    session.fetch(nested).unwrap();
    session.fetch("absent.json").unwrap_err();
    let (small, large) = (Digest::git_blob(CONTENT).to_string(), Digest::sha256(b"x").to_string());
    let mut expected = vec![
        format!(".locks/models--org--model/{small}.lock"),
        format!(".locks/models--org--model/{large}.lock"),
        "CACHEDIR.TAG".to_owned(),
        format!("models--org--model/.no_exist/{commit}/absent.json"),
        format!("models--org--model/blobs/{small}"),
        format!("models--org--model/blobs/{large}"),
        "models--org--model/refs/main".to_owned(),
        format!("models--org--model/snapshots/{commit}/{nested}"),
        format!("models--org--model/snapshots/{commit}/{FILE}"),
    ];
    expected.sort();
    let found: Vec<String> = tree(&world.cache())
        .iter()
        .map(|path| path.components().map(Component::as_os_str).collect::<Vec<_>>().join("/".as_ref()))
        .map(|path| path.into_string().unwrap())
        .collect();
    assert_eq!(found, expected);
    assert_eq!(fs::read_to_string(world.repository().join("refs/main")).unwrap(), commit);
    let snapshot = world.repository().join("snapshots").join(&commit);
    if cfg!(unix) {
        assert_eq!(fs::read_link(snapshot.join(FILE)).unwrap(), Path::new(&format!("../../blobs/{small}")));
        assert_eq!(
            fs::read_link(snapshot.join(nested)).unwrap(),
            Path::new(&format!("../../../blobs/{large}"))
        );
    }
    assert!(
        fs::read_to_string(world.cache().join("CACHEDIR.TAG"))
            .unwrap()
            .starts_with("Signature: 8a477f597d28d172789f06886806bc55\n")
    );
    assert_eq!(cache::repositories(&world.cache()), [REPOSITORY.parse().unwrap()]);
}

#[test]
fn copies_serve_where_links_are_not_wanted() {
    let mut world = World::with(Delivery::Relative);
    world.settings.symlinks = false;
    let path = world.fetch().unwrap().path.unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    world.requests();
    let warm = world.fetch().unwrap();
    assert_eq!((warm.content.as_slice(), warm.how, warm.etag), (CONTENT, How::Revalidated, None));
    assert_eq!(world.requests(), ["HEAD hub"]);
    // A copy has no hash in its name; online, the server's hash finds the damage.
    fs::write(&path, b"{}").unwrap();
    assert_eq!(world.fetch().unwrap().content, CONTENT);
    assert_eq!(fs::read(&path).unwrap(), CONTENT);
    assert_eq!(world.blobs().len(), 1);
}

#[test]
fn a_damaged_blob_is_replaced_online_and_named_offline() {
    for damage in [&CONTENT[..20], b"{\"version\": \"1.1\", \"model\": {\"type\": \"BPE\"}}\n", b""] {
        for pinned in [false, true] {
            let mut world = World::with(Delivery::Cdn);
            let cold = world.fetch().unwrap();
            let revision = if pinned { cold.commit.as_str() } else { "main" };
            fs::write(world.blob(), damage).unwrap();
            world.settings.offline = true;
            let error = world.session_at(revision).fetch(FILE).unwrap_err();
            assert!(
                matches!(&error, Error::CorruptCache { path, .. } if Some(path) == cold.path.as_ref()),
                "{error}"
            );
            assert!(!error.is_absent());
            world.settings.offline = false;
            let fetched = world.session_at(revision).fetch(FILE).unwrap();
            assert_eq!((fetched.content.as_slice(), fetched.how), (CONTENT, How::Downloaded));
            assert_eq!(fs::read(world.blob()).unwrap(), CONTENT);
        }
    }
}

#[test]
fn verification_follows_the_setting() {
    let mut world = World::with(Delivery::Cdn);
    world.fetch().unwrap();
    world.settings.offline = true;
    world.settings.verify = Verify::FirstUse;
    world.fetch().unwrap();
    let blob = world.blob();
    let modified = fs::metadata(&blob).unwrap().modified().unwrap();
    let flip = || {
        let mut content = fs::read(&blob).unwrap();
        content[7] ^= 1;
        fs::write(&blob, content).unwrap();
    };
    flip();
    let file = fs::File::options().write(true).open(&blob).unwrap();
    file.set_modified(modified).unwrap();
    assert!(world.fetch().is_ok(), "same length, same time: not looked at again");
    file.set_modified(modified + Duration::from_secs(1)).unwrap();
    assert!(matches!(world.fetch(), Err(Error::CorruptCache { .. })));
    world.settings.verify = Verify::Never;
    assert!(world.fetch().is_ok());
    world.settings.verify = Verify::Always;
    assert!(matches!(world.fetch(), Err(Error::CorruptCache { .. })));
}

#[test]
fn references_are_read_leniently_but_never_guessed() {
    let mut world = World::with(Delivery::Direct);
    let commit = world.fetch().unwrap().commit;
    let reference = world.repository().join("refs/main");
    world.settings.offline = true;
    fs::write(&reference, format!("{commit}\n")).unwrap();
    assert_eq!(world.fetch().unwrap().commit, commit);

    // One snapshot may stand for a branch that has no reference…
    for text in ["", "deadbeef", "../../..", &"z".repeat(10_000)] {
        fs::write(&reference, text).unwrap();
        assert_eq!(world.fetch().unwrap().commit, commit, "{text:.20}");
    }
    // … but not one of two.
    let other = "0123456789012345678901234567890123456789";
    fs::create_dir(world.repository().join("snapshots").join(other)).unwrap();
    assert!(matches!(world.fetch(), Err(Error::Offline { .. })));

    // A reference to a snapshot without the file is a miss, offline and online.
    fs::write(&reference, other).unwrap();
    assert!(matches!(world.fetch(), Err(Error::Offline { .. })));
    world.settings.offline = false;
    assert_eq!(world.fetch().unwrap().commit, commit);
    assert_eq!(fs::read_to_string(&reference).unwrap(), commit);
}

#[test]
#[cfg(unix)]
fn a_broken_link_is_a_miss_and_a_foreign_file_is_replaced() {
    let mut world = World::with(Delivery::Direct);
    let path = world.fetch().unwrap().path.unwrap();
    fs::remove_file(world.blob()).unwrap();
    world.settings.offline = true;
    assert!(matches!(world.fetch(), Err(Error::Offline { .. })));
    world.settings.offline = false;
    assert_eq!(world.fetch().unwrap().how, How::Downloaded);

    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    assert_eq!(world.fetch().unwrap().content, CONTENT);
    assert!(fs::read_link(&path).unwrap().starts_with("../../blobs"));
    assert_eq!(world.blobs().len(), 1);
}

#[test]
#[cfg(unix)]
fn a_blob_in_a_shared_store_is_verified_by_its_own_name() {
    let mut world = World::with(Delivery::Cdn);
    world.fetch().unwrap();
    let store = world.cache().join("blobs/ab");
    fs::create_dir_all(&store).unwrap();
    fs::rename(world.blob(), store.join("abcdef")).unwrap();
    let blob = world.repository().join("blobs").join(Digest::sha256(CONTENT).as_str());
    std::os::unix::fs::symlink("../../blobs/ab/abcdef", &blob).unwrap();
    world.requests();
    assert_eq!(world.fetch().unwrap().how, How::Revalidated);
    assert_eq!(world.requests(), ["HEAD hub"]);
    fs::write(store.join("abcdef"), b"damaged").unwrap();
    world.settings.offline = true;
    assert!(matches!(world.fetch(), Err(Error::CorruptCache { .. })));
    world.settings.offline = false;
    assert_eq!(world.fetch().unwrap().content, CONTENT);
    assert_eq!(fs::read(store.join("abcdef")).unwrap(), b"damaged", "the store is another's");
    assert_eq!(cache::repositories(&world.cache()).len(), 1);
}

#[test]
fn a_cache_that_cannot_be_written_does_not_fail_the_download() {
    let mut world = World::with(Delivery::Cdn);
    let file = world.directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let mut places = vec![Some(file.clone()), Some(file.join("hub")), None];
    if cfg!(target_os = "linux") {
        places.push(Some("/proc/self/hub".into()));
    }
    for place in places {
        world.settings.cache_dir.clone_from(&place);
        let fetched = world.fetch().unwrap();
        assert_eq!((fetched.content.as_slice(), fetched.path), (CONTENT, None), "{place:?}");
        let absent = world.session().fetch("absent.json").unwrap_err();
        assert!(matches!(absent, Error::FileNotFound { .. }), "{absent}");
    }
    // Some of the folders can be written, others not.
    world.settings.cache_dir = Some(world.cache());
    for folder in ["blobs", "snapshots", "refs", ".no_exist"] {
        let _ = fs::remove_dir_all(world.cache());
        fs::create_dir_all(world.repository()).unwrap();
        fs::write(world.repository().join(folder), b"in the way").unwrap();
        assert_eq!(world.fetch().unwrap().content, CONTENT, "{folder}");
        world.session().fetch("absent.json").unwrap_err();
    }
    fs::remove_dir_all(world.cache()).unwrap();
    fs::create_dir_all(world.cache()).unwrap();
    fs::write(world.cache().join(".locks"), b"in the way").unwrap();
    assert!(world.fetch().unwrap().path.is_some(), "locks are a courtesy");
}

#[test]
fn a_lock_that_stays_held_is_not_waited_for_long() {
    let mut world = World::with(Delivery::Cdn);
    world.settings.timeouts.lock = Duration::from_millis(100);
    let digest = Digest::sha256(CONTENT);
    let held = Repository::new(&world.cache(), &REPOSITORY.parse().unwrap()).try_lock(&digest).unwrap();
    assert!(Repository::new(&world.cache(), &REPOSITORY.parse().unwrap()).try_lock(&digest).is_none());
    assert_eq!(world.fetch().unwrap().content, CONTENT);
    drop(held);
    // A lock file alone locks nothing.
    fs::remove_dir_all(world.repository()).unwrap();
    world.settings.timeouts.lock = Duration::from_secs(60);
    assert_eq!(world.fetch().unwrap().content, CONTENT);
}

#[test]
fn reading_writes_nothing() {
    let mut world = World::with(Delivery::Direct);
    world.settings.offline = true;
    world.fetch().unwrap_err();
    assert!(!world.cache().exists());
    world.settings.offline = false;
    world.fetch().unwrap();
    let before = tree(world.directory.path());
    world.settings.offline = true;
    world.fetch().unwrap();
    world.session().fetch("absent").unwrap_err();
    cache::find(&world.cache(), &REPOSITORY.parse().unwrap(), "main", FILE).unwrap();
    assert_eq!(tree(world.directory.path()), before);
}

#[test]
fn paths_in_a_cache_name_repository_commit_and_file() {
    let world = World::empty();
    let file = "sub/tokenizer.json";
    world.hub.commit(REPOSITORY, "main", &[(file, CONTENT, Delivery::Cdn)]);
    let fetched = world.session().fetch(file).unwrap();
    let expected = Location {
        root: world.cache(),
        repository: REPOSITORY.parse().unwrap(),
        commit: Some(fetched.commit.clone()),
        file: Some(file.to_owned()),
    };
    assert_eq!(cache::locate(&fetched.path.unwrap()), Some(expected.clone()));
    if cfg!(unix) {
        assert_eq!(cache::locate(&world.blob()), Some(expected.clone()));
    }
    let snapshot = world.repository().join("snapshots").join(&fetched.commit);
    assert_eq!(cache::locate(&snapshot), Some(Location { file: None, ..expected.clone() }));
    let unknown = world.repository().join("blobs/0000");
    assert_eq!(cache::locate(&unknown), Some(Location { file: None, commit: None, ..expected }));
    for path in
        ["", "/", "/a/models--x--y", "/a/models--x--y/snapshots/main/f", "/a/models--/blobs/0", "/a/b/c"]
    {
        assert_eq!(cache::locate(Path::new(path)), None, "{path}");
    }
    let legacy = cache::locate(Path::new("/h/models--gpt2/blobs/00")).unwrap();
    assert_eq!((legacy.repository.as_str(), legacy.root.as_path()), ("gpt2", Path::new("/h")));
}

#[test]
fn a_cache_without_references_is_found_by_commit() {
    // As `@huggingface/hub` leaves it: one snapshot per file, no `refs`.
    let world = World::empty();
    let commits = ["1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"];
    for (commit, file) in commits.iter().zip(["tokenizer.json", "config.json"]) {
        let directory = world.repository().join("snapshots").join(commit);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(file), CONTENT).unwrap();
    }
    let id = REPOSITORY.parse().unwrap();
    let find = |revision, file| cache::find(&world.cache(), &id, revision, file).unwrap();
    assert!(matches!(find(commits[0], "tokenizer.json"), Lookup::Found(_)));
    assert!(matches!(find(commits[0], "config.json"), Lookup::Missing));
    // The default branch is where a file is that is in one snapshot only.
    let found = |revision, file| match find(revision, file) {
        Lookup::Found(cached) => Some(cached.commit),
        _ => None,
    };
    assert_eq!(found("main", "tokenizer.json").as_deref(), Some(commits[0]));
    assert_eq!(found("v2", "tokenizer.json"), None);
    let again = world.repository().join("snapshots").join(commits[1]).join("tokenizer.json");
    fs::write(&again, b"{}").unwrap();
    assert_eq!(found("main", "tokenizer.json"), None);
    fs::remove_file(again).unwrap();
    fs::create_dir(world.repository().join("refs")).unwrap();
    fs::write(world.repository().join("refs/v2"), commits[1]).unwrap();
    assert_eq!(found("main", "tokenizer.json"), None, "it may be another branch's");
    assert_eq!(Repository::new(&world.cache(), &id).snapshots(), commits);
    assert!(
        cache::find(&world.cache(), &id, "../x", "y").is_err()
            && cache::find(&world.cache(), &id, "x", "../y").is_err()
    );
}

proptest::proptest! {
    /// A file name that passes the check stays below the snapshot it belongs to, on disk and in a URL.
    #[test]
    fn a_checked_name_stays_in_its_place(name in "[a-zA-Z./\\\\:_\\- é\u{0}]{0,16}") {
        if cache::check_file(&name).is_ok() {
            let path = Path::new("/snapshot").join(&name);
            proptest::prop_assert!(path.starts_with("/snapshot"));
            proptest::prop_assert!(path.components().skip(2).all(|part| matches!(part, Component::Normal(_))));
            proptest::prop_assert_eq!(path.components().count(), 2 + name.split('/').count());
        }
        if cache::check_revision(&name).is_ok() {
            let path = Path::new("/refs").join(&name);
            proptest::prop_assert!(path.components().skip(2).all(|part| matches!(part, Component::Normal(_))));
        }
    }

    #[test]
    fn any_path_can_be_asked_for_its_place(path in "(/|models--|--|snapshots|blobs|[a-f0-9]{40}|[a-z.]){0,12}") {
        if let Some(location) = cache::locate(Path::new(&path)) {
            proptest::prop_assert!(Path::new(&path).starts_with(&location.root));
        }
    }
}
