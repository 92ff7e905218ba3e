//! How much is asked, of whom, and with what.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anytok::{Progress, Resolution, Source, Special, Strategy};

use crate::fake_hub::{Delivery, Fault, Server, TOKEN};
use crate::models::{self, CONFIG};
use crate::world::{REPOSITORY, World, assert_found, id, reason};

const FROM_HUB: [&str; 2] = ["embedded: not applicable", "hub: found"];
const FROM_CACHE: [&str; 3] = ["embedded: not applicable", "hub: not applicable", "cache: found"];

#[test]
fn a_cold_cache_costs_three_requests_a_warm_one_one_and_a_commit_none() {
    let world = World::empty();
    let json = models::tokenizer_json();
    let files = [
        ("tokenizer.json", &json[..], Delivery::Cdn),
        ("tokenizer_config.json", CONFIG, Delivery::Direct),
        ("generation_config.json", b"{}", Delivery::Direct),
    ];
    let commit = world.hub.commit(REPOSITORY, "main", &files);
    let model = world.model();

    let found = world.resolve(&model);
    assert_found(&found, &FROM_HUB);
    let cold = world.requests();
    assert_eq!(
        cold,
        [
            "GET /org/model/resolve/main/tokenizer.json",
            "GET cdn:",
            "GET /org/model/resolve/*/tokenizer_config.json"
        ]
    );
    let source =
        Source::Repository { id: id(REPOSITORY), commit: commit.clone(), file: "tokenizer.json".into() };
    assert_eq!(found.source(), &source);
    assert_eq!(found.tokenizer().special_tokens().eos, Some(260));
    assert_eq!(found.tokenizer().chat_template(None), Some("{{ messages }}"));

    for _ in 0..2 {
        let found = world.resolve(&model);
        assert_found(&found, &FROM_HUB);
        assert_eq!(world.requests(), ["HEAD /org/model/resolve/main/tokenizer.json"]);
        assert_eq!(found.source(), &source);
        assert_eq!(found.tokenizer().chat_template(None), Some("{{ messages }}"));
    }

    let pinned = world.builder().revision(commit).build().resolve(&model).unwrap();
    assert_found(&pinned, &FROM_HUB);
    assert_eq!(pinned.source(), &source);
    let offline = world.resolve_offline(&model);
    assert_found(&offline, &FROM_CACHE);
    assert_eq!(offline.source(), &source);
    assert_eq!(offline.tokenizer().chat_template(None), Some("{{ messages }}"));
    assert_eq!(world.requests(), [""; 0]);
}

/// As the Hub does it: large files from another server, small ones from another path.
fn redirected(world: &World, vocabulary: Delivery) -> PathBuf {
    let json = models::tokenizer_json();
    let files = [
        ("tokenizer.json", &json[..], vocabulary),
        ("tokenizer_config.json", CONFIG, Delivery::Relative),
        ("chat_template.jinja", b"{{ later }}", Delivery::Relative),
    ];
    world.hub.commit(REPOSITORY, "main", &files);
    world.model()
}

/// Holds that the notes say what is missing and how to have it.
#[track_caller]
fn assert_without_config(found: &Resolution) {
    assert_found(found, &FROM_HUB);
    assert_eq!(found.tokenizer().chat_template(None), None);
    let missing = |note: &String| note.starts_with("tokenizer_config.json is left out");
    assert!(found.notes().iter().any(|note| missing(note) && note.contains("side_files")), "{found}");
}

#[test]
fn where_every_file_is_redirected_a_cold_cache_costs_three_requests_at_most() {
    for (vocabulary, expected) in [
        // That the small file is redirected, too, shows when it is asked for.
        (
            Delivery::Cdn,
            &[
                "GET /org/model/resolve/main/tokenizer.json",
                "GET cdn:",
                "GET /org/model/resolve/*/tokenizer_config.json",
            ][..],
        ),
        (
            Delivery::Relative,
            &[
                "GET /org/model/resolve/main/tokenizer.json",
                "GET /api/resolve-cache/models/org/model/*/tokenizer.json",
            ],
        ),
    ] {
        let world = World::empty();
        let model = redirected(&world, vocabulary);
        assert_without_config(&world.resolve(&model));
        assert_eq!(world.requests(), expected);
        for _ in 0..2 {
            assert_without_config(&world.resolve(&model));
            assert_eq!(world.requests(), ["HEAD /org/model/resolve/main/tokenizer.json"]);
        }
        assert_found(&world.resolve_offline(&model), &FROM_CACHE);
        assert_eq!(world.requests(), [""; 0]);
    }
}

#[test]
fn all_side_files_are_asked_for_once_if_the_caller_wants_them() {
    let world = World::empty();
    let model = redirected(&world, Delivery::Cdn);
    let store = world.directory.path().join("store");
    let resolve =
        |wanted| world.builder().side_files(wanted).store_dir(&store).build().resolve(&model).unwrap();
    assert_without_config(&resolve(false));
    world.requests();

    // The answer without them is not the answer to this.
    let found = resolve(true);
    assert_found(&found, &FROM_HUB);
    assert!(!found.notes().iter().any(|note| note.contains("left out")), "{found}");
    assert_eq!(found.tokenizer().special_tokens().eos, Some(260));
    assert_eq!(found.tokenizer().chat_template(None), Some("{{ later }}"));
    let asked = world.requests();
    assert_eq!(asked[0], "HEAD /org/model/resolve/main/tokenizer.json");
    // Two for each of the two that are there, one for each of the five that are not.
    assert_eq!(asked.len(), 1 + 2 * 2 + 5, "{asked:#?}");

    // From here on they are there for everyone, without another request, and what is absent is known to be.
    for wanted in [false, true] {
        let found = world.builder().side_files(wanted).build().resolve(&model).unwrap();
        assert_eq!(found.tokenizer().chat_template(None), Some("{{ later }}"));
        assert_eq!(world.requests(), ["HEAD /org/model/resolve/main/tokenizer.json"]);
    }
}

#[test]
fn side_files_of_the_model_itself_come_first_and_cost_nothing() {
    let world = World::empty();
    redirected(&world, Delivery::Cdn);
    let model = world.write("models/own/model.safetensors", models::safetensors());
    world.write("models/own/generation_config.json", br#"{"eos_token_id":[260,44]}"#);
    let config = world.write("models/own/tokenizer_config.json", br#"{"chat_template":"{{ own }}"}"#);
    // A file that was written this moment is not yet known by its times.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let store = world.directory.path().join("store");
    let resolve = || {
        let builder = world.builder().repo(id(REPOSITORY)).store_dir(&store);
        builder.build().resolve(&model).unwrap()
    };
    // The third request goes to `config.json`, which is not there.
    for expected in [3, 0] {
        let found = resolve();
        assert_found(&found, &FROM_HUB);
        assert_eq!(found.tokenizer().eog_tokens(), [44, 260]);
        assert_eq!(found.tokenizer().chat_template(None), Some("{{ own }}"));
        assert!(!found.notes().iter().any(|note| note.contains("left out")), "{found}");
        let asked = world.requests();
        assert_eq!(asked.len(), expected, "{asked:#?}");
        assert!(!asked.iter().any(|line| line.contains("tokenizer_config.json")), "{asked:#?}");
    }
    // What was kept is not kept beyond a change of them.
    std::fs::write(config, br#"{"chat_template":"{{ mine }}"}"#).unwrap();
    assert_eq!(resolve().tokenizer().chat_template(None), Some("{{ mine }}"));

    // Beside a GGUF they may be of any model.
    let gguf = world.model();
    world.write("models/one/tokenizer_config.json", br#"{"chat_template":"{{ another's }}"}"#);
    assert_eq!(world.resolve(gguf).tokenizer().chat_template(None), None);
}

#[test]
fn a_new_commit_keeps_what_it_did_not_change() {
    // Where small files come at once, the third request goes to the next of them.
    for (vocabulary, small, expected) in
        [(Delivery::Cdn, Delivery::Direct, 3), (Delivery::Relative, Delivery::Relative, 2)]
    {
        let world = World::empty();
        let json = models::tokenizer_json();
        let files = |readme| {
            [
                ("README.md", readme, small),
                ("tokenizer.json", &json[..], vocabulary),
                ("tokenizer_config.json", CONFIG, small),
            ]
        };
        let model = world.model();
        world.hub.commit(REPOSITORY, "main", &files(b"one"));
        world.builder().side_files(true).build().resolve(&model).unwrap();
        world.requests();
        world.hub.commit(REPOSITORY, "main", &files(b"two"));
        let found = world.resolve(&model);
        assert_found(&found, &FROM_HUB);
        assert_eq!(found.tokenizer().chat_template(None), Some("{{ messages }}"));
        let asked = world.requests();
        assert_eq!(asked.len(), expected, "{asked:#?}");
        world.resolve(&model);
        assert_eq!(world.requests(), ["HEAD /org/model/resolve/main/tokenizer.json"]);
    }
}

#[test]
fn ids_that_depend_on_the_config_have_it_whatever_it_costs() {
    let world = World::empty();
    let files = [
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n".as_slice(), Delivery::Cdn),
        (
            "tokenizer_config.json",
            br#"{"tokenizer_class":"BertTokenizer","do_lower_case":false}"#,
            Delivery::Relative,
        ),
    ];
    world.hub.commit(REPOSITORY, "main", &files);
    let gguf = anytok::gguf::GgufBuilder::new()
        .string("general.architecture", "bert")
        .u32("bert.vocab_size", 6)
        .string("general.source.huggingface.repository", REPOSITORY);
    let found = world.resolve(world.write("models/model.gguf", gguf.finish()));
    assert_eq!(found.strategy(), Strategy::Hub, "{found}");
    let ids = |text| found.tokenizer().encode(text, Special::Ignore).unwrap();
    assert_eq!((ids("hello"), ids("Hello")), (vec![5], vec![1]), "lower-casing is off");
    assert!(found.tokenizer().special_tokens().unk.is_some());
}

#[test]
fn a_file_known_to_be_absent_is_not_asked_for_again() {
    let world = World::new();
    let model = world.model();
    assert_found(&world.resolve(&model), &FROM_HUB);
    assert_eq!(
        world.requests(),
        [
            "GET /org/model/resolve/main/tokenizer.json",
            "GET /org/model/resolve/*/tokenizer_config.json",
            "GET /org/model/resolve/*/generation_config.json"
        ]
    );
    assert_found(&world.resolve(&model), &FROM_HUB);
    assert_eq!(world.requests(), ["HEAD /org/model/resolve/main/tokenizer.json"]);
}

#[test]
fn what_changed_on_the_hub_is_fetched_anew() {
    let world = World::new();
    let model = world.model();
    world.resolve(&model);
    let mut changed = models::tokenizer_json();
    changed.push(b'\n');
    let commit = world.hub.commit(REPOSITORY, "main", &[("tokenizer.json", &changed, Delivery::Direct)]);
    let found = world.resolve(&model);
    assert_found(&found, &FROM_HUB);
    let source = Source::Repository { id: id(REPOSITORY), commit, file: "tokenizer.json".into() };
    assert_eq!(found.source(), &source);
}

#[test]
fn a_vocabulary_in_two_files_is_of_one_commit() {
    let world = World::empty();
    let tokenizer: serde_json::Value = serde_json::from_slice(&models::tokenizer_json()).unwrap();
    let vocab = tokenizer["model"]["vocab"].to_string();
    let merges: Vec<&str> = tokenizer["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|merge| merge.as_str().unwrap())
        .collect();
    let merges = format!("#version: 0.2\n{}\n", merges.join("\n"));
    let files = [
        ("vocab.json", vocab.as_bytes(), Delivery::Relative),
        ("merges.txt", merges.as_bytes(), Delivery::Relative),
        ("config.json", br#"{"model_type":"gpt2"}"#, Delivery::Relative),
        ("tokenizer_config.json", br#"{"tokenizer_class":"GPT2Tokenizer"}"#, Delivery::Relative),
    ];
    let commit = world.hub.commit(REPOSITORY, "main", &files);
    let model = world.model();
    let found = world.resolve(&model);
    assert_found(&found, &FROM_HUB);
    let source = Source::Repository { id: id(REPOSITORY), commit, file: "vocab.json".into() };
    assert_eq!(found.source(), &source);
    let asked = world.requests();
    let of_commit = asked.iter().filter(|line| line.contains("/resolve/main/")).count();
    assert_eq!(of_commit, 1, "only the first request is at the branch: {asked:#?}");
    assert!(asked.len() <= 13, "{asked:#?}");
    assert_found(&world.resolve_offline(&model), &FROM_CACHE);
}

#[test]
fn a_quantizers_repository_is_asked_one_question() {
    let world = World::new();
    world.hub.commit("quantizer/model-gguf", "main", &[("README.md", b"# quantized", Delivery::Direct)]);
    let gguf = models::bare_gguf()
        .string("general.repo_url", "https://huggingface.co/quantizer/model-gguf")
        .string("general.source.huggingface.repository", REPOSITORY);
    let model = world.write("models/model.gguf", gguf.finish());
    let found = world.resolve(&model);
    assert_found(&found, &FROM_HUB);
    assert_eq!(
        world.requests()[..2],
        [
            "GET /quantizer/model-gguf/resolve/main/tokenizer.json",
            "GET /org/model/resolve/main/tokenizer.json"
        ]
    );
    assert!(found.notes().iter().any(|note| note.contains(REPOSITORY)), "{found}");
    // Its commit is in no path, so that it is asked again whether it still has none.
    world.resolve(&model);
    assert_eq!(world.requests().len(), 2);
}

#[test]
fn a_crafted_file_cannot_make_us_a_scanner() {
    let world = World::empty();
    let names: Vec<String> = (0..20).map(|index| format!("victim/n{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        world.hub.commit(name, "main", &[("README.md", b"nothing", Delivery::Direct)]);
    }
    let found = world.resolve(world.model_of(&names));
    crate::world::assert_backup(&found);
    let asked = world.requests();
    assert_eq!(asked.len(), 12, "{asked:#?}");
    let reason = reason(found.attempts(), Strategy::Hub);
    assert!(reason.contains("12 requests"), "{reason}");

    // Names of nothing cost a request each.
    let missing: Vec<String> = (0..20).map(|index| format!("missing/n{index}")).collect();
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    let found = world.resolve(world.model_of(&missing));
    crate::world::assert_backup(&found);
    assert_eq!(world.requests().len(), 4);
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let world = World::empty();
    world.hub.name_cdn("localhost");
    let json = models::tokenizer_json();
    let files =
        [("tokenizer.json", &json[..], Delivery::Cdn), ("tokenizer_config.json", CONFIG, Delivery::Relative)];
    world.hub.commit(REPOSITORY, "main", &files);
    world.hub.set_access(REPOSITORY, crate::fake_hub::Access::Private);
    let resolver = world.builder().token(TOKEN.parse().unwrap()).side_files(true).build();
    assert_found(&resolver.resolve(world.model()).unwrap(), &FROM_HUB);
    let log = world.hub.take_log();
    assert_eq!(log.len(), 2 * 2 + 6);
    assert!(log.iter().any(|request| request.server == Server::Cdn), "{log:?}");
    assert!(log.iter().any(|request| request.target.contains("/api/resolve-cache/")), "{log:?}");
    for request in log {
        let expected = format!("Bearer {TOKEN}");
        let expected = (request.server == Server::Hub).then_some(expected.as_str());
        assert_eq!(request.header("Authorization"), expected, "{request:?}");
        assert_eq!(request.header("Accept-Encoding"), Some("identity"));
        assert!(request.header("User-Agent").unwrap().starts_with("anytok/"), "{request:?}");
    }
}

#[test]
fn an_observer_sees_every_byte() {
    let world = World::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observer = move |progress: &Progress<'_>| {
        assert_eq!(progress.repository.as_str(), REPOSITORY);
        log.lock().unwrap().push((progress.file.to_owned(), progress.received, progress.total));
        ControlFlow::Continue(())
    };
    let found = world.builder().observer(observer).build().resolve(world.model()).unwrap();
    assert_found(&found, &FROM_HUB);
    let seen = seen.lock().unwrap();
    let length = models::tokenizer_json().len() as u64;
    let (file, received, total) = seen.last().unwrap();
    assert_eq!((file.as_str(), *received, *total), ("tokenizer.json", length, Some(length)));
    assert_eq!(seen[0], ("tokenizer.json".into(), 0, Some(length)));
    assert!(seen.is_sorted_by_key(|(_, received, _)| *received));
}

#[test]
fn an_observer_can_stop_a_download_and_nothing_of_it_remains() {
    let world = World::new();
    world.publish("org/base");
    let observer = |progress: &Progress<'_>| match progress.received {
        0 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let model = world.model_of(&[REPOSITORY, "org/base"]);
    let found = world.builder().observer(observer).build().resolve(model).unwrap();
    crate::world::assert_backup(&found);
    let reason = reason(found.attempts(), Strategy::Hub);
    assert!(reason.contains("cancelled"), "{reason}");
    assert_eq!(world.requests().len(), 1, "the next repository is not tried");
    assert!(!world.cache().join("models--org--model/blobs").exists());
    assert!(!world.cache().join("models--org--model/refs").exists());
}

#[test]
fn a_side_file_that_fails_costs_neither_the_tokenizer_nor_a_wait() {
    let world = World::new();
    world.hub.script("tokenizer_config.json", vec![Fault::Status(503, vec![]); 10]);
    let start = std::time::Instant::now();
    let found = world.resolve(world.model());
    assert_found(&found, &FROM_HUB);
    assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    assert!(found.notes().iter().any(|note| note.contains("tokenizer_config.json is left out")), "{found}");
    assert_eq!(world.requests().len(), 2);
}

#[test]
fn what_is_stored_is_not_asked_for_and_what_failed_is_not_stored() {
    let world = World::new();
    let model = world.model();
    world.write("models/one/tokenizer.json", models::tokenizer_json());
    let resolve = || {
        let resolver = world.builder().store_dir(world.directory.path().join("store")).build();
        resolver.resolve(&model).unwrap()
    };
    world.hub.script("/tokenizer.json", [Fault::Status(403, vec![])]);
    let beside = resolve();
    assert_eq!(beside.strategy(), Strategy::Sibling, "{beside}");
    world.requests();
    let found = resolve();
    assert_found(&found, &FROM_HUB);
    assert_eq!(world.requests()[0], "GET /org/model/resolve/main/tokenizer.json");
    let stored = resolve();
    assert_found(&stored, &FROM_HUB);
    assert_eq!(stored.source(), found.source());
    assert_eq!(world.requests(), [""; 0]);
}
