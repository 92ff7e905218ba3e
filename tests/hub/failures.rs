//! What goes wrong: the attempt says what, and the chain goes on.

use std::time::{Duration, Instant};

use anytok::{Answer, Error, Failure, HubError, Resolution, Source, Strategy};

use crate::fake_hub::{Access, Delivery, Fault, MEMBER};
use crate::models;
use crate::world::{REPOSITORY, World, assert_backup, assert_found, id, reason};

/// A model that names `org/model` and has a tokenizer beside it.
fn with_sibling(world: &World) -> std::path::PathBuf {
    world.write("models/one/tokenizer.json", models::tokenizer_json());
    world.model()
}

#[track_caller]
fn assert_sibling_after(found: &Resolution, hub: &str) {
    let hub = format!("hub: {hub}");
    assert_found(found, &["embedded: not applicable", &hub, "cache: not applicable", "sibling: found"]);
}

/// The error that the Hub strategy failed with.
#[track_caller]
fn hub_error(found: &Resolution) -> &HubError {
    let attempt = found.attempts().iter().find(|attempt| attempt.strategy == Strategy::Hub).unwrap();
    match &attempt.answer {
        Answer::Failed { failure } => match &**failure {
            Failure::Hub { source, .. } => source,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_gated_repository_says_where_to_accept_its_terms() {
    let world = World::new();
    world.hub.set_access(REPOSITORY, Access::Gated);
    let model = with_sibling(&world);
    let found = world.resolve(&model);
    assert_sibling_after(&found, "failed");
    let told = reason(found.attempts(), Strategy::Hub);
    let page = format!("accept its terms at {}/{REPOSITORY} and set HF_TOKEN", world.hub.endpoint());
    assert!(told.contains(&page), "{told}");
    assert_eq!(world.requests().len(), 1);

    let member = world.builder().token(MEMBER.parse().unwrap()).build();
    assert_found(&member.resolve(&model).unwrap(), &["embedded: not applicable", "hub: found"]);
}

#[test]
fn a_gated_source_leaves_the_base_to_be_tried_and_is_told_if_that_is_missing() {
    let world = World::new();
    world.hub.set_access(REPOSITORY, Access::Gated);
    world.publish("org/base");
    let found = world.resolve(world.model_of(&[REPOSITORY, "org/base"]));
    assert_found(&found, &["embedded: not applicable", "hub: found"]);
    // A failure says more than an absence, whichever came first.
    for order in [[REPOSITORY, "org/missing"], ["org/missing", REPOSITORY]] {
        let found = world.resolve(world.model_of(&order));
        assert!(matches!(hub_error(&found), HubError::Gated { .. }), "{found}");
    }
}

#[test]
fn a_missing_repository_is_absent_not_broken() {
    let world = World::empty();
    let found = world.resolve(with_sibling(&world));
    assert_sibling_after(&found, "not applicable");
    let told = reason(found.attempts(), Strategy::Hub);
    assert!(told.contains("no repository org/model") && told.contains("private"), "{told}");
    // So it is when the caller named it, and every one of several is told.
    let named = world.builder().repo(id("org/typo")).build().resolve(with_sibling(&world)).unwrap();
    assert_sibling_after(&named, "not applicable");
    let several = world.resolve(world.model_of(&["org/one", "org/two"]));
    let told = reason(several.attempts(), Strategy::Hub);
    assert!(told.contains("org/one") && told.contains("org/two"), "{told}");
}

#[test]
fn a_repository_without_tokenizer_files_is_absent() {
    let world = World::empty();
    world.hub.commit(REPOSITORY, "main", &[("README.md", b"#", Delivery::Direct)]);
    let found = world.resolve(with_sibling(&world));
    assert_sibling_after(&found, "not applicable");
    assert_eq!(reason(found.attempts(), Strategy::Hub), "org/model has no tokenizer file");
    let asked = world.requests();
    assert!(asked.len() <= 12 && asked.len() > 1, "{asked:#?}");
    world.resolve(with_sibling(&world));
    assert_eq!(world.requests().len(), 1, "all but the branch is known");
}

#[test]
fn a_wait_that_the_budget_cannot_hold_is_not_begun() {
    let world = World::new();
    world.hub.script("tokenizer.json", vec![Fault::Status(429, vec![("Retry-After", "600".into())]); 9]);
    let model = world.model_of(&[REPOSITORY, "org/base"]);
    world.write("models/one/tokenizer.json", models::tokenizer_json());
    let start = Instant::now();
    let found = world.resolve(model);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_sibling_after(&found, "failed");
    assert!(matches!(hub_error(&found), HubError::RateLimited { retry_after: Some(_), .. }), "{found}");
    assert_eq!(world.requests().len(), 1, "who asks for fewer requests is not asked for another repository");
}

#[test]
fn silence_costs_no_more_than_the_budget() {
    for fault in [Fault::Hang, Fault::Stall(100), Fault::Drip(1, Duration::from_millis(100))] {
        let world = World::new();
        world.hub.script("tokenizer.json", vec![fault.clone(); 9]);
        let model = world.model_of(&[REPOSITORY, "org/base"]);
        world.write("models/one/tokenizer.json", models::tokenizer_json());
        let start = Instant::now();
        let found = world.builder().budget(Duration::from_millis(500)).build().resolve(model).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{fault:?}: {:?}", start.elapsed());
        assert_sibling_after(&found, "failed");
        assert!(matches!(hub_error(&found), HubError::Budget { .. }), "{found}");
        assert!(world.requests().iter().all(|line| !line.contains("org/base")));
        assert!(!world.cache().join("models--org--model/blobs").exists());
    }
}

#[test]
fn a_host_that_is_not_there_is_not_asked_for_another_repository() {
    let endpoint = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let world = World::empty();
    let model = with_sibling(&world);
    let found = world.builder().endpoint(&endpoint).build().resolve(model).unwrap();
    assert_sibling_after(&found, "failed");
    assert!(
        matches!(hub_error(&found), HubError::Connection { host, .. } if endpoint.ends_with(host)),
        "{found}"
    );
}

#[test]
fn a_captive_portal_is_not_a_hub() {
    let world = World::new();
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>".to_vec();
    world.hub.script("tokenizer.json", vec![Fault::Raw(page); 2]);
    world.write("models/one/tokenizer.json", models::tokenizer_json());
    let found = world.resolve(world.model_of(&[REPOSITORY, "org/base"]));
    assert_sibling_after(&found, "failed");
    assert!(matches!(hub_error(&found), HubError::NotAHub { .. }), "{found}");
    assert_eq!(world.requests().len(), 2, "with and without the content");
    assert!(!world.cache().exists());
}

#[test]
fn a_flipped_byte_is_found_and_not_kept() {
    let world = World::new();
    world.hub.script("/tokenizer.json", vec![Fault::Flip(100); 2]);
    let found = world.resolve(with_sibling(&world));
    assert_sibling_after(&found, "failed");
    let told = reason(found.attempts(), Strategy::Hub);
    assert!(told.contains("tokenizer.json to hash to"), "{told}");
    assert!(told.ends_with(|last: char| last.is_ascii_hexdigit()), "{told}");
    let blobs = world.cache().join("models--org--model/blobs");
    assert_eq!(std::fs::read_dir(blobs).map_or(0, Iterator::count), 0);
    // Nor does it stand in the way of the next try.
    assert_found(&world.resolve(world.model()), &["embedded: not applicable", "hub: found"]);
}

#[test]
fn a_broken_file_in_a_repository_is_told_and_the_next_repository_tried() {
    let world = World::empty();
    world.hub.commit(REPOSITORY, "main", &[("tokenizer.json", models::BROKEN, Delivery::Direct)]);
    let found = world.resolve(with_sibling(&world));
    assert_found(&found, &["embedded: not applicable", "hub: failed", "cache: failed", "sibling: found"]);
    let told = reason(found.attempts(), Strategy::Hub);
    assert!(told.starts_with("cannot load org/model/tokenizer.json"), "{told}");
    world.publish("org/base");
    world.requests();
    let found = world.resolve(world.model_of(&[REPOSITORY, "org/base"]));
    assert_found(&found, &["embedded: not applicable", "hub: found"]);
}

#[test]
fn a_tokenizer_of_another_vocabulary_is_told_and_the_next_repository_tried() {
    let world = World::empty();
    let other =
        String::from_utf8(models::tokenizer_json()).unwrap().replace("He", "Je").replace("H e", "J e");
    world.hub.commit(REPOSITORY, "main", &[("tokenizer.json", other.as_bytes(), Delivery::Direct)]);
    let naming = |bases: u32| {
        let gguf = models::gguf_without_pre()
            .string("general.source.huggingface.repository", REPOSITORY)
            .u32("general.base_model.count", bases)
            .string("general.base_model.0.repo_url", "https://huggingface.co/org/base");
        world.write("models/one/model.gguf", gguf.finish())
    };
    let model = naming(0);
    let refused = world.builder().strict(true).build().resolve(&model).unwrap_err();
    let Error::Exhausted { attempts, .. } = &refused else { panic!("{refused:?}") };
    let hub = attempts.iter().find(|attempt| attempt.strategy == Strategy::Hub).unwrap();
    let Answer::Failed { failure } = &hub.answer else { panic!("{hub:?}") };
    assert!(matches!(&**failure, Failure::Mismatch { .. }), "{failure:?}");
    let told = reason(attempts, Strategy::Hub);
    assert!(told.contains("Je") && told.contains("He"), "{told}");

    world.publish("org/base");
    let found = world.resolve(naming(1));
    assert_found(&found, &["embedded: failed", "hub: found"]);
    assert!(
        matches!(found.source(), Source::Repository { id: from, .. } if *from == id("org/base")),
        "{found}"
    );
}

#[test]
fn what_was_cached_serves_while_the_hub_is_down() {
    let world = World::new();
    let model = with_sibling(&world);
    world.resolve(&model);
    world.hub.script("tokenizer.json", vec![Fault::Status(503, vec![]); 9]);
    let found = world.resolve(&model);
    assert_found(&found, &["embedded: not applicable", "hub: failed", "cache: found"]);
    assert!(matches!(hub_error(&found), HubError::Status { status: 503, .. }), "{found}");
}

#[test]
fn a_damaged_cache_is_mended_online_and_named_offline() {
    let world = World::new();
    let model = with_sibling(&world);
    world.resolve(&model);
    let blobs = world.cache().join("models--org--model/blobs");
    let blob = std::fs::read_dir(blobs).unwrap().next().unwrap().unwrap().path();
    let mut content = std::fs::read(&blob).unwrap();
    content[100] ^= 1;
    std::fs::write(&blob, content).unwrap();

    let found = world.resolve_offline(&model);
    assert_found(
        &found,
        &["embedded: not applicable", "hub: not applicable", "cache: failed", "sibling: found"],
    );
    let told = reason(found.attempts(), Strategy::Cache);
    assert!(told.contains("delete it, or go online") && told.contains("tokenizer.json"), "{told}");

    assert_found(&world.resolve(&model), &["embedded: not applicable", "hub: found"]);
    assert_found(
        &world.resolve_offline(&model),
        &["embedded: not applicable", "hub: not applicable", "cache: found"],
    );
}

#[test]
fn a_cache_that_cannot_be_written_costs_only_the_next_download() {
    let world = World::new();
    world.write("hub", b"a file where the cache should be");
    for _ in 0..2 {
        assert_found(&world.resolve(world.model()), &["embedded: not applicable", "hub: found"]);
        assert_eq!(world.requests()[0], "GET /org/model/resolve/main/tokenizer.json");
    }
}

#[test]
fn an_endpoint_that_is_no_url_is_told() {
    let world = World::empty();
    let found = world.builder().endpoint("ftp://hub").build().resolve(world.model()).unwrap();
    assert_backup(&found);
    assert!(matches!(hub_error(&found), HubError::BadEndpoint { .. }), "{found}");
}
