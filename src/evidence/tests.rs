use std::fs;

use proptest::prelude::*;

use super::repository::from_url;
use super::*;
use crate::gguf::GgufBuilder;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A directory of its own for a case, and shorthand for what lies in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn gather(&self, name: &str) -> Evidence {
        Evidence::gather(self.at(name)).unwrap()
    }
}

fn model() -> GgufBuilder {
    GgufBuilder::new().string("general.architecture", "llama").strings(TOKENS, ["a", "b"])
}

/// Names with kind, and commit where there is one.
fn names(evidence: &Evidence) -> Vec<String> {
    let line = |repository: &Repository| {
        let commit =
            repository.revision.as_deref().map(|revision| format!("@{revision}")).unwrap_or_default();
        format!("{} {}{commit}", repository.kind, repository.id)
    };
    evidence.repositories().iter().map(line).collect()
}

#[test]
fn a_path_with_nothing_there_is_its_own_error() {
    let place = Place::new();
    place.write("file", "x");
    for name in ["missing", "missing/x", "file/x"] {
        let error = Evidence::gather(place.at(name)).unwrap_err();
        assert!(matches!(&error, Error::NotFound { path } if *path == place.at(name)), "{error:?}");
    }
    let error = Evidence::gather("no/such/model.gguf").unwrap_err();
    assert_eq!(error.to_string(), "no file or directory at no/such/model.gguf");
}

#[cfg(unix)]
#[test]
fn links_to_nowhere_and_pipes_are_errors() {
    let place = Place::new();
    std::os::unix::fs::symlink("nowhere", place.at("link")).unwrap();
    assert!(matches!(Evidence::gather(place.at("link")), Err(Error::NotFound { .. })));
    let made = std::process::Command::new("mkfifo").arg(place.at("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo is part of POSIX");
    assert!(matches!(Evidence::gather(place.at("pipe")), Err(Error::NotAFile { .. })));
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_its_own_error() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let path = place.write("model.gguf", model().finish());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        println!("skipped: this user reads everything");
        return;
    }
    assert!(matches!(Evidence::gather(&path), Err(Error::PermissionDenied { .. })));
}

#[test]
fn a_gguf_is_known_by_its_content_and_nothing_else_is_read() {
    let place = Place::new();
    let model = model().u32("llama.vocab_size", 7).u32("tokenizer.ggml.seperator_token_id", 1);
    place.write("blob", model.u32("tokenizer.ggml.bos_token_id", 0).finish());
    let evidence = place.gather("blob");
    assert_eq!((evidence.format(), evidence.model_path()), (Format::Gguf, Some(&*place.at("blob"))));
    assert_eq!(evidence.architecture(), Some("llama"));
    assert_eq!(evidence.rows(), Some(Rows { count: 7, source: RowsSource::GgufKey }));
    assert_eq!(evidence.special_ids(), [("bos", 0), ("sep", 1)]);
    assert!(evidence.surroundings.get().is_none(), "neighbours were looked at");
    assert!(evidence.config.get().is_none() && evidence.from_path.get().is_none());
}

#[test]
fn a_damaged_gguf_is_evidence() {
    let place = Place::new();
    let whole = model().finish();
    let path = place.write("model.gguf", &whole[..whole.len() - 1]);
    place.write("config.json", r#"{"vocab_size": 3, "model_type": "llama"}"#);
    let evidence = place.gather("model.gguf");
    let Some(ModelError::Gguf { path: at, source }) = evidence.model_error() else { panic!("{evidence:?}") };
    assert_eq!(*at, path);
    let end = whole.len() - 1;
    assert_eq!(
        source.to_string(),
        format!("expected string bytes (1) at byte {end}, found the end of the file at byte {end}")
    );
    assert_eq!((evidence.format(), evidence.model_format()), (Format::Gguf, Some(Format::Gguf)));
    // What lies beside it still counts.
    assert_eq!(evidence.rows(), Some(Rows { count: 3, source: RowsSource::ConfigJson }));
    assert_eq!(evidence.architecture(), Some("llama"));
}

#[test]
fn a_file_named_as_a_gguf_that_is_none_says_what_was_expected() {
    let place = Place::new();
    for (content, format, message) in [
        (&b"not a model"[..], Format::Unknown, "expected the magic `GGUF` at byte 0, found `not `"),
        (b"", Format::Unknown, "found an empty file (0 bytes)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1234\n",
            Format::GitLfsPointer,
            "found a Git LFS pointer to 1234 bytes; `git lfs pull` in its repository fetches the file",
        ),
        (b" <!DOCTYPE html><html>", Format::Unknown, "found an HTML page"),
    ] {
        place.write("x.gguf", content);
        let evidence = place.gather("x.gguf");
        assert_eq!(evidence.format(), format);
        let error = crate::failure::chain(evidence.model_error().unwrap());
        assert!(error.contains(message), "{error}");
        assert!(evidence.gguf().is_none());
    }
    place.write("x.gguf", safetensors::tests::file("{}"));
    let evidence = place.gather("x.gguf");
    assert_eq!(evidence.format(), Format::Safetensors);
    assert!(evidence.model_error().is_none());
    place.write("notes", "not a model");
    assert!(place.gather("notes").model_error().is_none());
}

#[test]
fn a_later_shard_leads_to_the_first() {
    let place = Place::new();
    let later = GgufBuilder::new().u16("split.no", 1).u16("split.count", 2).finish();
    place.write("m-00002-of-00002.gguf", later);
    let evidence = place.gather("m-00002-of-00002.gguf");
    let error = evidence.model_error().unwrap().to_string();
    assert!(
        error.ends_with("is shard 2 of 2 and carries no tokenizer: put the first shard beside it"),
        "{error}"
    );

    let first = place.write("m-00001-of-00002.gguf", model().u16("split.no", 0).finish());
    for name in ["m-00002-of-00002.gguf", "m-00001-of-00002.gguf", ""] {
        let evidence = place.gather(name);
        assert_eq!(evidence.model_path(), Some(first.as_path()), "{name:?}");
        assert!(evidence.gguf().is_some_and(|gguf| gguf.entry(TOKENS).is_some()));
        assert!(evidence.model_error().is_none());
    }
}

#[test]
fn a_directory_gives_the_model_with_a_tokenizer() {
    let place = Place::new();
    place.write("a.gguf", GgufBuilder::new().string("general.type", "adapter").finish());
    place.write("b.gguf", "broken");
    let model = place.write("c.gguf", model().finish());
    place.write("mmproj-c.gguf", GgufBuilder::new().finish());
    place.write("model.safetensors", safetensors::tests::file("{}"));
    let evidence = place.gather("");
    assert_eq!(evidence.format(), Format::Directory);
    assert_eq!((evidence.model_path(), evidence.model_format()), (Some(model.as_path()), Some(Format::Gguf)));
    assert_eq!(evidence.notes().len(), 1, "{:?}", evidence.notes());
    fs::remove_file(&model).unwrap();
    assert_eq!(place.gather("").model_path(), Some(&*place.at("a.gguf")));
    fs::remove_file(place.at("a.gguf")).unwrap();
    assert!(place.gather("").model_error().is_some());
    fs::remove_file(place.at("b.gguf")).unwrap();
    assert_eq!(place.gather("").model_format(), Some(Format::Safetensors));
    fs::remove_file(place.at("model.safetensors")).unwrap();
    assert_eq!(place.gather("").model_path(), None);
}

#[test]
fn neighbours_are_the_directory_and_one_level_up() {
    let place = Place::new();
    place.write("a/b/model.gguf", model().finish());
    let root = place.0.path();
    for name in ["a/b/model.gguf", "a/b"] {
        let evidence = place.gather(name);
        let directories: Vec<_> =
            evidence.directories().iter().filter(|path| path.starts_with(root)).collect();
        assert_eq!(directories, [&root.join("a/b"), &root.join("a")], "{name}");
    }
}

#[test]
fn rows_come_from_the_nearest_source() {
    let place = Place::new();
    place.write("config.json", r#"{"vocab_size": 40, "eos_token_id": [2, 3], "bos_token_id": 1}"#);
    let header = r#"{"model.embed_tokens.weight":{"dtype":"BF16","shape":[30,8],"data_offsets":[0,480]}}"#;
    place.write("model.safetensors", safetensors::tests::file(header));
    place
        .write("shape.gguf", model().tensor("x", &[1], 0).tensor("token_embd.weight", &[8, 20], 77).finish());
    place.write("tokens.gguf", model().finish());
    place.write("none.gguf", GgufBuilder::new().string("general.architecture", "llama").finish());
    place.write("model.onnx", b"\x08\x07\x12\x07pytorch");
    for (name, count, source) in [
        ("shape.gguf", 20, RowsSource::GgufTensor),
        ("tokens.gguf", 2, RowsSource::GgufTokens),
        ("none.gguf", 40, RowsSource::ConfigJson),
        ("model.safetensors", 30, RowsSource::SafetensorsHeader),
        ("model.onnx", 40, RowsSource::ConfigJson),
        ("config.json", 40, RowsSource::ConfigJson),
    ] {
        let evidence = place.gather(name);
        assert_eq!(evidence.rows(), Some(Rows { count, source }), "{name}");
        assert_eq!(evidence.special_ids(), [("bos", 1), ("eos", 2), ("eos", 3)], "{name}");
        assert_eq!(evidence.notes(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_tokenizer_file_is_no_model() {
    let place = Place::new();
    place.write("x", r#"{"version": "1.0", "model": {}}"#);
    let evidence = place.gather("x");
    assert_eq!(evidence.tokenizer_kind(), Some(TokenizerKind::TokenizerJson));
    assert_eq!(evidence.model_path(), None);
}

#[cfg(unix)]
#[test]
fn a_snapshot_and_its_blob_give_repository_and_commit() {
    let place = Place::new();
    let entry = "hub/models--the-org--the-model";
    let blob = place.write(&format!("{entry}/blobs/{HEX}"), model().finish());
    place.write(&format!("{entry}/snapshots/{COMMIT}/README.md"), "---\nbase_model: base/model\n---\n");
    let link = place.at(&format!("{entry}/snapshots/{COMMIT}/sub/model.gguf"));
    fs::create_dir(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(format!("../../../blobs/{HEX}"), &link).unwrap();
    let snapshot = link.ancestors().nth(2).unwrap().to_owned();
    for path in [&link, &blob, &snapshot] {
        let evidence = Evidence::gather(path).unwrap();
        let expected = [format!("same the-org/the-model@{COMMIT}"), "base base/model".to_owned()];
        assert_eq!(names(&evidence), expected, "{}", path.display());
        assert!(evidence.directories().contains(&snapshot), "{}", path.display());
        assert_eq!(evidence.repositories()[0].source, NameSource::HubCachePath);
    }
}

#[test]
fn names_in_a_hub_cache_divide_at_the_first_dashes() {
    let place = Place::new();
    for (entry, expected) in [
        ("models--org--name", vec!["same org/name"]),
        ("models--gpt2", vec!["same gpt2"]),
        ("models--org--a--b", vec![]),
        ("models--", vec![]),
        ("datasets--org--name", vec![]),
    ] {
        let name = format!("{entry}/snapshots/main/model.gguf");
        place.write(&name, model().finish());
        assert_eq!(names(&place.gather(&name)), expected, "{entry}");
    }
}

#[test]
fn stores_of_other_tools_give_names() {
    let place = Place::new();
    for (name, expected) in [
        (".lmstudio/models/pub/Model-GGUF/model.gguf", vec!["same pub/Model-GGUF"]),
        (".cache/lm-studio/models/pub/Model-GGUF/model.gguf", vec!["same pub/Model-GGUF"]),
        (".lmstudio/models/model.gguf", vec![]),
        ("text-generation-webui-main/user_data/models/org_my_model/model.gguf", vec!["same org/my_model"]),
        ("text-generation-webui/models/org_model.gguf", vec![]),
        ("models/org_model/model.gguf", vec![]),
    ] {
        place.write(name, model().finish());
        assert_eq!(names(&place.gather(name)), expected, "{name}");
    }
}

#[test]
fn a_local_directory_of_the_hub_gives_the_commit() {
    let place = Place::new();
    let root = ".lmstudio/models/pub/model";
    place.write(&format!("{root}/q4/model.gguf"), model().finish());
    let noted = format!("{root}/.cache/huggingface/download/q4/model.gguf.metadata");
    place.write(&noted, format!("{COMMIT}\n{HEX}\n1700000000.0\n"));
    assert_eq!(names(&place.gather(&format!("{root}/q4/model.gguf"))), [format!("same pub/model@{COMMIT}")]);
    place.write(&noted, "main\n");
    assert_eq!(names(&place.gather(&format!("{root}/q4/model.gguf"))), ["same pub/model"]);
}

#[test]
fn an_ollama_store_leads_from_blob_to_name_and_from_manifest_to_blob() {
    let place = Place::new();
    let blob = format!("models/blobs/sha256-{HEX}");
    place.write(&blob, model().finish());
    let manifest = |kind: &str| {
        format!(
            r#"{{"schemaVersion": 2, "layers": [{{"mediaType": "application/vnd.ollama.image.{kind}",
                "digest": "sha256:{HEX}", "size": 1}}]}}"#
        )
    };
    place.write("models/manifests/registry.ollama.ai/library/llama3.2/latest", manifest("model"));
    place.write("models/manifests/hf.co/other/thing/latest", manifest("template"));
    assert_eq!(names(&place.gather(&blob)), Vec::<String>::new());
    let of_hub = "models/manifests/hf.co/org/Name-GGUF/Q4_K_M";
    place.write(of_hub, manifest("model"));
    assert_eq!(names(&place.gather(&blob)), ["same org/Name-GGUF"]);

    let evidence = place.gather(of_hub);
    assert_eq!(evidence.format(), Format::OllamaManifest);
    assert_eq!(evidence.model_path(), Some(&*place.at(&blob)));
    assert_eq!(names(&evidence), ["same org/Name-GGUF"]);
    assert!(evidence.gguf().is_some());
    fs::remove_file(place.at(&blob)).unwrap();
    assert!(matches!(place.gather(of_hub).model_error(), Some(ModelError::Io { .. })));
}

#[test]
fn an_ollama_manifest_cannot_lead_out_of_its_store() {
    let place = Place::new();
    let content = r#"{"schemaVersion": 2, "layers": [{"mediaType": "application/vnd.ollama.image.model",
        "digest": "sha256:../../../secret"}]}"#;
    place.write("models/manifests/hf.co/org/name/latest", content);
    let evidence = place.gather("models/manifests/hf.co/org/name/latest");
    assert_eq!(evidence.model_path(), None);
    assert_eq!(evidence.notes().len(), 1);
}

#[test]
fn evidence_crosses_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Evidence>();
    crosses::<Error>();
    crosses::<ModelError>();
}

proptest! {
    #[test]
    fn no_content_and_no_name_panics(content in ".{0,200}", name in "[a-z._]{0,12}", cut in 0usize..200) {
        let bytes = &content.as_bytes()[..cut.min(content.len())];
        sniff(bytes, &name);
        config::FrontMatter::parse(&content);
        config::FrontMatter::parse(&format!("---\nbase_model: {content}"));
        from_url(&content, Some(&content));
        shard::first(Path::new(&content));
    }

    #[test]
    fn no_bytes_panic(start in "(\\{|GGUF|\u{a}|\u{8}|\u{2}\0\0\0\0\0\0\0\\{|\\{\"a\":)?", rest: Vec<u8>) {
        let bytes = [start.as_bytes(), &rest].concat();
        sniff(&bytes, "tokenizer.model");
        let _ = Gguf::parse(bytes);
    }
}
