//! Caches that others filled.

use anytok::{Source, Strategy};

use crate::models;
use crate::world::{REPOSITORY, World, assert_found, id, reason};

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const FROM_CACHE: [&str; 3] = ["embedded: not applicable", "hub: not applicable", "cache: found"];

#[track_caller]
fn assert_commit(found: &anytok::Resolution, commit: &str) {
    assert_found(found, &FROM_CACHE);
    let expected =
        Source::Repository { id: id(REPOSITORY), commit: commit.into(), file: "tokenizer.json".into() };
    assert_eq!(found.source(), &expected);
}

#[test]
fn a_cache_without_references_gives_the_only_snapshot_that_has_the_file() {
    let world = World::empty();
    let model = world.model();
    world.write(&format!("hub/models--org--model/snapshots/{ONE}/tokenizer.json"), models::tokenizer_json());
    assert_commit(&world.resolve_offline(&model), ONE);
    // `@huggingface/hub` makes a snapshot of every file: what is in another is of another commit.
    world.write(&format!("hub/models--org--model/snapshots/{TWO}/tokenizer_config.json"), models::CONFIG);
    let found = world.resolve_offline(&model);
    assert_commit(&found, ONE);
    assert_eq!(found.tokenizer().chat_template(None), None);
    world.write(&format!("hub/models--org--model/snapshots/{TWO}/tokenizer.json"), models::tokenizer_json());
    let found = world.resolve_offline(&model);
    assert_eq!(found.strategy(), Strategy::Backup, "which of two is anyone's guess");
    let told = reason(found.attempts(), Strategy::Cache);
    assert!(told.starts_with("no tokenizer file of org/model in"), "{told}");
    world.write("hub/models--org--model/refs/main", TWO);
    let found = world.resolve_offline(&model);
    assert_commit(&found, TWO);
    assert_eq!(found.tokenizer().chat_template(None), Some("{{ messages }}"));
}

#[test]
fn a_revision_that_the_caller_insists_on_is_not_replaced() {
    let world = World::empty();
    let model = world.model();
    world.write(&format!("hub/models--org--model/snapshots/{ONE}/tokenizer.json"), models::tokenizer_json());
    let at =
        |revision: &str| world.builder().offline(true).revision(revision).build().resolve(&model).unwrap();
    assert_commit(&at(ONE), ONE);
    for revision in ["v1", TWO] {
        assert_eq!(at(revision).strategy(), Strategy::Backup, "{revision}");
    }
    world.write("hub/models--org--model/refs/v1", ONE);
    assert_commit(&at("v1"), ONE);
}

#[test]
fn the_cache_that_a_model_lies_in_is_read_wherever_it_is() {
    let world = World::empty();
    let folder = "elsewhere/models--org--model";
    let model = world.write(&format!("{folder}/snapshots/{ONE}/sub/q4.gguf"), models::bare_gguf().finish());
    // The tokenizer came with a later commit.
    world.write(&format!("{folder}/snapshots/{TWO}/tokenizer.json"), models::tokenizer_json());
    world.write(&format!("{folder}/refs/main"), TWO);
    assert_commit(&world.resolve_offline(&model), TWO);
    // One of the model's own commit is preferred.
    world.write(&format!("{folder}/snapshots/{ONE}/tokenizer.json"), models::tokenizer_json());
    assert_commit(&world.resolve_offline(&model), ONE);
}

#[test]
fn every_repository_that_is_named_is_looked_for() {
    let world = World::empty();
    let model = world.model_of(&["org/one", REPOSITORY]);
    world.write(&format!("hub/models--org--model/snapshots/{ONE}/tokenizer.json"), models::tokenizer_json());
    world.write("hub/models--org--model/refs/main", ONE);
    world.write(&format!("hub/models--org--one/snapshots/{TWO}/README.md"), b"#");
    assert_commit(&world.resolve_offline(&model), ONE);
}
