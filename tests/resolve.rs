//! The chain: each strategy wins where it alone can, earlier ones win over later ones, and the story is told in full.

#[path = "hub/fake_hub.rs"]
mod fake_hub;

use std::path::{Path, PathBuf};

use anytok::{Attempt, Error, Resolver, ResolverBuilder, Source, Special, SpecialText, Strategy};
use fake_hub::{Delivery, FakeHub};
use tempfile::TempDir;

const FOUND: &str = "found";
const DEGRADED: &str = "degraded";
const ABSENT: &str = "not applicable";
const FAILED: &str = "failed";

#[test]
fn embedded_wins_and_nothing_else_is_asked() {
    let world = World::new();
    let hub = world.hub_with("tokenizer-json");
    let found =
        world.online(&hub).repo(repository()).build().resolve(testdata("models/llama-bpe.gguf")).unwrap();
    assert_story(found.attempts(), &[(Strategy::Embedded, FOUND)]);
    assert!(!found.is_degraded());
    assert!(hub.log().is_empty());
}

#[test]
fn hub_wins_where_the_model_has_no_tokenizer() {
    let world = World::new();
    let hub = world.hub_with("tokenizer-json");
    let model = world.model("without-tokenizer");
    let found = world.online(&hub).repo(repository()).build().resolve(&model).unwrap();
    assert_story(found.attempts(), &[(Strategy::Embedded, ABSENT), (Strategy::Hub, FOUND)]);
    assert!(matches!(found.source(), Source::Repository { .. }), "{:?}", found.source());
    assert_hello(&found);
}

#[test]
fn cache_wins_without_a_network() {
    let world = World::new();
    let model = world.model("without-tokenizer");
    world.fill_cache("tokenizer-json", &model);
    let found = world.offline().repo(repository()).build().resolve(&model).unwrap();
    let story = [(Strategy::Embedded, ABSENT), (Strategy::Hub, ABSENT), (Strategy::Cache, FOUND)];
    assert_story(found.attempts(), &story);
    assert!(found.attempts()[1].answer.reason().contains("off"), "{found}");
    assert_hello(&found);
}

#[test]
fn sibling_wins_where_files_lie_beside_the_model() {
    let world = World::new();
    let model = world.model("without-tokenizer").join("model.safetensors");
    world.copy("models/tokenizer-json/tokenizer.json", "without-tokenizer/tokenizer.json");
    let found = world.offline().build().resolve(model).unwrap();
    assert_story(
        found.attempts(),
        &[
            (Strategy::Embedded, ABSENT),
            (Strategy::Hub, ABSENT),
            (Strategy::Cache, ABSENT),
            (Strategy::Sibling, FOUND),
        ],
    );
    assert_hello(&found);
}

#[test]
fn sibling_also_looks_one_level_up_but_no_further() {
    let world = World::new();
    let directory = world.path().join("model");
    std::fs::create_dir_all(directory.join("onnx/quantized")).unwrap();
    world.copy("models/tokenizer-json/tokenizer.json", "model/tokenizer.json");
    world.copy("models/no-tokenizer.gguf", "model/onnx/model.gguf");
    world.copy("models/no-tokenizer.gguf", "model/onnx/quantized/model.gguf");
    let resolver = world.offline().build();
    let up = resolver.resolve(directory.join("onnx/model.gguf")).unwrap();
    assert_eq!((up.strategy(), up.is_degraded()), (Strategy::Sibling, false));
    let further = resolver.resolve(directory.join("onnx/quantized/model.gguf")).unwrap();
    assert_eq!((further.strategy(), further.is_degraded()), (Strategy::Backup, true));
}

#[test]
fn backup_stands_in_for_a_model_without_a_tokenizer() {
    let world = World::new();
    let found = world.offline().build().resolve(world.model("without-tokenizer")).unwrap();
    assert_story(
        found.attempts(),
        &[
            (Strategy::Embedded, ABSENT),
            (Strategy::Hub, ABSENT),
            (Strategy::Cache, ABSENT),
            (Strategy::Sibling, ABSENT),
            (Strategy::Backup, DEGRADED),
        ],
    );
    assert!(found.is_degraded());
    assert_eq!(*found.source(), Source::BuiltIn);
    assert_hello(&found);
    assert_eq!(found.tokenizer().vocab_size(), 256);
}

#[test]
fn a_damaged_gguf_resolves_by_what_lies_beside_it() {
    let world = World::new();
    for (name, expected) in [
        ("truncated.gguf", "expected string length (at most 2^30) at byte 6997, found the end of the file"),
        (
            "string-length.gguf",
            "expected string length (at most 2^30) at byte 6997, found 18446744073709551615",
        ),
    ] {
        world.copy(&format!("damaged/{name}"), &format!("{name}/{name}"));
        world.copy("models/tokenizer-json/tokenizer.json", &format!("{name}/tokenizer.json"));
        let found = world.offline().build().resolve(world.path().join(name).join(name)).unwrap();
        assert_story(
            found.attempts(),
            &[
                (Strategy::Embedded, FAILED),
                (Strategy::Hub, ABSENT),
                (Strategy::Cache, ABSENT),
                (Strategy::Sibling, FOUND),
            ],
        );
        let reason = found.attempts()[0].answer.reason();
        assert!(reason.contains(expected) && reason.contains(name), "{reason}");
        assert!(!found.is_degraded());
        assert_hello(&found);
    }
}

#[test]
fn a_damaged_gguf_alone_resolves_to_bytes_and_says_so() {
    let world = World::new();
    let found = world.offline().build().resolve(testdata("damaged/truncated.gguf")).unwrap();
    assert_eq!(words(found.attempts()), [FAILED, ABSENT, ABSENT, ABSENT, DEGRADED]);
    assert!(found.is_degraded());
    assert_hello(&found);
}

#[test]
fn a_missing_or_unknown_pre_tokenizer_is_never_a_clean_success() {
    let world = World::new();
    for (name, word) in [("no-pre.gguf", "missing"), ("unknown-pre.gguf", "\"harbour-2\"")] {
        let alone = world.offline().build().resolve(testdata("models").join(name)).unwrap();
        assert_eq!(words(alone.attempts()), [FAILED, ABSENT, ABSENT, ABSENT, DEGRADED], "{name}");
        assert!(alone.is_degraded());
        let reason = alone.attempts()[0].answer.reason();
        assert!(reason.contains("tokenizer.ggml.pre") && reason.contains(word), "{reason}");
        assert!(reason.contains("tokenizer.json"), "what settles it is not said: {reason}");
        // A guess at the split, over the model's own vocabulary.
        assert_eq!(alone.tokenizer().vocab_size(), 621);

        world.copy(&format!("models/{name}"), &format!("{name}/{name}"));
        world.copy("models/tokenizer-json/tokenizer.json", &format!("{name}/tokenizer.json"));
        let settled = world.offline().build().resolve(world.path().join(name).join(name)).unwrap();
        assert_eq!(words(settled.attempts()), [FAILED, ABSENT, ABSENT, FOUND], "{name}");
        assert!(!settled.is_degraded());
    }
}

#[test]
fn hub_comes_before_cache_and_revalidates_it() {
    let world = World::new();
    let hub = world.hub_with("tokenizer-json");
    let model = world.model("without-tokenizer");
    let resolver = world.online(&hub).repo(repository()).build();
    let first = resolver.resolve(&model).unwrap();
    // Now both could answer; the Hub has a newer tokenizer.
    let commit =
        hub.commit(REPOSITORY, "main", &[("tokenizer.json", &another_tokenizer(), Delivery::Relative)]);
    let second = world.online(&hub).repo(repository()).build().resolve(&model).unwrap();
    assert_story(second.attempts(), &[(Strategy::Embedded, ABSENT), (Strategy::Hub, FOUND)]);
    assert!(matches!(second.source(), Source::Repository { commit: found, .. } if *found == commit));
    assert_ne!(first.source(), second.source());
}

#[test]
fn a_hub_that_is_down_leaves_it_to_the_cache() {
    let world = World::new();
    let model = world.model("without-tokenizer");
    world.fill_cache("tokenizer-json", &model);
    let resolver = world.offline().offline(false).endpoint("http://127.0.0.1:9").repo(repository());
    let found = resolver.budget(std::time::Duration::from_secs(5)).build().resolve(&model).unwrap();
    let story = [(Strategy::Embedded, ABSENT), (Strategy::Hub, FAILED), (Strategy::Cache, FOUND)];
    assert_story(found.attempts(), &story);
}

#[test]
fn hub_and_cache_come_before_sibling() {
    let world = World::new();
    let hub = world.hub_with("tokenizer-json");
    let model = world.model("without-tokenizer").join("model.safetensors");
    world.copy("models/tokenizer-json/tokenizer.json", "without-tokenizer/tokenizer.json");
    let found = world.online(&hub).repo(repository()).build().resolve(&model).unwrap();
    assert_eq!(found.strategy(), Strategy::Hub);
    let found = world.offline().repo(repository()).build().resolve(&model).unwrap();
    assert_eq!(found.strategy(), Strategy::Cache);
    let found =
        world.offline().repo(repository()).chain(Strategy::LOCAL_FIRST).build().resolve(&model).unwrap();
    assert_story(found.attempts(), &[(Strategy::Embedded, ABSENT), (Strategy::Sibling, FOUND)]);
}

#[test]
fn a_tokenizer_at_the_path_itself_is_read_directly() {
    let world = World::new();
    for path in ["models/tokenizer-json", "models/tokenizer-json/tokenizer.json", "models/tekken/tekken.json"]
    {
        let found =
            world.offline().offline(false).endpoint("http://127.0.0.1:9").build().resolve(testdata(path));
        let found = found.unwrap();
        assert_eq!(words(found.attempts()), [ABSENT, ABSENT, ABSENT, FOUND], "{path}\n{found}");
        assert_hello(&found);
    }
}

#[test]
fn half_a_tokenizer_is_none() {
    let world = World::new();
    world.model("without-tokenizer");
    for name in ["vocab.json", "tokenizer_config.json"] {
        let target = format!("without-tokenizer/{name}");
        world.copy(&format!("models/vocab-and-merges/{name}"), &target);
        let model = world.path().join("without-tokenizer/model.safetensors");
        let error = world.offline().strict(true).build().resolve(model).unwrap_err();
        let reason = error.attempts()[3].answer.reason();
        assert_eq!(error.attempts()[3].answer.word(), ABSENT);
        assert!(reason.contains(name) && reason.contains("alone is no tokenizer"), "{reason}");
        std::fs::remove_file(world.path().join(target)).unwrap();
    }
}

#[test]
fn nothing_at_the_path_is_an_error_at_once() {
    let world = World::new();
    let path = world.path().join("model.gguf");
    let error = world.offline().build().resolve(&path).unwrap_err();
    assert!(matches!(&error, Error::NotFound { path: named } if *named == path), "{error:?}");
    assert!(error.attempts().is_empty());
    assert_eq!(error.to_string(), format!("no file or directory at {}", path.display()));
}

#[test]
fn strict_refuses_what_is_degraded() {
    let world = World::new();
    for path in ["models/without-tokenizer", "models/no-pre.gguf", "damaged/truncated.gguf"] {
        let error = world.offline().strict(true).build().resolve(testdata(path)).unwrap_err();
        assert!(matches!(error, Error::Exhausted { .. }), "{error:?}");
        let strategies: Vec<_> = error.attempts().iter().map(|attempt| attempt.strategy).collect();
        assert_eq!(strategies, Strategy::CHAIN[..4]);
        let text = error.to_string();
        assert!(Strategy::CHAIN[..4].iter().all(|strategy| text.contains(strategy.name())), "{text}");
    }
}

#[test]
fn a_chain_of_the_callers_is_followed_as_it_stands() {
    let world = World::new();
    let model = testdata("models/llama-bpe.gguf");
    let chain = [Strategy::Sibling, Strategy::Embedded, Strategy::Sibling];
    let found = world.offline().chain(chain).build().resolve(&model).unwrap();
    assert_story(found.attempts(), &[(Strategy::Sibling, ABSENT), (Strategy::Embedded, FOUND)]);
    let error = world.offline().chain([]).build().resolve(&model).unwrap_err();
    assert!(matches!(&error, Error::Exhausted { attempts, .. } if attempts.is_empty()));
}

#[test]
fn success_and_failure_tell_the_same_story() {
    let world = World::new();
    let found = world.offline().build().resolve(testdata("damaged/truncated.gguf")).unwrap().to_string();
    let error = world.offline().strict(true).build().resolve(testdata("damaged/truncated.gguf")).unwrap_err();
    let reasons = |text: &str| -> Vec<String> {
        let lines =
            text.lines().filter(|line| Strategy::CHAIN[..4].iter().any(|s| line.starts_with(s.name())));
        // Without the duration, which differs.
        lines.map(|line| line.split(" ms ").last().unwrap_or_default().trim().to_owned()).collect()
    };
    assert_eq!(reasons(&found).len(), 4, "{found}");
    assert_eq!(reasons(&found), reasons(&error.to_string()));
}

#[test]
fn a_model_directory_leads_to_its_gguf() {
    let world = World::new();
    world.copy("models/llama-spm.gguf", "tiny/tiny-Q4_K_M.gguf");
    let found = world.offline().build().resolve(world.path().join("tiny")).unwrap();
    assert_eq!(found.strategy(), Strategy::Embedded);
}

#[test]
fn a_gguf_is_known_by_its_content_alone() {
    let world = World::new();
    world.copy("models/llama-spm.gguf", "blobs/sha256-0123");
    let found = world.offline().build().resolve(world.path().join("blobs/sha256-0123")).unwrap();
    assert_eq!(found.strategy(), Strategy::Embedded);
}

#[test]
fn what_a_program_shares_is_send_and_sync() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    fn sent<T: Send + Sync + 'static>() {}
    shared::<Resolver>();
    shared::<anytok::Resolution>();
    shared::<anytok::Tokenizer>();
    sent::<Error>();
}

const REPOSITORY: &str = "harbour/light";

fn repository() -> anytok::RepoId {
    REPOSITORY.parse().unwrap()
}

fn testdata(name: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

/// Other content, the same vocabulary.
fn another_tokenizer() -> Vec<u8> {
    let mut content = std::fs::read(testdata("models/tokenizer-json/tokenizer.json")).unwrap();
    content.push(b'\n');
    content
}

/// A directory of a test's own, with a cache in it.
struct World(TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn offline(&self) -> ResolverBuilder {
        Resolver::builder().without_token().without_store().cache_dir(self.path().join("hub")).offline(true)
    }

    fn online(&self, hub: &FakeHub) -> ResolverBuilder {
        self.offline().offline(false).endpoint(hub.endpoint())
    }

    /// A Hub with one repository, of the tokenizer files in a directory of testdata.
    fn hub_with(&self, model: &str) -> FakeHub {
        let names = ["tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"];
        let contents = names.map(|name| std::fs::read(testdata("models").join(model).join(name)).unwrap());
        let files = std::iter::zip(names, &contents);
        let files: Vec<_> = files.map(|(name, content)| (name, &content[..], Delivery::Relative)).collect();
        let hub = FakeHub::start();
        hub.commit(REPOSITORY, "main", &files);
        hub
    }

    fn fill_cache(&self, repository_of: &str, model: &Path) {
        let hub = self.hub_with(repository_of);
        let found = self.online(&hub).repo(repository()).build().resolve(model).unwrap();
        assert_eq!(found.strategy(), Strategy::Hub);
    }

    /// A copy of a model directory of testdata.
    fn model(&self, name: &str) -> PathBuf {
        for entry in std::fs::read_dir(testdata("models").join(name)).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            self.copy(&format!("models/{name}/{file}"), &format!("{name}/{file}"));
        }
        self.path().join(name)
    }

    fn copy(&self, from: &str, to: &str) {
        let to = self.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(testdata(from), to).unwrap();
    }
}

fn words(attempts: &[Attempt]) -> Vec<&'static str> {
    attempts.iter().map(|attempt| attempt.answer.word()).collect()
}

#[track_caller]
fn assert_story(attempts: &[Attempt], expected: &[(Strategy, &str)]) {
    let story: Vec<_> = attempts.iter().map(|attempt| (attempt.strategy, attempt.answer.word())).collect();
    assert_eq!(story, expected, "{attempts:#?}");
}

/// The text of the one call that everybody makes first comes back.
#[track_caller]
fn assert_hello(found: &anytok::Resolution) {
    let tokenizer = found.tokenizer();
    let ids = tokenizer.encode("Hello, world!", Special::Ignore).unwrap();
    assert!(!ids.is_empty());
    assert_eq!(tokenizer.decode(&ids, SpecialText::Skip).unwrap(), "Hello, world!");
}
