//! The house that the imports draw: which file needs which, without a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by their paths (`store::image`), each with its text; tests left out.
type Modules = BTreeMap<String, String>;

#[test]
fn imports_have_no_circle() {
    let modules = modules();
    assert!(modules.len() > 100 && modules.contains_key("store::image"), "{} modules", modules.len());
    let needs: BTreeMap<&str, BTreeSet<String>> =
        modules.iter().map(|(name, text)| (name.as_str(), needs(&modules, name, text))).collect();
    assert!(needs["store::image"].contains("tokenizer"), "{:?}", needs["store::image"]);

    // Whatever needs nothing that is left, or is needed by nothing that is left, stands in no circle.
    let mut left = needs;
    loop {
        let names: BTreeSet<String> = left.keys().map(ToString::to_string).collect();
        for needs in left.values_mut() {
            needs.retain(|need| names.contains(need));
        }
        let needed: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|name, needs| !needs.is_empty() && needed.contains(*name));
        if left.len() == names.len() {
            break;
        }
    }
    assert!(left.is_empty(), "files that need each other: {left:#?}");
}

/// All files of the library but `lib.rs`, which needs everything, and what is compiled for tests alone.
fn modules() -> Modules {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut directories = vec![root.clone()];
    let (mut modules, mut tests) = (Modules::new(), Vec::new());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.extend((path != root.join("bin")).then_some(path));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let name = name_of(path.strip_prefix(&root).unwrap());
            for declared in text.split("#[cfg(test)]\n").skip(1) {
                let line = declared.lines().next().unwrap().trim_start_matches("pub(crate) ");
                if let Some(test) = line.strip_prefix("mod ").and_then(|line| line.strip_suffix(';')) {
                    tests.push(if name == "lib" { test.to_owned() } else { format!("{name}::{test}") });
                }
            }
            modules.insert(name, code(&text));
        }
    }
    modules.remove("lib");
    let is_test = |name: &str| {
        tests.iter().any(|test| {
            name.strip_prefix(test.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
    };
    modules.retain(|name, _| !is_test(name));
    modules
}

fn name_of(path: &Path) -> String {
    let path = if path.ends_with("mod.rs") {
        path.parent().unwrap().to_owned()
    } else {
        PathBuf::from(path).with_extension("")
    };
    path.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("::")
}

/// Without comments and what is behind the first module of tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The other modules that a module names: in `use`, or by a path.
fn needs(modules: &Modules, name: &str, text: &str) -> BTreeSet<String> {
    let mut needs = BTreeSet::new();
    for (at, _) in text.match_indices("crate::").chain(text.match_indices("super::")) {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        for path in paths(&text[at..]) {
            let path = absolute(name, &path);
            needs.extend(defines(modules, &path, 0).filter(|found| found != name));
        }
    }
    needs
}

/// The paths of a `use` tree, or the one path, that `text` begins with.
fn paths(text: &str) -> Vec<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    let stem = &text[..end];
    let Some(rest) = text[end..].strip_prefix('{').filter(|_| stem.ends_with("::")) else {
        return vec![stem.trim_end_matches(':').to_owned()];
    };
    let (mut depth, mut begin, mut found) = (0, 0, Vec::new());
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let item = rest[begin..at].trim();
                if !item.is_empty() {
                    found.extend(paths(item).into_iter().map(|path| format!("{stem}{path}")));
                }
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// `super` and `crate` resolved: the path from the root of the crate.
fn absolute(module: &str, path: &str) -> String {
    let mut parts: Vec<&str> = module.split("::").collect();
    let mut rest = path.split("::").peekable();
    if rest.next_if_eq(&"crate").is_some() {
        parts.clear();
    }
    while rest.next_if_eq(&"super").is_some() {
        parts.pop();
    }
    let rest = rest.filter(|part| *part != "self");
    parts.into_iter().chain(rest).collect::<Vec<_>>().join("::")
}

/// The module that defines what is at `path`, through re-exports; `None` for the root.
fn defines(modules: &Modules, path: &str, depth: usize) -> Option<String> {
    let mut module = path;
    while !modules.contains_key(module) {
        module = module.rsplit_once("::")?.0;
    }
    let item = path[module.len()..].trim_start_matches("::").split("::").next().unwrap_or_default();
    let text = &modules[module];
    if item.is_empty() || depth > 8 {
        return Some(module.to_owned());
    }
    for (at, _) in text.match_indices("use ") {
        let is_public = text[..at].trim_end().ends_with("pub") || text[..at].trim_end().ends_with(')');
        if !is_public {
            continue;
        }
        for exported in paths(&text[at + 4..]) {
            if exported.rsplit("::").next() == Some(item) {
                let local = !exported.starts_with("crate::") && !exported.starts_with("super::");
                let full = if local { format!("{module}::{exported}") } else { absolute(module, &exported) };
                return defines(modules, &full, depth + 1);
            }
        }
    }
    Some(module.to_owned())
}
