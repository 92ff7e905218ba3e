//! Requests, redirects, metadata, tokens, refusals.

use super::{
    super::{error::Error, session::How},
    fake_hub::{Access, Delivery, Fault, MEMBER, Server, TOKEN},
    *,
};

#[test]
fn a_cold_file_takes_one_request_and_its_redirect() {
    for (delivery, expected) in [
        (Delivery::Direct, vec!["GET hub"]),
        (Delivery::Relative, vec!["GET hub", "GET hub"]),
        (Delivery::Cdn, vec!["GET hub", "GET cdn"]),
    ] {
        let world = World::with(delivery);
        let fetched = world.fetch().unwrap();
        assert_eq!((fetched.content.as_slice(), fetched.how), (CONTENT, How::Downloaded), "{delivery:?}");
        assert_eq!(world.requests(), expected);
        assert_eq!(fetched.requests as usize, expected.len());
        assert_eq!(fs::read(fetched.path.unwrap()).unwrap(), CONTENT);
        assert_eq!(fetched.etag, Some(world.blob().file_name().unwrap().to_str().unwrap().to_owned()));
    }
}

#[test]
fn a_warm_file_takes_one_request_without_content() {
    for delivery in [Delivery::Direct, Delivery::Relative, Delivery::Cdn] {
        let world = World::with(delivery);
        let cold = world.fetch().unwrap();
        world.requests();
        let warm = world.fetch().unwrap();
        assert_eq!((warm.content.as_slice(), warm.how, warm.requests), (CONTENT, How::Revalidated, 1));
        assert_eq!(world.requests(), ["HEAD hub"], "{delivery:?}");
        assert_eq!((warm.commit, warm.path, warm.etag), (cold.commit, cold.path, cold.etag));
    }
}

#[test]
fn a_pinned_or_offline_file_takes_no_request() {
    let mut world = World::with(Delivery::Cdn);
    let cold = world.fetch().unwrap();
    world.requests();
    let pinned = world.session_at(&cold.commit).fetch(FILE).unwrap();
    assert_eq!((pinned.content.as_slice(), pinned.how, pinned.requests), (CONTENT, How::Cached, 0));
    world.settings.offline = true;
    let offline = world.fetch().unwrap();
    assert_eq!((offline.how, offline.commit), (How::Cached, cold.commit));
    let missing = world.session().fetch("tokenizer.model").unwrap_err();
    assert!(matches!(missing, Error::Offline { .. }) && missing.is_absent());
    assert_eq!(world.requests(), [""; 0]);
}

#[test]
fn all_files_of_a_session_come_from_one_commit() {
    let world = World::empty();
    let config = "tokenizer_config.json";
    let old = world.hub.commit(
        REPOSITORY,
        "main",
        &[(FILE, b"1", Delivery::Direct), (config, b"1", Delivery::Cdn)],
    );
    let mut session = world.session();
    session.fetch(FILE).unwrap();
    assert_eq!(session.commit(), Some(old.as_str()));
    world.hub.commit(REPOSITORY, "main", &[(FILE, b"2", Delivery::Direct), (config, b"2", Delivery::Cdn)]);
    world.hub.take_log();
    let second = session.fetch(config).unwrap();
    assert_eq!((second.content.as_slice(), &second.commit), (&b"1"[..], &old));
    assert_eq!(world.hub.take_log()[0].target, format!("/org/model/resolve/{old}/{config}"));
    assert_eq!(session.fetch(FILE).unwrap().content, b"1");
    assert_eq!(world.fetch().unwrap().content, b"2");
}

#[test]
fn a_file_that_takes_more_requests_than_it_is_worth_is_left() {
    let world = World::empty();
    let config = "tokenizer_config.json";
    let files = [(FILE, CONTENT, Delivery::Cdn), (config, b"{}", Delivery::Relative)];
    world.hub.commit(REPOSITORY, "main", &files);
    let mut session = world.session();
    session.fetch(FILE).unwrap();
    assert_eq!(session.requests_per_file(), 1, "another server is not the Hub");
    world.requests();
    for (limit, expected) in [(0, &[][..]), (1, &["GET hub"])] {
        let error = session.fetch_within(limit, config).unwrap_err();
        assert!(matches!(error, Error::RequestLimit { .. }) && error.is_about_one_file(), "{error}");
        assert!(!error.is_absent() && !error.is_about_the_hub());
        assert_eq!(world.requests(), expected);
    }
    assert_eq!(session.requests_per_file(), 2);
    let leftovers = tree(&world.repository());
    assert!(!leftovers.iter().any(|path| path.ends_with(config)), "{leftovers:?}");

    let fetched = session.fetch_within(2, config).unwrap();
    assert_eq!((fetched.content.as_slice(), fetched.requests), (&b"{}"[..], 2));
    // What is cached, or known to be absent, takes none.
    assert_eq!(session.fetch_within(0, config).unwrap().how, How::Cached);
    assert!(session.fetch("vocab.txt").unwrap_err().is_absent());
    assert!(session.fetch_within(0, "vocab.txt").unwrap_err().is_absent());
}

#[test]
fn a_moved_branch_costs_a_download_only_if_the_file_changed() {
    let world = World::with(Delivery::Relative);
    world.fetch().unwrap();
    let same = world.hub.commit(
        REPOSITORY,
        "main",
        &[(FILE, CONTENT, Delivery::Relative), ("x", b"", Delivery::Direct)],
    );
    world.requests();
    let fetched = world.fetch().unwrap();
    assert_eq!((&fetched.commit, fetched.how), (&same, How::Relinked));
    assert_eq!(world.requests(), ["HEAD hub"]);
    assert_eq!(fs::read(world.repository().join("snapshots").join(&same).join(FILE)).unwrap(), CONTENT);
    assert_eq!(fs::read_to_string(world.repository().join("refs/main")).unwrap(), same);
    assert_eq!(world.blobs().len(), 1);

    let changed = world.hub.commit(REPOSITORY, "main", &[(FILE, b"new", Delivery::Relative)]);
    let fetched = world.fetch().unwrap();
    assert_eq!((&fetched.commit, fetched.content.as_slice()), (&changed, &b"new"[..]));
    assert_eq!(world.requests(), ["HEAD hub", "GET hub", "GET hub"]);
    assert_eq!(fs::read_to_string(world.repository().join("refs/main")).unwrap(), changed);
}

#[test]
fn a_blob_that_another_commit_brought_is_not_downloaded_again() {
    let world = World::with(Delivery::Cdn);
    world.fetch().unwrap();
    world.requests();
    // A branch's snapshot does not stand for another branch, but the redirect names a known blob.
    for branch in ["v2", "v3"] {
        let commit = world.hub.commit(REPOSITORY, branch, &[(FILE, CONTENT, Delivery::Cdn)]);
        let fetched = world.session_at(branch).fetch(FILE).unwrap();
        assert_eq!((fetched.commit, fetched.how), (commit, How::Relinked));
        assert_eq!(world.requests(), ["GET hub"]);
    }
    assert_eq!(world.blobs().len(), 1);
}

#[test]
fn revisions_and_files_are_encoded() {
    let world = World::empty();
    world.hub.commit(REPOSITORY, "refs/pr/1", &[("sub dir/ä?.json", b"x", Delivery::Direct)]);
    let fetched = world.session_at("refs/pr/1").fetch("sub dir/ä?.json").unwrap();
    assert_eq!(fetched.content, b"x");
    assert_eq!(world.hub.take_log()[0].target, "/org/model/resolve/refs%2Fpr%2F1/sub%20dir/%C3%A4%3F.json");
    assert_eq!(fs::read_to_string(world.repository().join("refs/refs/pr/1")).unwrap(), fetched.commit);
}

#[test]
fn requests_say_who_asks_and_want_no_compression() {
    let mut world = World::with(Delivery::Cdn);
    world.settings.user_agent_origin = Some("ci".into());
    world.fetch().unwrap();
    world.fetch().unwrap();
    let log = world.hub.take_log();
    assert_eq!(log.len(), 3);
    for request in log {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        let agent = format!("anytok/{}; rust; origin/ci", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("user-agent"), Some(agent.as_str()));
        assert_eq!((request.header("range"), request.header("authorization")), (None, None));
    }
}

#[test]
fn the_token_reaches_the_hub_and_never_the_cdn() {
    for name in ["127.0.0.1", "localhost"] {
        let mut world = World::with(Delivery::Cdn);
        world.hub.name_cdn(name);
        world.hub.set_access(REPOSITORY, Access::Private);
        world.settings.token = Some(TOKEN.parse().unwrap());
        assert_eq!(world.fetch().unwrap().content, CONTENT);
        world.fetch().unwrap();
        let log = world.hub.take_log();
        assert_eq!(log.len(), 3, "{name}");
        for request in log {
            let expected = (request.server == Server::Hub).then_some("Bearer hf_valid");
            assert_eq!(request.header("authorization"), expected, "{request:?}");
        }
    }
}

#[test]
fn the_token_stays_on_the_hub_across_its_own_redirects() {
    let mut world = World::with(Delivery::Relative);
    world.hub.set_access(REPOSITORY, Access::Private);
    world.settings.token = Some(TOKEN.parse().unwrap());
    // A renamed repository, by an absolute address of the same origin.
    let location = format!("{}/org/model/resolve/main/{FILE}", world.hub.endpoint());
    world.hub.script("GET /org/model/resolve/", [Fault::Status(308, vec![("Location", location)])]);
    assert_eq!(world.fetch().unwrap().content, CONTENT);
    let log = world.hub.take_log();
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|request| request.header("authorization") == Some("Bearer hf_valid")));
}

#[test]
fn the_token_is_not_taken_up_again_by_a_cdn_that_redirects_back() {
    let mut world = World::with(Delivery::Cdn);
    world.settings.token = Some(TOKEN.parse().unwrap());
    let location = format!("{}/org/model/resolve/main/{FILE}", world.hub.endpoint());
    world.hub.script("?Signature", [Fault::Status(302, vec![("Location", location)])]);
    assert_eq!(world.fetch().unwrap().content, CONTENT);
    let tokens: Vec<bool> =
        world.hub.take_log().iter().map(|r| r.header("authorization").is_some()).collect();
    assert_eq!(tokens, [true, false, false, false]);
}

#[test]
fn absence_is_remembered_when_the_hub_names_the_commit() {
    let mut world = World::with(Delivery::Direct);
    let mut session = world.session();
    let error = session.fetch("tokenizer.model").unwrap_err();
    assert!(matches!(error, Error::FileNotFound { .. }) && error.is_absent() && error.is_about_one_file());
    let commit = session.commit().unwrap().to_owned();
    assert!(world.repository().join(".no_exist").join(&commit).join("tokenizer.model").is_file());
    // The reference needs a snapshot to point to, if only an empty one.
    assert_eq!(fs::read_to_string(world.repository().join("refs/main")).unwrap(), commit);
    assert!(world.repository().join("snapshots").join(&commit).is_dir());
    world.requests();
    for revision in [commit.as_str(), "main"] {
        world.settings.offline = revision == "main";
        let error = world.session_at(revision).fetch("tokenizer.model").unwrap_err();
        assert!(matches!(error, Error::FileNotFound { .. }), "{error}");
    }
    assert_eq!(world.requests(), [""; 0]);
}

#[test]
fn absence_without_a_commit_is_not_remembered() {
    for code in ["EntryNotFound", ""] {
        let world = World::with(Delivery::Direct);
        let headers = vec![("X-Error-Code", code.to_owned())];
        world.hub.script("tokenizer.model", [Fault::Status(404, headers)]);
        let error = world.session().fetch("tokenizer.model").unwrap_err();
        assert!(matches!(error, Error::FileNotFound { .. }), "{error}");
        assert!(!world.cache().exists());
    }
}

#[test]
fn refusals_are_told_apart() {
    let mut world = World::with(Delivery::Direct);
    let error = world.session_at("v9").fetch(FILE).unwrap_err();
    assert!(matches!(&error, Error::RevisionNotFound { revision, .. } if revision == "v9"), "{error}");
    assert!(error.is_absent() && !error.is_about_one_file());

    world.hub.set_access(REPOSITORY, Access::Private);
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::RepositoryNotFound { authenticated: false, .. }) && error.is_absent());
    assert!(error.to_string().ends_with("or it is private: if it is, set HF_TOKEN"), "{error}");

    world.hub.set_access(REPOSITORY, Access::Gated);
    let error = world.fetch().unwrap_err();
    let page = format!("{}/org/model", world.hub.endpoint());
    assert_eq!(error.to_string(), format!("org/model is gated: accept its terms at {page} and set HF_TOKEN"));
    assert!(!error.is_absent());

    world.settings.token = Some(TOKEN.parse().unwrap());
    let error = world.fetch().unwrap_err();
    assert!(matches!(&error, Error::Gated { authenticated: true, url, .. } if *url == page), "{error}");

    world.settings.token = Some(MEMBER.parse().unwrap());
    assert_eq!(world.fetch().unwrap().content, CONTENT);

    let disabled = "Access to this resource is disabled.".to_owned();
    world.hub.script("tokenizer.model", [Fault::Status(403, vec![("X-Error-Message", disabled)])]);
    let error = world.session().fetch("tokenizer.model").unwrap_err();
    assert!(
        error.to_string().ends_with("access to org/model: Access to this resource is disabled."),
        "{error}"
    );
    assert_eq!(world.hub.take_log().len(), 6, "a refusal is not asked for twice");
}

#[test]
fn a_refused_token_does_not_hide_public_files() {
    let mut world = World::with(Delivery::Cdn);
    world.settings.token = Some("hf_expired".parse().unwrap());
    assert_eq!(world.fetch().unwrap().content, CONTENT);
    assert_eq!(world.fetch().unwrap().how, How::Revalidated);
    let tokens: Vec<bool> =
        world.hub.take_log().iter().map(|r| r.header("authorization").is_some()).collect();
    assert_eq!(tokens, [true, false, false, true, false]);

    for access in [Access::Private, Access::Gated] {
        world.hub.set_access(REPOSITORY, access);
        let error = world.session_at("main").fetch("other").unwrap_err();
        assert!(matches!(error, Error::InvalidToken { .. }), "{error}");
        assert_eq!(world.hub.take_log().len(), 2);
    }
}

#[test]
fn a_mirror_that_calls_a_missing_file_a_missing_repository_is_understood() {
    let world = World::with(Delivery::Direct);
    let mut session = world.session();
    session.fetch(FILE).unwrap();
    let answer = Fault::Status(401, vec![("X-Error-Code", "RepoNotFound".into())]);
    world.hub.script("tokenizer.model", [answer]);
    let error = session.fetch("tokenizer.model").unwrap_err();
    assert!(matches!(error, Error::FileNotFound { .. }), "{error}");
    assert!(!world.repository().join(".no_exist").exists());
}

#[test]
fn etags_of_mirrors_are_read_or_done_without() {
    let oid = super::super::digest::Digest::git_blob(CONTENT).to_string();
    for (etag, checked) in [
        (oid.clone(), true),
        (format!("W/\"{oid}\""), true),
        ("\"5d41402abc-3\"".to_owned(), false),
        ("\"../../x\"".to_owned(), false),
        (oid.to_uppercase(), false),
    ] {
        let world = World::with(Delivery::Direct);
        world.hub.script("", [Fault::With("ETag", etag.clone()), Fault::With("ETag", etag.clone())]);
        let fetched = world.fetch().unwrap();
        assert_eq!((fetched.content.as_slice(), fetched.etag.is_some()), (CONTENT, checked), "{etag}");
        // Without a usable tag, the blob is named by its SHA-256, and an unmoved commit confirms it.
        assert_eq!(world.blobs()[0].len(), if checked { 40 } else { 64 });
        assert_eq!(world.fetch().unwrap().how, How::Revalidated);
        assert_eq!(world.requests(), ["GET hub", "HEAD hub"]);
    }
    let world = World::with(Delivery::Direct);
    world.hub.script("", [Fault::All(vec![Fault::Without("ETag"), Fault::NoLength])]);
    assert_eq!(world.fetch().unwrap().content, CONTENT);
}

#[test]
fn an_answer_without_a_commit_is_not_a_hubs() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>".to_vec();
    let portal = vec![("Location", "http://portal.example/login".to_owned())];
    let both = &["GET hub", "HEAD hub"][..];
    for (fault, expected) in [
        (Fault::Raw(page), both),
        (Fault::Without("X-Repo-Commit"), both),
        (Fault::With("X-Repo-Commit", "../../../etc".into()), both),
        (Fault::Status(302, portal), &["GET hub"]),
    ] {
        let world = World::with(Delivery::Direct);
        world.hub.script("", vec![fault.clone(); 2]);
        let error = world.fetch().unwrap_err();
        assert!(matches!(error, Error::NotAHub { .. }), "{fault:?}: {error}");
        assert!(!world.cache().exists());
        assert_eq!(world.requests(), expected, "{fault:?}");
    }
}

#[test]
fn a_mirror_that_tells_commit_and_hash_only_without_the_content_is_asked_for_them() {
    let world = World::empty();
    let files = [(FILE, CONTENT, Delivery::Direct), ("tokenizer_config.json", b"{}", Delivery::Direct)];
    let commit = world.hub.commit(REPOSITORY, "main", &files);
    // As olah answers for its own repositories.
    let bare = Fault::All(vec![Fault::Without("X-Repo-Commit"), Fault::Without("ETag")]);
    world.hub.script("GET", vec![bare.clone(); 2]);
    let absent = Fault::Status(401, vec![("X-Error-Code", "RepoNotFound".into())]);
    world.hub.script("HEAD /org/model/resolve/*/vocab.txt".replace('*', &commit).as_str(), [absent]);
    let mut session = world.session();
    let fetched = session.fetch(FILE).unwrap();
    assert_eq!((fetched.content.as_slice(), &fetched.commit), (CONTENT, &commit));
    assert_eq!(
        (world.requests(), session.requests_per_file()),
        (vec!["GET hub".into(), "HEAD hub".into()], 2)
    );
    assert_eq!(session.fetch("tokenizer_config.json").unwrap().content, b"{}");
    assert_eq!(world.requests(), ["HEAD hub", "GET hub"]);
    assert!(session.fetch("vocab.txt").unwrap_err().is_absent());
    assert_eq!(world.requests(), ["HEAD hub"]);
    assert_eq!(world.fetch().unwrap().how, How::Revalidated);

    // A portal may refuse what it does not know.
    let world = World::with(Delivery::Direct);
    world.hub.script("GET", [bare.clone()]);
    world.hub.script("HEAD", [Fault::Status(404, vec![("X-Error-Code", "EntryNotFound".into())])]);
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::NotAHub { .. }), "{error}");

    // The hash is what ties the two answers together.
    let flipped = Fault::All(vec![bare.clone(), Fault::Flip(3)]);
    let opaque = Fault::With("ETag", "\"5d41402abc-3\"".into());
    for (get, head, is_hash) in [(flipped, Fault::None, true), (bare, opaque, false)] {
        let world = World::with(Delivery::Direct);
        world.hub.script("GET", vec![get; 2]);
        world.hub.script("HEAD", vec![head; 2]);
        let error = world.fetch().unwrap_err();
        assert_eq!(matches!(error, Error::Hash { .. }), is_hash, "{error}");
        assert_eq!(matches!(error, Error::NotAHub { .. }), !is_hash, "{error}");
        assert!(world.blobs().is_empty());
    }
}

#[test]
fn another_commit_than_the_one_asked_for_is_not_taken() {
    let world = World::with(Delivery::Direct);
    let other = "0123456789012345678901234567890123456789";
    let mut session = world.session();
    session.fetch(FILE).unwrap();
    world.hub.commit(REPOSITORY, "main", &[("config.json", b"{}", Delivery::Direct)]);
    world.hub.script(
        "config.json",
        [Fault::All(vec![Fault::Status(200, vec![]), Fault::With("X-Repo-Commit", other.into())])],
    );
    let error = session.fetch("config.json").unwrap_err();
    assert!(matches!(error, Error::NotAHub { .. }) && error.to_string().contains(other), "{error}");
}

#[test]
fn redirects_that_lead_nowhere_are_refused() {
    let world = World::with(Delivery::Direct);
    let target = format!("/org/model/resolve/main/{FILE}");
    let step = || Fault::Status(307, vec![("Location", target.clone())]);
    world.hub.script("", (0..40).map(|_| step()));
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
    assert_eq!(world.hub.take_log().len(), 21);
    for headers in
        [vec![], vec![("Location", "file:///etc/passwd".to_owned())], vec![("Location", "http://".into())]]
    {
        world.hub.clear_scripts();
        world.hub.script("", [Fault::Status(302, headers.clone())]);
        let error = world.fetch().unwrap_err();
        assert!(matches!(error, Error::Redirect { .. }), "{headers:?}: {error}");
    }
}

#[test]
fn bad_names_reach_neither_disk_nor_network() {
    let world = World::with(Delivery::Direct);
    for file in
        ["", "..", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "./a", "a\\b", "C:x", "a\0b", "a\nb"]
    {
        let error = world.session().fetch(file).unwrap_err();
        assert!(matches!(error, Error::BadName { .. }), "{file:?}: {error}");
    }
    for revision in [
        "",
        "..",
        "a/../b",
        "/a",
        "a/",
        "a..b",
        "a b",
        "a~1",
        "a\\b",
        "a.lock",
        ".a",
        "a\n",
        &"a".repeat(256),
    ] {
        let id = REPOSITORY.parse().unwrap();
        let session = Session::new(&world.settings, id, revision, None, world.settings.deadline());
        assert!(matches!(session.err(), Some(Error::BadName { .. })), "{revision:?}");
    }
    assert_eq!(world.requests(), [""; 0]);
    assert!(!world.cache().exists());
}

#[test]
fn an_endpoint_that_is_no_url_is_refused() {
    let mut world = World::empty();
    for endpoint in ["huggingface.co", "ftp://huggingface.co", "https://user@huggingface.co", "https://"] {
        world.settings.endpoint = endpoint.into();
        let id = REPOSITORY.parse().unwrap();
        let error = Session::new(&world.settings, id, "main", None, world.settings.deadline()).err().unwrap();
        assert!(matches!(error, Error::BadEndpoint { .. }), "{error}");
        assert!(error.to_string().contains(endpoint), "{error}");
    }
}
