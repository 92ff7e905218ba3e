//! Each strategy before the next, by pairs: both could answer, and the attempts say which was asked.

use anytok::{Error, Source, Strategy};

use crate::models;
use crate::world::{REPOSITORY, World, assert_backup, assert_found, id, reason, story};

#[test]
fn embedded_stands_before_hub() {
    let world = World::new();
    let gguf = models::whole_gguf().string("general.source.huggingface.repository", REPOSITORY);
    let model = world.write("model.gguf", gguf.finish());
    let found = world.resolve(&model);
    assert_found(&found, &["embedded: found"]);
    assert_eq!(found.source(), &Source::Gguf { path: model });
    assert_eq!(world.requests(), [""; 0]);
}

#[test]
fn hub_stands_before_cache() {
    let world = World::new();
    let model = world.model();
    world.resolve(&model);
    assert_found(
        &world.resolve_offline(&model),
        &["embedded: not applicable", "hub: not applicable", "cache: found"],
    );
    assert_found(&world.resolve(&model), &["embedded: not applicable", "hub: found"]);
}

#[test]
fn hub_stands_before_sibling() {
    let world = World::new();
    let model = world.model();
    world.write("models/one/tokenizer.json", models::tokenizer_json());
    assert_found(&world.resolve(&model), &["embedded: not applicable", "hub: found"]);
}

#[test]
fn cache_stands_before_sibling() {
    let world = World::new();
    let model = world.model();
    world.resolve(&model);
    world.requests();
    let sibling = world.write("models/one/tokenizer.json", models::tokenizer_json());
    let found = world.resolve_offline(&model);
    assert_found(&found, &["embedded: not applicable", "hub: not applicable", "cache: found"]);
    assert_eq!(reason(found.attempts(), Strategy::Hub), "the network is off");
    assert_eq!(world.requests(), [""; 0]);

    std::fs::remove_dir_all(world.cache()).unwrap();
    let found = world.resolve_offline(&model);
    let expected =
        ["embedded: not applicable", "hub: not applicable", "cache: not applicable", "sibling: found"];
    assert_found(&found, &expected);
    assert_eq!(found.source(), &Source::Files { paths: vec![sibling] });
    let missing = reason(found.attempts(), Strategy::Cache);
    assert!(missing.contains(REPOSITORY) && missing.contains("hub"), "{missing}");
}

#[test]
fn sibling_stands_before_backup() {
    let world = World::empty();
    let model = world.write("models/one/model.gguf", models::bare_gguf().finish());
    let found = world.resolve(&model);
    let names = ["embedded", "hub", "cache", "sibling"].map(|name| format!("{name}: not applicable"));
    assert_eq!(story(found.attempts())[..4], names);
    assert_eq!(story(found.attempts())[4], "backup: degraded");
    assert_backup(&found);
    assert_eq!(reason(found.attempts(), Strategy::Hub), "no repository is named");
    assert_eq!(reason(found.attempts(), Strategy::Cache), "no repository is named");

    world.write("models/tokenizer.json", models::tokenizer_json());
    let found = world.resolve(&model);
    assert_eq!(found.strategy(), Strategy::Sibling, "one level up");
    assert_found(&found, &[&names[0], &names[1], &names[2], "sibling: found"]);
    assert_eq!(world.requests(), [""; 0]);
}

#[test]
fn local_first_asks_the_network_last() {
    let world = World::new();
    let model = world.model();
    let resolve = || world.builder().chain(Strategy::LOCAL_FIRST).build().resolve(&model).unwrap();
    let cold = resolve();
    let expected =
        ["embedded: not applicable", "sibling: not applicable", "cache: not applicable", "hub: found"];
    assert_found(&cold, &expected);
    world.requests();
    let warm = resolve();
    assert_found(&warm, &[expected[0], expected[1], "cache: found"]);
    world.write("models/one/tokenizer.json", models::tokenizer_json());
    let beside = resolve();
    assert_found(&beside, &[expected[0], "sibling: found"]);
    assert_eq!(world.requests(), [""; 0]);
}

#[test]
fn a_tokenizer_at_the_path_itself_is_read_directly_unless_the_caller_names_a_repository() {
    let world = World::new();
    world.write("model/config.json", format!(r#"{{"_name_or_path":"{REPOSITORY}"}}"#));
    world.write("model/model.safetensors", models::safetensors());
    world.write("model/tokenizer.json", models::tokenizer_json());
    let directory = world.directory.path().join("model");
    for path in [directory.clone(), directory.join("tokenizer.json")] {
        let found = world.resolve(&path);
        let passed = ["embedded", "hub", "cache"].map(|name| format!("{name}: not applicable"));
        assert_found(&found, &[&passed[0], &passed[1], &passed[2], "sibling: found"]);
        assert_eq!(world.requests(), [""; 0]);
    }
    let found = world.builder().repo(id(REPOSITORY)).build().resolve(&directory).unwrap();
    assert_found(&found, &["embedded: not applicable", "hub: found"]);

    // One that does not load is no reason to stand back.
    world.write("model/tokenizer.json", models::BROKEN);
    let found = world.resolve(&directory);
    assert_found(&found, &["embedded: not applicable", "hub: found"]);
}

#[test]
fn strict_ends_in_an_error_that_tells_every_attempt() {
    let world = World::empty();
    let model = world.model();
    let error = world.builder().strict(true).build().resolve(&model).unwrap_err();
    let Error::Exhausted { path, attempts } = &error else { panic!("{error}") };
    assert_eq!(path, &model);
    let expected = ["embedded", "hub", "cache", "sibling"].map(|name| format!("{name}: not applicable"));
    assert_eq!(story(attempts), expected);
    assert_eq!(error.attempts().len(), 4);
    let text = error.to_string();
    for expected in
        ["model.gguf", "no repository org/model", "set HF_TOKEN", "no tokenizer file beside the model"]
    {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

#[test]
fn a_repository_without_a_model_is_read_from_the_hub_and_then_from_the_cache() {
    let world = World::new();
    let found = world.builder().build().resolve_repo(REPOSITORY).unwrap();
    assert_found(&found, &["hub: found"]);
    assert!(!world.requests().is_empty());
    let offline = world.builder().offline(true).build();
    assert_found(&offline.resolve_repo(REPOSITORY).unwrap(), &["hub: not applicable", "cache: found"]);
    let Err(Error::Exhausted { attempts, .. }) = offline.resolve_repo("nobody/nothing") else { panic!() };
    assert_eq!(story(&attempts), ["hub: not applicable", "cache: not applicable"]);
    assert!(matches!(offline.resolve_repo("no/such/name"), Err(Error::InvalidRepo { .. })));
    assert_eq!(world.requests(), [""; 0]);
    let error = offline.resolve(REPOSITORY).unwrap_err().to_string();
    assert!(error.ends_with("`resolve_repo` takes org/model for a repository on the Hub"), "{error}");
}
