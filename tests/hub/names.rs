//! Where a repository's name is found, and what is asked because of it.

use std::path::Path;

use anytok::Strategy;

use crate::fake_hub::Delivery;
use crate::models;
use crate::world::{REPOSITORY, World, assert_backup, assert_found, id, reason};

/// Holds that the model at `path` leads to `org/model` at `revision`, on our Hub alone.
#[track_caller]
fn leads_to_repository(world: &World, path: &Path, revision: &str) {
    let found = world.resolve(path);
    assert_found(&found, &["embedded: not applicable", "hub: found"]);
    let asked = world.requests();
    assert_eq!(asked[0], format!("GET /{REPOSITORY}/resolve/{revision}/tokenizer.json"));
    let elsewhere = |line: &&String| !line.contains(&format!(" /{REPOSITORY}/resolve/"));
    assert_eq!(asked.iter().find(elsewhere), None);
}

#[test]
fn the_caller_knows_best() {
    let world = World::new();
    world.publish("org/named");
    let model = world.model_of(&["org/named"]);
    let resolver = world.builder().repo(id(REPOSITORY)).build();
    let found = resolver.resolve(model).unwrap();
    assert_found(&found, &["embedded: not applicable", "hub: found"]);
    assert!(world.requests().iter().all(|line| line.contains(REPOSITORY)));
    assert_eq!(found.notes(), [""; 0], "nothing to say of a name that the caller gave");
}

#[test]
fn the_callers_revision_is_asked_for() {
    let world = World::new();
    let json = models::tokenizer_json();
    world.hub.commit(REPOSITORY, "refs/pr/1", &[("tokenizer.json", &json, Delivery::Direct)]);
    let resolver = world.builder().revision("refs/pr/1").build();
    assert_found(&resolver.resolve(world.model()).unwrap(), &["embedded: not applicable", "hub: found"]);
    assert_eq!(world.requests()[0], "GET /org/model/resolve/refs%2Fpr%2F1/tokenizer.json");

    let found = world.builder().revision("v9").build().resolve(world.model()).unwrap();
    assert_backup(&found);
    assert_eq!(reason(found.attempts(), Strategy::Hub), "no revision v9 in org/model");
    assert_eq!(world.requests().len(), 1);
}

#[test]
fn keys_of_a_gguf_name_repositories() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (key, value) in [
        ("general.source.huggingface.repository", REPOSITORY.to_owned()),
        ("general.source.url", format!("https://huggingface.co/{REPOSITORY}")),
        ("general.source.repo_url", format!("http://hf.co/{REPOSITORY}/tree/main")),
        ("general.repo_url", format!("https://huggingface.co/{REPOSITORY}/")),
        ("general.url", format!("https://www.huggingface.co/{REPOSITORY}/blob/main/model.gguf")),
        ("general.base_model.0.repo_url", format!("https://huggingface.co/{REPOSITORY}")),
    ] {
        let world = World::new();
        let gguf = models::bare_gguf().u32("general.base_model.count", 1).string(key, value);
        leads_to_repository(&world, &world.write("model.gguf", gguf.finish()), "main");
    }
    // A commit in a URL is asked for, and this one is not there.
    let world = World::new();
    let url = format!("https://huggingface.co/{REPOSITORY}/tree/{commit}");
    let gguf = models::bare_gguf().string("general.source.url", url);
    let found = world.resolve(world.write("model.gguf", gguf.finish()));
    assert_eq!(reason(found.attempts(), Strategy::Hub), format!("no revision {commit} in {REPOSITORY}"));
}

#[test]
fn a_url_of_the_configured_endpoint_counts_as_the_hubs() {
    let world = World::new();
    let url = format!("{}/{REPOSITORY}", world.hub.endpoint());
    let gguf = models::bare_gguf().string("general.source.url", url);
    leads_to_repository(&world, &world.write("model.gguf", gguf.finish()), "main");
}

#[test]
fn metadata_never_names_a_host() {
    let world = World::new();
    let other = World::new();
    let evil = other.hub.endpoint();
    let gguf = models::bare_gguf()
        .string("general.name", "Model")
        .string("general.organization", "Org")
        .string("general.basename", "model")
        .string("general.source.huggingface.repository", format!("{evil}/{REPOSITORY}"))
        .string("general.source.url", format!("{evil}/{REPOSITORY}"))
        .string("general.repo_url", format!("{evil}/{REPOSITORY}/resolve/main/tokenizer.json"))
        .string("general.url", "https://huggingface.co/../../etc")
        .u32("general.base_model.count", 1)
        .string("general.base_model.0.repo_url", format!("https://huggingface.co@{}", &evil[7..]));
    let found = world.resolve(world.write("model.gguf", gguf.finish()));
    assert_backup(&found);
    assert_eq!(reason(found.attempts(), Strategy::Hub), "no repository is named");
    assert_eq!(world.requests(), [""; 0]);
    assert_eq!(other.requests(), [""; 0]);
}

#[test]
fn json_files_and_cards_beside_a_model_name_repositories() {
    for (file, content) in [
        ("config.json", format!(r#"{{"_name_or_path":"{REPOSITORY}"}}"#)),
        ("tokenizer_config.json", format!(r#"{{"name_or_path":"{REPOSITORY}"}}"#)),
        ("adapter_config.json", format!(r#"{{"base_model_name_or_path":"{REPOSITORY}"}}"#)),
        ("README.md", format!("---\nlicense: mit\nbase_model: {REPOSITORY}\n---\n# A model\n")),
        ("README.md", format!("---\nbase_model:\n  - {REPOSITORY}\nbase_model_relation: quantized\n---\n")),
    ] {
        let world = World::new();
        world.write(&format!("model/{file}"), content);
        let model = world.write("model/model.safetensors", models::safetensors());
        leads_to_repository(&world, &model, "main");
        leads_to_repository_warm(&world, &world.directory.path().join("model"));
    }
}

/// As [`leads_to_repository`], where the cache has the files.
#[track_caller]
fn leads_to_repository_warm(world: &World, path: &Path) {
    assert_found(&world.resolve(path), &["embedded: not applicable", "hub: found"]);
    assert_eq!(world.requests(), [format!("HEAD /{REPOSITORY}/resolve/main/tokenizer.json")]);
}

#[test]
fn places_of_other_tools_name_repositories() {
    let gguf = models::bare_gguf().finish();
    let hex = "c0ffee".repeat(11)[..64].to_owned();
    for path in [".lmstudio/models/org/model/q4.gguf", ".cache/lm-studio/models/org/model/q4.gguf"] {
        let world = World::new();
        leads_to_repository(&world, &world.write(path, &gguf), "main");
    }
    let world = World::new();
    leads_to_repository(
        &world,
        &world.write("text-generation-webui/models/org_model/q4.gguf", &gguf),
        "main",
    );

    let world = World::new();
    let blob = world.write(&format!("ollama/models/blobs/sha256-{hex}"), &gguf);
    let manifest = format!(
        r#"{{"layers":[{{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{hex}","size":1}}]}}"#
    );
    let manifest = world.write("ollama/models/manifests/hf.co/org/model/latest", manifest);
    leads_to_repository(&world, &blob, "main");
    assert_found(&world.resolve(manifest), &["embedded: not applicable", "hub: found"]);
    assert_eq!(world.requests(), [format!("HEAD /{REPOSITORY}/resolve/main/tokenizer.json")]);
}

#[test]
#[cfg(unix)]
fn a_path_in_a_hub_cache_names_repository_and_commit() {
    let world = World::new();
    let commit = world.publish(REPOSITORY);
    world.publish(REPOSITORY); // the branch moves on
    let folder = "elsewhere/models--org--model";
    let blob = world.write(&format!("{folder}/blobs/{}", "ab".repeat(32)), models::bare_gguf().finish());
    let snapshot = world.directory.path().join(folder).join("snapshots").join(&commit);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::os::unix::fs::symlink(format!("../../blobs/{}", "ab".repeat(32)), snapshot.join("q4.gguf")).unwrap();

    leads_to_repository(&world, &snapshot.join("q4.gguf"), "*");
    // From now on all is known, by either name of the file.
    for path in [snapshot.join("q4.gguf"), blob, snapshot] {
        assert_found(&world.resolve(path), &["embedded: not applicable", "hub: found"]);
        assert_eq!(world.requests(), [""; 0]);
    }
}

#[test]
fn the_repository_itself_comes_before_its_source_and_that_before_its_base() {
    let world = World::empty();
    for name in ["org/same", "org/source", "org/base"] {
        world.publish(name);
    }
    let gguf = models::bare_gguf()
        .u32("general.base_model.count", 1)
        .string("general.base_model.0.repo_url", "https://huggingface.co/org/base")
        .string("general.source.huggingface.repository", "org/source");
    let with_same = gguf.clone().string("general.repo_url", "https://huggingface.co/org/same");
    let base_only = models::bare_gguf()
        .u32("general.base_model.count", 1)
        .string("general.base_model.0.repo_url", "https://huggingface.co/org/base");
    for (name, gguf) in [("org/same", with_same), ("org/source", gguf), ("org/base", base_only)] {
        let found = world.resolve(world.write("model.gguf", gguf.finish()));
        assert_found(&found, &["embedded: not applicable", "hub: found"]);
        assert_eq!(world.requests()[0], format!("GET /{name}/resolve/main/tokenizer.json"));
        let [note] = found.notes() else { panic!("{found}") };
        assert_eq!(note.contains("base model"), name == "org/base", "{note}");
    }
}
