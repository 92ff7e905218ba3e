use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::formats::gguf::{OnUnknownPre, load};
use crate::gguf::GgufBuilder;
use crate::{Special, SpecialText};

/// A store, and a model in a directory of its own.
struct Bench {
    directory: tempfile::TempDir,
    store: Store,
    model: PathBuf,
}

const OPTIONS: &[u8] = b"chain: all";
const TEXT: &str = "hello lol, he";

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Some(directory.path().join("store")), 1 << 30);
        fs::create_dir(directory.path().join("models")).unwrap();
        let model = directory.path().join("models/model.gguf");
        fs::write(&model, model_bytes("</s>")).unwrap();
        settle();
        Self { directory, store, model }
    }

    fn key(&self) -> Key {
        Key::new(&self.model, OPTIONS).unwrap()
    }

    fn content(&self) -> Content {
        Content::of_gguf(&Gguf::open(&self.model).unwrap())
    }

    /// Resolves as the loop does: by path, by content, anew.
    #[track_caller]
    fn found(&self) -> &'static str {
        let key = self.key();
        let stored = self.store.lookup(&key).map(|stored| ("path", stored));
        let stored = stored
            .or_else(|| self.store.lookup_content(&key, self.content()).map(|stored| ("content", stored)));
        let Some((how, stored)) = stored else { return "nothing" };
        let fresh = tokenizer(&self.model);
        let tokenizer = stored.tokenizer.expect("this kind has an image");
        assert_eq!(ids(&tokenizer), ids(&fresh));
        assert_eq!(stored.provenance, provenance());
        how
    }

    fn save(&self, portable: bool, sources: &[PathBuf], watched: &[PathBuf]) {
        let dependencies = Dependencies::note(sources, watched).unwrap();
        let tokenizer = tokenizer(&self.model);
        let content = Some(self.content());
        let saved = Saved { tokenizer, content, portable, dependencies, provenance: provenance() };
        self.store.save(&self.key(), &saved);
    }

    fn models(&self) -> PathBuf {
        self.directory.path().join("models")
    }

    fn only(&self, directory: &str) -> PathBuf {
        let listed = files(&self.store.root.as_ref().unwrap().join(directory));
        assert_eq!(listed.len(), 1, "{listed:?}");
        listed[0].0.clone()
    }
}

fn provenance() -> Provenance {
    Provenance {
        strategy: "embedded".into(),
        source: "the model's own metadata".into(),
        repository: Some("org/model".into()),
        commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
        story: "embedded found it".into(),
        notes: vec!["a note".into()],
    }
}

fn model_bytes(end: &str) -> Vec<u8> {
    let mut tokens: Vec<String> = vec!["<unk>".into(), "<s>".into(), end.into()];
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(
        ["▁", "h", "e", "l", "o", "he", "ll", "lo", "hell", "hello", "▁hello", "▁he"].map(String::from),
    );
    let types = (0..tokens.len()).map(|id| match id {
        0 => 2,
        1 | 2 => 3,
        3..=258 => 6,
        _ => 1,
    });
    GgufBuilder::new()
        .string("general.architecture", "llama")
        .string("tokenizer.ggml.model", "llama")
        .strings("tokenizer.ggml.tokens", tokens.iter().map(String::as_str))
        .f32s("tokenizer.ggml.scores", (0..tokens.len()).map(|id| id as f32))
        .i32s("tokenizer.ggml.token_type", types)
        .string("tokenizer.chat_template", "{{ messages }}")
        .finish()
}

fn tokenizer(model: &Path) -> Tokenizer {
    load(&Gguf::open(model).unwrap(), OnUnknownPre::Refuse).unwrap()
}

fn ids(tokenizer: &Tokenizer) -> (Vec<u32>, Vec<u32>, Option<String>) {
    (
        tokenizer.encode(TEXT, Special::AddAndParse).unwrap(),
        tokenizer.encode("<s>é", Special::Parse).unwrap(),
        tokenizer.chat_template(None).map(String::from),
    )
}

fn image_bytes(tokenizer: &Tokenizer) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::write(tokenizer, &mut bytes).unwrap();
    bytes
}

/// Waits until whatever was written shows any further change.
fn settle() {
    std::thread::sleep(Duration::from_millis(60));
}

fn rewrite_with(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    settle();
}

#[test]
fn an_answer_is_found_by_its_path() {
    let bench = Bench::new();
    assert_eq!(bench.found(), "nothing");
    bench.save(true, &[], &[]);
    assert_eq!(bench.found(), "path");
    assert!(bench.store.lookup(&Key::new(&bench.model, b"chain: local").unwrap()).is_none(), "other options");
    let listed = bench.store.list();
    assert_eq!(listed.len(), 1);
    assert_eq!((&*listed[0].strategy, &*listed[0].source), ("embedded", "the model's own metadata"));
    assert_eq!(listed[0].model, bench.model.canonicalize().unwrap());
    assert_eq!(bench.store.verify(&listed[0]), Ok(()));
}

#[test]
fn a_touched_a_moved_and_a_copied_model_are_found_by_content() {
    let mut bench = Bench::new();
    bench.save(true, &[], &[]);
    File::options().write(true).open(&bench.model).unwrap().set_modified(SystemTime::now()).unwrap();
    settle();
    assert_eq!([bench.found(), bench.found()], ["content", "path"]);

    let moved = bench.models().join("moved.gguf");
    fs::rename(&bench.model, &moved).unwrap();
    bench.model = moved;
    settle();
    assert_eq!([bench.found(), bench.found()], ["content", "path"]);

    let copied = bench.models().join("copied.gguf");
    fs::copy(&bench.model, &copied).unwrap();
    bench.model = copied;
    settle();
    assert_eq!([bench.found(), bench.found()], ["content", "path"]);
}

#[test]
fn an_edited_model_is_not_found() {
    let bench = Bench::new();
    bench.save(true, &[], &[]);
    // Of the same length, and with the old modification time set back.
    let before = fs::metadata(&bench.model).unwrap().modified().unwrap();
    rewrite_with(&bench.model, &model_bytes("<e>>"));
    File::options().write(true).open(&bench.model).unwrap().set_modified(before).unwrap();
    settle();
    assert_eq!(bench.found(), "nothing");
}

#[test]
fn a_model_written_a_moment_ago_is_looked_into() {
    let bench = Bench::new();
    fs::write(&bench.model, model_bytes("</s>")).unwrap();
    bench.save(true, &[], &[]);
    // Whether the clock of the file system has ticked since or not, this write must show.
    fs::write(&bench.model, model_bytes("<e>>")).unwrap();
    assert_eq!(bench.found(), "nothing");
}

#[test]
fn an_answer_that_depends_on_its_place_holds_there_only() {
    let mut bench = Bench::new();
    bench.save(false, &[], &[]);
    File::options().write(true).open(&bench.model).unwrap().set_modified(SystemTime::now()).unwrap();
    settle();
    assert_eq!(bench.found(), "content", "touched");
    let copied = bench.models().join("copied.gguf");
    fs::copy(&bench.model, &copied).unwrap();
    bench.model = copied;
    assert_eq!(bench.found(), "nothing", "copied");
}

#[test]
fn a_sibling_that_appears_changes_or_disappears_is_noticed() {
    let bench = Bench::new();
    let sibling = bench.models().join("tokenizer.json");
    let watched = [bench.models(), bench.directory.path().join("nowhere")];
    bench.save(false, &[], &watched);
    assert_eq!(bench.found(), "path");
    rewrite_with(&bench.models().join("weights.safetensors"), b"of no concern");
    assert_eq!([bench.found(), bench.found()], ["path", "path"]);
    rewrite_with(&sibling, b"{}");
    assert_eq!(bench.found(), "nothing", "appeared");

    bench.save(false, &[], &watched);
    assert_eq!(bench.found(), "path");
    rewrite_with(&sibling, b"[]");
    assert_eq!(bench.found(), "nothing", "changed");

    bench.save(false, &[], &watched);
    fs::remove_file(&sibling).unwrap();
    settle();
    assert_eq!(bench.found(), "nothing", "disappeared");

    bench.save(false, &[], &watched);
    fs::create_dir(&watched[1]).unwrap();
    fs::write(watched[1].join("tokenizer.json"), b"{}").unwrap();
    assert_eq!(bench.found(), "nothing", "a directory appeared");
}

#[test]
fn a_source_counts_by_its_content() {
    let bench = Bench::new();
    let source = bench.models().join("tokenizer.json");
    rewrite_with(&source, b"{}");
    bench.save(false, std::slice::from_ref(&source), &[bench.models()]);
    assert_eq!(bench.found(), "path");
    rewrite_with(&source, b"{}");
    assert_eq!([bench.found(), bench.found()], ["path", "path"], "written again");
    rewrite_with(&source, b"[]");
    assert_eq!(bench.found(), "nothing", "changed");
    bench.save(false, std::slice::from_ref(&source), &[bench.models()]);
    fs::remove_file(&source).unwrap();
    assert_eq!(bench.found(), "nothing", "removed");
}

#[test]
fn memory_gives_the_same_answer_until_something_changes() {
    let bench = Bench::new();
    let memory = Memory::new();
    let source = bench.models().join("tokenizer.json");
    rewrite_with(&source, b"{}");
    let dependencies = || Dependencies::note(std::slice::from_ref(&source), &[bench.models()]).unwrap();
    let answer = std::sync::Arc::new(1);
    memory.put(&bench.key(), dependencies(), answer.clone());
    assert!(memory.get(&bench.key()).is_some_and(|found| std::sync::Arc::ptr_eq(&found, &answer)));
    assert!(memory.get(&Key::new(&bench.model, b"").unwrap()).is_none(), "other options");
    rewrite_with(&source, b"[]");
    assert!(memory.get(&bench.key()).is_none(), "a source has changed");
    memory.put(&bench.key(), dependencies(), answer.clone());
    rewrite_with(&bench.model, &model_bytes("<e>>"));
    assert!(memory.get(&bench.key()).is_none(), "the model has changed");
    for i in 0..100 {
        memory.put(&Key::new(&bench.model, &[i]).unwrap(), dependencies(), answer.clone());
    }
    assert!(memory.get(&Key::new(&bench.model, &[0]).unwrap()).is_none(), "the number is bounded");
    assert!(memory.get(&Key::new(&bench.model, &[99]).unwrap()).is_some());
}

#[test]
fn an_image_encodes_and_decodes_as_what_it_was_made_from() {
    let bench = Bench::new();
    let tokenizer = tokenizer(&bench.model);
    let read = image::read(&image_bytes(&tokenizer).into(), image::Trust::Nothing).unwrap();
    assert_eq!(ids(&read), ids(&tokenizer));
    assert_eq!(read.special_tokens(), tokenizer.special_tokens());
    assert_eq!(read.eog_tokens(), tokenizer.eog_tokens());
    for id in 0..=tokenizer.vocab_size() {
        assert_eq!(read.token_bytes(id), tokenizer.token_bytes(id));
        assert_eq!(read.token_text(id), tokenizer.token_text(id));
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_of_an_image_is_an_error() {
    let bytes = image_bytes(&tokenizer(&Bench::new().model));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(image::read(&flipped.into(), image::Trust::Content).is_err(), "byte {at}");
        assert!(image::read(&bytes[..at].into(), image::Trust::Content).is_err(), "length {at}");
    }
    assert!(
        image::read(&[&bytes[..], b"\0"].concat().into(), image::Trust::Content).is_err(),
        "one byte more"
    );
}

/// What is written to a file after it was verified may give wrong ids, and nothing worse.
#[test]
fn no_flipped_byte_of_an_image_panics_even_unverified() {
    let bytes = image_bytes(&tokenizer(&Bench::new().model));
    let mut read = 0;
    for at in 0..bytes.len() {
        for flip in [1 << (at % 8), 0xFF] {
            let mut flipped = bytes.clone();
            flipped[at] ^= flip;
            let Ok(tokenizer) = image::read_verified(&flipped.into(), false) else { continue };
            read += 1;
            let ids = tokenizer.encode("<s>hello é lol</s>", Special::AddAndParse).unwrap_or_default();
            let _ = tokenizer.encode_with_offsets(TEXT, Special::Ignore);
            let _ = tokenizer.decode(&ids, SpecialText::Render);
            let _ = tokenizer.id("hello");
            for id in 0..300 {
                let _ = (tokenizer.token_bytes(id), tokenizer.token_text(id), tokenizer.is_special(id));
            }
        }
    }
    assert!(read > bytes.len() / 2, "most bytes are those of tables, and nothing looks at them: {read}");
}

#[test]
fn a_damaged_image_is_a_miss_and_is_removed() {
    let bench = Bench::new();
    bench.save(true, &[], &[]);
    let image = bench.only(IMAGES);
    let mut bytes = fs::read(&image).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&image, bytes).unwrap();
    let entry = bench.store.list().remove(0);
    assert_eq!(bench.found(), "nothing");
    assert!(!image.exists());
    assert!(matches!(bench.store.verify(&entry), Err(ImageError::Unreadable { .. })));
    bench.save(true, &[], &[]);
    assert_eq!(bench.found(), "path");
}

#[test]
fn an_image_under_another_name_is_a_miss() {
    let mut bench = Bench::new();
    bench.save(true, &[], &[]);
    let image = bench.only(IMAGES);
    bench.model = bench.models().join("other.gguf");
    rewrite_with(&bench.model, &model_bytes("<e>>"));
    fs::write(&image, image_bytes(&tokenizer(&bench.model))).unwrap();
    bench.model = bench.models().join("model.gguf");
    assert_eq!(bench.found(), "nothing");
}

#[test]
fn a_newer_version_s_image_is_a_miss_and_stays() {
    let bench = Bench::new();
    bench.save(true, &[], &[]);
    let image = bench.only(IMAGES);
    let mut bytes = fs::read(&image).unwrap();
    bytes[8..12].copy_from_slice(&(image::VERSION + 1).to_ne_bytes());
    fs::write(&image, &bytes).unwrap();
    assert_eq!(bench.found(), "nothing");
    assert_eq!(fs::read(&image).unwrap(), bytes);
    let error = image::read(&bytes.into(), image::Trust::Content).unwrap_err();
    let (own, newer) = (image::VERSION, image::VERSION + 1);
    assert_eq!(error.to_string(), format!("expected version {own} of the image format, found {newer}"));
}

#[test]
fn an_image_of_the_other_byte_order_is_an_error() {
    let mut bytes = image_bytes(&tokenizer(&Bench::new().model));
    bytes[12..16].reverse();
    assert_eq!(image::read(&bytes.into(), image::Trust::Content).unwrap_err(), ImageError::ByteOrder);
}

#[test]
fn a_damaged_record_is_a_miss_and_is_removed() {
    let bench = Bench::new();
    bench.save(false, &[], &[]);
    let record = bench.only(PATHS);
    let bytes = fs::read(&record).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        fs::write(&record, &flipped).unwrap();
        assert_eq!(bench.found(), "nothing", "byte {at}");
        assert!(!record.exists());
        fs::write(&record, &bytes[..at]).unwrap();
        assert_eq!(bench.found(), "nothing", "length {at}");
    }
    fs::write(&record, &bytes).unwrap();
    assert_eq!(bench.found(), "path");
}

#[test]
fn a_record_cannot_name_a_file_outside_the_store() {
    let bench = Bench::new();
    bench.save(true, &[], &[]);
    let mut record = read_record(&bench.only(PATHS)).unwrap();
    record.image.as_mut().unwrap().checksum = format!("../../../{}", "a".repeat(55));
    assert!(Record::from_bytes(&record.to_bytes().unwrap()).is_none());
}

#[test]
fn answers_are_removed_one_by_one_and_all_at_once() {
    let mut bench = Bench::new();
    bench.save(true, &[], &[]);
    bench.model = bench.models().join("other.gguf");
    rewrite_with(&bench.model, &model_bytes("<e>>"));
    bench.save(true, &[], &[]);
    let listed = bench.store.list();
    assert_eq!(listed.len(), 2);
    let other = listed.iter().find(|entry| entry.model.ends_with("other.gguf")).unwrap();
    bench.store.remove(other);
    assert_eq!(bench.found(), "nothing");
    assert_eq!(bench.store.list().len(), 1);
    bench.store.clear();
    assert!(bench.store.list().is_empty());
    for directory in [PATHS, CONTENTS, IMAGES] {
        assert!(files(&bench.store.root.as_ref().unwrap().join(directory)).is_empty());
    }
}

#[test]
fn the_least_recently_used_answers_go_first() {
    let mut bench = Bench::new();
    let mut sizes = Vec::new();
    for i in 0..4_u64 {
        bench.model = bench.models().join(format!("{i}.gguf"));
        rewrite_with(&bench.model, &model_bytes(&format!("<{i}>")));
        bench.save(true, &[], &[]);
        // The second model was used last, the others in their order.
        let hours = if i == 1 { 2 } else { 20 - i };
        let used = SystemTime::now() - Duration::from_secs(hours * 3600);
        for directory in [PATHS, CONTENTS] {
            for (path, metadata) in files(&bench.store.root.as_ref().unwrap().join(directory)) {
                if metadata.modified().unwrap() > SystemTime::now() - Duration::from_secs(600) {
                    File::options().write(true).open(path).unwrap().set_modified(used).unwrap();
                }
            }
        }
        sizes.push(bench.store.list()[0].bytes);
    }
    let left = |bench: &Bench| {
        let mut names: Vec<_> =
            bench.store.list().iter().map(|e| e.model.file_stem().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    bench.store.limit = sizes[0] * 3 + sizes[0] / 2;
    bench.store.housekeeping();
    assert_eq!(left(&bench), ["1", "2", "3"]);
    bench.store.limit = sizes[0] + sizes[0] / 2;
    bench.store.housekeeping();
    assert_eq!(left(&bench), ["1"]);
    assert_eq!(files(&bench.store.root.as_ref().unwrap().join(IMAGES)).len(), 1);
}

#[test]
fn using_an_answer_notes_the_time_at_most_once_an_hour() {
    let bench = Bench::new();
    bench.save(true, &[], &[]);
    let record = bench.only(PATHS);
    let set = |age: u64| {
        let time = SystemTime::now() - Duration::from_secs(age);
        File::options().write(true).open(&record).unwrap().set_modified(time).unwrap();
        assert_eq!(bench.found(), "path");
        SystemTime::now()
            .duration_since(fs::metadata(&record).unwrap().modified().unwrap())
            .unwrap()
            .as_secs()
    };
    assert!(set(1800) >= 1800);
    assert!(set(7200) < 600);
}

#[test]
fn a_directory_that_cannot_be_used_is_no_error() {
    let bench = Bench::new();
    let file = bench.directory.path().join("file");
    fs::write(&file, b"").unwrap();
    // Below a file nothing can be made, whatever the user's rights.
    for directory in [file.join("store"), PathBuf::from("/proc/anytok"), PathBuf::from("/dev/full/store")] {
        let store = Store::open(Some(directory), 1 << 30);
        let other = Bench { directory: tempfile::tempdir().unwrap(), store, model: bench.model.clone() };
        other.save(true, &[], &[]);
        assert_eq!(other.found(), "nothing");
        assert!(other.store.list().is_empty());
        other.store.clear();
    }
    Store::none().clear();
    assert!(Store::none().list().is_empty());
}

#[cfg(unix)]
#[test]
fn a_read_only_directory_still_answers() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.save(true, &[], &[]);
    let root = bench.store.root.clone().unwrap();
    let set = |mode| {
        for directory in [PATHS, CONTENTS, IMAGES] {
            fs::set_permissions(root.join(directory), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set(0o500);
    let found = bench.found();
    File::options().write(true).open(&bench.model).unwrap().set_modified(SystemTime::now()).unwrap();
    settle();
    let touched = bench.found();
    bench.save(true, &[], &[]);
    set(0o700);
    assert_eq!([found, touched], ["path", "content"]);
}

#[test]
fn a_write_that_fails_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let full = |file: &mut File| {
        file.write_all(b"half")?;
        Err(io::Error::from(ErrorKind::StorageFull))
    };
    let error = write_atomically(directory.path(), true, full).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(files(directory.path()).is_empty());
}

/// Runs [`in_another_process`] with this work to do.
fn spawn(bench: &Bench, work: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::in_another_process", "--nocapture"])
        .env("ANYTOK_STORE_TEST", work)
        .env("ANYTOK_STORE_TEST_DIRECTORY", bench.directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// What other processes do in the tests below; nothing on its own.
#[test]
fn in_another_process() {
    let Ok(work) = std::env::var("ANYTOK_STORE_TEST") else { return };
    let directory = PathBuf::from(std::env::var_os("ANYTOK_STORE_TEST_DIRECTORY").unwrap());
    let store = Store::open(Some(directory.join("store")), 1 << 30);
    let model = directory.join("models/model.gguf");
    // The directory is the parent's, to be removed by it alone.
    let bench = Bench { directory: tempfile::tempdir().unwrap(), store, model };
    match &*work {
        "save" => {
            for _ in 0..20 {
                bench.save(true, &[], &[]);
                assert_ne!(bench.found(), "nothing");
            }
        }
        "hang" => {
            let images = directory.join("store").join(LAYOUT).join(IMAGES);
            let hang = |file: &mut File| {
                file.write_all(b"half an image")?;
                std::thread::sleep(Duration::from_secs(600));
                unreachable!("killed by now")
            };
            let _ = write_atomically(&images, true, hang);
        }
        _ => panic!("no such work: {work}"),
    }
}

#[test]
fn processes_store_at_once() {
    let bench = Bench::new();
    let children: Vec<Child> = (0..3).map(|_| spawn(&bench, "save")).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(bench.found(), "path");
    assert_eq!(bench.store.list().len(), 1);
    let root = bench.store.root.clone().unwrap();
    let images = files(&root.join(IMAGES));
    assert!(images.iter().all(|(path, _)| !is_temporary(path)), "{images:?}");
    // Images that lost the race go with the first housekeeping an hour later.
    for (path, _) in &images {
        let hours_ago = SystemTime::now() - 2 * GRACE;
        File::options().write(true).open(path).unwrap().set_modified(hours_ago).unwrap();
    }
    bench.store.housekeeping();
    // The record by path and the one by content may be of different processes, and so their images.
    let named: BTreeSet<String> = [PATHS, CONTENTS]
        .into_iter()
        .flat_map(|directory| bench.store.entries(directory))
        .filter_map(|entry| entry.image)
        .collect();
    let left: BTreeSet<String> = files(&root.join(IMAGES))
        .iter()
        .map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(left, named);
    assert_eq!(bench.found(), "path");
}

#[test]
fn a_killed_writer_leaves_a_file_that_is_no_answer_and_goes_in_time() {
    let bench = Bench::new();
    bench.save(true, &[], &[]);
    let images = bench.store.root.as_ref().unwrap().join(IMAGES);
    let left = || files(&images).into_iter().map(|(path, _)| path).find(|path| is_temporary(path));
    let mut child = spawn(&bench, "hang");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while left().is_none_or(|path| fs::metadata(path).unwrap().len() == 0) {
        assert!(std::time::Instant::now() < deadline, "the other process has not begun to write");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let temporary = left().expect("nobody was left to remove it");
    assert_eq!(bench.found(), "path");
    bench.store.housekeeping();
    assert!(temporary.exists(), "its writer could still be at work");
    File::options()
        .write(true)
        .open(&temporary)
        .unwrap()
        .set_modified(SystemTime::now() - 2 * GRACE)
        .unwrap();
    bench.store.housekeeping();
    assert!(!temporary.exists());
    assert_eq!(bench.found(), "path");
}
