//! `count`, `encode`, `decode`, `truncate`, `split`, `pipe`.

use std::fmt::Write as _;

use anytok::{Resolver, Side, Special, SpecialText};
use serde_json::{Value, json};

use crate::{MODEL, answer, refusal, run, text_of};

const TEXT: &str = "One fish. Two fish.\n\nRed fish 🐟, blue fish.\n<|eot_id|>";

#[test]
fn count_prints_what_the_library_counts() {
    let found = Resolver::default().resolve(MODEL).unwrap();
    for (switches, special) in [
        (&[][..], Special::Ignore),
        (&["--add-special"], Special::Add),
        (&["--parse-special"], Special::Parse),
        (&["--add-special", "--parse-special"], Special::AddAndParse),
    ] {
        let expected = found.tokenizer().count(TEXT, special).unwrap();
        let arguments = [&["count", MODEL], switches].concat();
        assert_eq!(answer(&arguments, TEXT), format!("{expected}\n"), "{switches:?}");
        let arguments = [&["count", MODEL, "--text", TEXT, "--json"], switches].concat();
        assert_eq!(answer(&arguments, ""), format!("{}\n", json!({ "tokens": expected })));
    }
}

#[test]
fn count_of_several_files_ends_with_their_sum() {
    let found = Resolver::default().resolve(MODEL).unwrap();
    let files = ["testdata/text/english.txt", "testdata/text/code.txt", "testdata/text/marks.txt"];
    let counts = files.map(|file| {
        found.tokenizer().count(&std::fs::read_to_string(file).unwrap(), Special::Ignore).unwrap()
    });
    let total: usize = counts.iter().sum();
    let width = total.to_string().len();
    let mut expected = String::new();
    for (file, count) in files.iter().zip(counts) {
        writeln!(expected, "{count:>width$} {file}").unwrap();
    }
    writeln!(expected, "{total:>width$} total").unwrap();
    assert_eq!(answer(&[&["count", MODEL], &files[..]].concat(), ""), expected);
}

#[test]
fn count_names_the_file_that_cannot_be_read() {
    let error = refusal(&["count", MODEL, "testdata/text/english.txt", "testdata/text/none.txt"], "", 1);
    assert!(error.contains("cannot read testdata/text/none.txt"), "{error}");
    let error = refusal(&["count", MODEL, "testdata/models/bert.gguf"], "", 1);
    assert!(error.contains("expected UTF-8 text in testdata/models/bert.gguf"), "{error}");
}

#[test]
fn count_fails_beyond_a_limit_and_says_by_how_much() {
    let found = Resolver::default().resolve(MODEL).unwrap();
    let count = found.tokenizer().count(TEXT, Special::Ignore).unwrap();
    let limit = |limit: usize| run(&["count", MODEL, "--limit", &limit.to_string()], TEXT);
    assert_eq!(limit(count).status.code(), Some(0));
    let over = limit(count - 1);
    assert_eq!(over.status.code(), Some(1));
    assert_eq!(text_of(&over.stdout), format!("{count}\n"));
    let error = text_of(&over.stderr);
    assert!(error.contains(&format!("has {count} tokens, {} are allowed", count - 1)), "{error}");
}

#[test]
fn count_per_line_leaves_line_ends_out() {
    let found = Resolver::default().resolve(MODEL).unwrap();
    let lines = ["One fish.", "", "Two fish."];
    let expected: String = lines
        .iter()
        .map(|line| format!("{}\n", found.tokenizer().count(line, Special::Ignore).unwrap()))
        .collect();
    assert_eq!(answer(&["count", MODEL, "--per-line"], &lines.join("\r\n")), expected);
}

#[test]
fn encode_and_decode_are_the_librarys_and_lead_back() {
    let found = Resolver::default().resolve(MODEL).unwrap();
    let ids = found.tokenizer().encode(TEXT, Special::AddAndParse).unwrap();
    let expected: Vec<String> = ids.iter().map(u32::to_string).collect();
    let printed = answer(&["encode", MODEL, "--add-special", "--parse-special"], TEXT);
    assert_eq!(printed, format!("{}\n", expected.join(" ")));
    assert_eq!(
        answer(&["decode", MODEL], &printed),
        found.tokenizer().decode(&ids, SpecialText::Render).unwrap()
    );
    assert_eq!(
        answer(&["decode", MODEL, "--skip-special", "--json"], &json!(ids).to_string()),
        format!("{}\n", json!({ "text": found.tokenizer().decode(&ids, SpecialText::Skip).unwrap() }))
    );
}

#[test]
fn pieces_have_their_places_in_the_text() {
    let printed = answer(&["encode", MODEL, "--pieces", "--json", "--text", "Two fish."], "");
    let tokens: Value = serde_json::from_str(&printed).unwrap();
    let mut end = 0;
    for token in tokens["tokens"].as_array().unwrap() {
        assert_eq!(token["start"], end);
        end = token["end"].as_u64().unwrap();
        assert_eq!(token["piece"], "Two fish."[token["start"].as_u64().unwrap() as usize..end as usize]);
    }
    assert_eq!(end, 9);
}

#[test]
fn decode_refuses_what_is_no_id() {
    assert!(refusal(&["decode", MODEL, "1", "x"], "", 1).contains("expected ids, found `x`"));
    assert!(refusal(&["decode", MODEL, "4294967296"], "", 1).contains("an id of 32 bits"));
    assert!(refusal(&["decode", MODEL, "999999"], "", 1).contains("999999"));
}

#[test]
fn truncate_keeps_what_fits_and_adds_nothing() {
    let found = Resolver::default().resolve(MODEL).unwrap();
    let tokenizer = found.tokenizer();
    for (name, side) in [("left", Side::Left), ("right", Side::Right)] {
        let kept = answer(&["truncate", MODEL, "--budget", "8", "--side", name], TEXT);
        assert_eq!(kept, tokenizer.truncate(TEXT, 8, side, Special::Ignore).unwrap());
        assert!(!kept.is_empty() && tokenizer.count(&kept, Special::Ignore).unwrap() <= 8);
    }
    let printed = answer(&["truncate", MODEL, "--budget", "8", "--json"], TEXT);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let kept = printed["text"].as_str().unwrap();
    assert_eq!(printed["bytes_cut"], TEXT.len() - kept.len());
    assert_eq!(printed["tokens"], tokenizer.count(kept, Special::Ignore).unwrap());
    assert_eq!(answer(&["truncate", MODEL, "--budget", "1000"], TEXT), TEXT);
}

#[test]
fn split_gives_parts_that_fit_and_make_up_the_text() {
    let found = Resolver::default().resolve(MODEL).unwrap();
    let file = "testdata/text/english.txt";
    let whole = std::fs::read_to_string(file).unwrap();
    let printed = answer(&["split", MODEL, file, "--budget", "50"], "");
    let parts: Vec<String> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(parts.len() > 10);
    assert_eq!(parts.concat(), whole);
    for part in &parts {
        assert!(found.tokenizer().count(part, Special::Ignore).unwrap() <= 50, "{part:?}");
    }
    let raw = answer(&["split", MODEL, file, "--budget", "50", "-0"], "");
    assert_eq!(raw.trim_end_matches('\0').split('\0').collect::<Vec<_>>(), parts);

    let printed = answer(&["split", MODEL, file, "--budget", "50", "--overlap", "10", "--json"], "");
    let ranges: Vec<(usize, usize)> = printed
        .lines()
        .map(|line| {
            let part: Value = serde_json::from_str(line).unwrap();
            let place = |name: &str| usize::try_from(part[name].as_u64().unwrap()).unwrap();
            assert_eq!(part["text"], whole[place("start")..place("end")]);
            (place("start"), place("end"))
        })
        .collect();
    assert!(ranges.windows(2).any(|pair| pair[1].0 < pair[0].1), "nothing is repeated: {ranges:?}");
    let error = refusal(&["split", MODEL, file, "--budget", "5", "--overlap", "5"], "", 1);
    assert!(error.contains("expected an overlap of fewer tokens"), "{error}");
}

#[test]
fn pipe_answers_a_line_for_a_line() {
    let output = run(&["pipe", MODEL, "--add-special"], "\"Hello, world!\"\nno\n");
    assert_eq!(text_of(&output.stdout), "[616,407,506,11,547,0]\nnull\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output.stderr).contains("pipe: line 2: expected a JSON string"));
    assert_eq!(answer(&["pipe", MODEL, "--decode", "--skip-special"], "[616,407,506]\n"), "\"Hello\"\n");
}

#[test]
fn a_degraded_tokenizer_is_used_only_if_that_is_allowed() {
    for model in ["testdata/models/no-pre.gguf", "testdata/models/without-tokenizer"] {
        for command in ["count", "encode", "decode", "pipe"] {
            let error = refusal(&[command, model], "", 1);
            assert!(error.contains("--allow-degraded"), "{command}: {error}");
        }
        let allowed = run(&["count", model, "--allow-degraded", "--text", "x"], "");
        assert_eq!((text_of(&allowed.stdout), allowed.status.code()), ("1\n", Some(0)));
        assert_eq!(run(&["explain", model], "").status.code(), Some(1));
        assert_eq!(run(&["explain", model, "--allow-degraded"], "").status.code(), Some(0));
    }
    let error = refusal(&["count", "testdata/models/without-tokenizer", "--strict"], "", 1);
    assert!(!error.contains("--allow-degraded"), "{error}");
}
