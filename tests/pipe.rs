//! The contract of `examples/pipe.rs`, held by running it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use anytok::gguf::{Gguf, GgufBuilder};
use anytok::{Resolver, Special, SpecialText, Tokenizer};

#[test]
fn a_line_of_text_becomes_a_line_of_ids() {
    let tokenizer = tokenizer(MODEL);
    let texts = ["Hello, world!", "", "a\nb \"quoted\" \\ 🌊 é", "<|begin_of_text|>twice<|eot_id|>"];
    for (switches, special) in [
        (&[][..], Special::Ignore),
        (&["--add-special"][..], Special::Add),
        (&["--parse-special"][..], Special::Parse),
        (&["--parse-special", "--add-special"][..], Special::AddAndParse),
    ] {
        let output = run(MODEL, switches, &lines(texts.map(|text| serde_json::json!(text))));
        let expected: String = texts
            .iter()
            .map(|text| format!("{}\n", serde_json::json!(tokenizer.encode(text, special).unwrap())))
            .collect();
        assert_eq!(text(&output.stdout), expected, "{switches:?}");
        assert!(output.status.success(), "{switches:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_line_of_ids_becomes_a_line_of_text() {
    let tokenizer = tokenizer(MODEL);
    let ids = ["Hello, world!", "", "<|begin_of_text|>🌊<|eot_id|>"]
        .map(|text| tokenizer.encode(text, Special::AddAndParse).unwrap());
    for (switch, special) in [(None, SpecialText::Render), (Some("--skip-special"), SpecialText::Skip)] {
        let switches: Vec<_> = ["--decode"].into_iter().chain(switch).collect();
        let output = run(MODEL, &switches, &lines(ids.clone().map(|ids| serde_json::json!(ids))));
        let expected: String = ids
            .iter()
            .map(|ids| format!("{}\n", serde_json::json!(tokenizer.decode(ids, special).unwrap())))
            .collect();
        assert_eq!(text(&output.stdout), expected);
        assert!(output.status.success());
    }
}

#[test]
fn half_a_character_is_decoded_to_the_replacement_character() {
    let ids = tokenizer(MODEL).encode("里", Special::Ignore).unwrap();
    assert!(ids.len() > 1, "the vocabulary has this character as a token");
    let output = run(MODEL, &["--decode"], &format!("[{}]\n", ids[0]));
    assert_eq!(text(&output.stdout), "\"\u{FFFD}\"\n");
}

#[test]
fn line_ends_are_lf_or_crlf_and_the_last_may_lack_one() {
    let output = run(MODEL, &[], "\"Hello\"\r\n\"Hello\"\n\"Hello\"");
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| *line == lines[0] && line.starts_with('[')), "{lines:?}");
    assert!(run(MODEL, &[], "").stdout.is_empty());
}

#[test]
fn a_bad_line_is_null_and_named_and_fails_at_the_end() {
    let good = text(&run(MODEL, &[], "\"Hello\"\n").stdout).to_owned();
    let bad = ["", "Hello", "[1]", "\"\\ud800\"", "\"Hello\" \"world\"", "\"open"];
    for line in bad {
        let output = run(MODEL, &[], &format!("\"Hello\"\n{line}\n\"Hello\"\n"));
        assert_eq!(text(&output.stdout), format!("{good}null\n{good}"), "{line:?}");
        let report = text(&output.stderr);
        assert!(report.contains("pipe: line 2: expected a JSON string"), "{line:?}: {report}");
        assert!(!report.contains("line 1:") && !report.contains("line 3:"), "{line:?}: {report}");
        assert_eq!(output.status.code(), Some(1), "{line:?}");
    }
    let output = run_bytes(MODEL, &[], b"\"\xFF\"\n");
    assert_eq!((text(&output.stdout), output.status.code()), ("null\n", Some(1)));

    for line in ["\"Hello\"", "[4294967295]", "[-1]", "[1.5]", "[99999]", "[1,]"] {
        let output = run(MODEL, &["--decode"], &format!("[]\n{line}\n"));
        assert_eq!(text(&output.stdout), "\"\"\nnull\n", "{line:?}");
        assert!(text(&output.stderr).contains("pipe: line 2: expected "), "{}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{line:?}");
    }
}

#[test]
fn an_id_left_open_is_minus_one() {
    // This pre-tokenizer gives the unknown token for what it has no token for, and the file names none.
    let gguf = Gguf::open(testdata(MODEL)).unwrap();
    let model = GgufBuilder::copy_of(&gguf, |key| key != b"tokenizer.ggml.pre")
        .string("tokenizer.ggml.pre", "soprano");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("soprano.gguf");
    std::fs::write(&path, model.finish()).unwrap();
    let output = run(path.to_str().unwrap(), &[], "\"a b\"\n");
    let ids: Vec<i64> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(ids.contains(&-1), "{ids:?}");
    assert!(output.status.success());
}

#[test]
fn an_answer_comes_before_the_next_line_is_asked_for() {
    let mut pipe = start(MODEL, &[]);
    let mut input = pipe.stdin.take().unwrap();
    let mut output = BufReader::new(pipe.stdout.take().unwrap());
    // Also when the beginning of the next line came with it.
    for (sent, rest) in [("\"one\"\n", ""), ("\"two\"\n\"thr", "ee\"\n")] {
        input.write_all(sent.as_bytes()).unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        assert!(answer.starts_with('['), "{answer:?}");
        input.write_all(rest.as_bytes()).unwrap();
    }
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().count(), 1);
    assert!(pipe.wait().unwrap().success());
}

#[test]
fn many_lines_keep_their_order() {
    let tokenizer = tokenizer(MODEL);
    let texts: Vec<String> = (0..20_000).map(|i| format!("line {i} of {}", "many ".repeat(i % 7))).collect();
    let output = run(MODEL, &[], &lines(texts.iter().map(|text| serde_json::json!(text))));
    let answers: Vec<Vec<u32>> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers, tokenizer.encode_batch(&texts, Special::Ignore).unwrap());
}

#[test]
fn a_reader_that_leaves_is_no_mishap() {
    let mut pipe = start(MODEL, &[]);
    drop(pipe.stdout.take());
    let mut input = pipe.stdin.take().unwrap();
    // Goes on until the process has noticed.
    while input.write_all(b"\"Hello\"\n").is_ok() {}
    let mut report = String::new();
    pipe.stderr.take().unwrap().read_to_string(&mut report).unwrap();
    assert_eq!(report, "");
    assert_eq!(pipe.wait().unwrap().code(), Some(1));
}

#[test]
fn wrong_arguments_are_told_apart_from_a_missing_model() {
    for arguments in [
        &[][..],
        &[MODEL, MODEL],
        &[MODEL, "--encode"],
        &[MODEL, "--skip-special"],
        &[MODEL, "--decode", "--add-special"],
    ] {
        let output = Command::new(binary()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("usage: pipe MODEL"), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
    let output = run("no/such/model", &[], "\"Hello\"\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "pipe: no file or directory at no/such/model\n");
    assert!(output.stdout.is_empty());
}

fn tokenizer(model: &str) -> Tokenizer {
    Resolver::builder()
        .offline(true)
        .without_store()
        .build()
        .resolve(testdata(model))
        .unwrap()
        .into_tokenizer()
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn lines(values: impl IntoIterator<Item = serde_json::Value>) -> String {
    values.into_iter().map(|value| format!("{value}\n")).collect()
}

fn run(model: &str, switches: &[&str], input: &str) -> Output {
    run_bytes(model, switches, input.as_bytes())
}

fn run_bytes(model: &str, switches: &[&str], input: &[u8]) -> Output {
    let mut pipe = start(model, switches);
    let mut stdin = pipe.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A process that ends early does not read all of it.
        scope.spawn(move || _ = stdin.write_all(input));
        pipe.wait_with_output().unwrap()
    })
}

fn start(model: &str, switches: &[&str]) -> Child {
    Command::new(binary())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("ANYTOK_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/store"))
        .arg(model)
        .arg("--offline")
        .args(switches)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The example, built as this test was. Cargo tells where it is; a path put together from parts would go stale unnoticed.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
        cargo.args([
            "build",
            "--quiet",
            "--offline",
            "--example",
            "pipe",
            "--message-format",
            "json-render-diagnostics",
        ]);
        // With the profile, the features and the environment that this test was built with: otherwise all would be built anew, here and
        // by whoever calls cargo next.
        cargo.args(["--profile", if cfg!(debug_assertions) { "test" } else { "release" }]);
        let of_this_test = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(of_this_test) {
                cargo.env_remove(name);
            }
        }
        let features = [
            ("default", cfg!(feature = "default")),
            ("hub", cfg!(feature = "hub")),
            ("chat", cfg!(feature = "chat")),
            ("tokenizers", cfg!(feature = "tokenizers")),
            ("cli", cfg!(feature = "cli")),
            ("text-splitter", cfg!(feature = "text-splitter")),
            ("toktrie", cfg!(feature = "toktrie")),
        ];
        let features: Vec<_> =
            features.into_iter().filter_map(|(name, is_on)| is_on.then_some(name)).collect();
        cargo.args(["--no-default-features", "--features", &features.join(",")]);
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "the example does not build");
        let artifacts = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap());
        let executable = |artifact: serde_json::Value| {
            (artifact["target"]["name"] == "pipe")
                .then(|| artifact["executable"].as_str().map(PathBuf::from))?
        };
        let mut artifacts = artifacts;
        artifacts.find_map(executable).expect("cargo names what it built")
    })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const MODEL: &str = "testdata/models/llama-bpe.gguf";
