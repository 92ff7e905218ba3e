//! The process environment: the only module that reads it, through a lookup that tests replace. `environment.md` is the list of
//! what is read, for users and for us.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// A source of environment variables: the process's own, or a table.
#[derive(Clone)]
pub(crate) struct Environment {
    lookup: Arc<Lookup>,
    /// The home directory when no variable names one. Tests have none, so they cannot touch the real one.
    home: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process, read anew at every call.
    pub(crate) fn process() -> Self {
        let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
        Self { lookup: Arc::new(|name| std::env::var_os(name)), home }
    }

    /// Exactly these variables.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let table: std::collections::HashMap<String, OsString> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
        Self { lookup: Arc::new(move |name| table.get(name).cloned()), home: None }
    }

    /// The first of `names` that is set and not empty.
    pub(crate) fn first(&self, names: &[&str]) -> Option<OsString> {
        names.iter().find_map(|name| (self.lookup)(name).filter(|value| !value.is_empty()))
    }

    /// As [`first`](Self::first), trimmed. A value that is not Unicode counts as unset.
    pub(crate) fn text(&self, names: &[&str]) -> Option<String> {
        let text = self.first(names)?.into_string().ok()?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// As [`first`](Self::first), read as a flag. Unset is off.
    pub(crate) fn flag(&self, names: &[&str]) -> bool {
        self.text(names)
            .is_some_and(|text| ["1", "ON", "YES", "TRUE"].iter().any(|on| text.eq_ignore_ascii_case(on)))
    }

    /// As [`first`](Self::first), read as a positive whole number of seconds. Zero and nonsense count as unset, as they do
    /// for `huggingface_hub`.
    pub(crate) fn seconds(&self, names: &[&str]) -> Option<Duration> {
        let seconds: u64 = self.text(names)?.parse().ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// As [`first`](Self::first), with `~`, `$NAME` and `${NAME}` expanded.
    pub(crate) fn path(&self, names: &[&str]) -> Option<PathBuf> {
        let value = self.first(names)?;
        // A path that is not Unicode is taken as it is: there is nothing in it that a person typed to be expanded.
        Some(value.to_str().map_or_else(|| PathBuf::from(&value), |text| self.expand(text)))
    }

    /// The user's home directory.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        self.first(&[name]).map(PathBuf::from).or_else(|| self.home.clone())
    }

    /// Hugging Face's root directory. `None` without a home directory.
    pub(crate) fn hugging_face_home(&self) -> Option<PathBuf> {
        self.path(&["HF_HOME"]).or_else(|| {
            let caches = self.path(&["XDG_CACHE_HOME"]).or_else(|| Some(self.home()?.join(".cache")));
            Some(caches?.join("huggingface"))
        })
    }

    /// The shared cache of Hub repositories. `None` without a home directory.
    pub(crate) fn hub_cache(&self) -> Option<PathBuf> {
        self.path(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
            .or_else(|| Some(self.hugging_face_home()?.join("hub")))
    }

    fn expand(&self, text: &str) -> PathBuf {
        let text = self.expand_variables(text);
        let path = Path::new(&text);
        match (path.strip_prefix("~"), self.home()) {
            // Joining nothing would leave a slash at the end.
            (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home,
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.to_owned(),
        }
    }

    /// Replaces `$NAME` and `${NAME}`; a name that is not set stays as it was written, as in Python's `expandvars`.
    fn expand_variables(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let after = &from[1..];
            let braced = after.strip_prefix('{').and_then(|braced| braced.split_once('}'));
            let (name, consumed) = if let Some((name, _)) = braced {
                (name, name.len() + 3)
            } else {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let name = &after[..end.unwrap_or(after.len())];
                (name, name.len() + 1)
            };
            match (self.lookup)(name).and_then(|value| value.into_string().ok()) {
                Some(value) if !name.is_empty() => out.push_str(&value),
                _ => out.push_str(&from[..consumed]),
            }
            rest = &from[consumed..];
        }
        out + rest
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values stay out of logs: one of them is a token.
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_unset() {
        let env = Environment::of(&[("HF_HUB_OFFLINE", ""), ("TRANSFORMERS_OFFLINE", "1"), ("HF_HOME", "")]);
        assert!(env.flag(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]));
        assert_eq!(env.hugging_face_home(), None);
    }

    #[test]
    fn the_first_flag_that_is_set_decides() {
        let env = Environment::of(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]);
        assert!(!env.flag(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]));
        for on in ["1", "on", "Yes", "TRUE"] {
            assert!(Environment::of(&[("X", on)]).flag(&["X"]), "{on}");
        }
        for off in ["0", "off", "2", "y"] {
            assert!(!Environment::of(&[("X", off)]).flag(&["X"]), "{off}");
        }
    }

    #[test]
    fn seconds_are_positive_and_whole() {
        let seconds = |text| Environment::of(&[("X", text)]).seconds(&["X"]);
        assert_eq!(seconds("7"), Some(Duration::from_secs(7)));
        for text in ["0", "-1", "1.5", "soon"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn the_cache_directory_follows_its_variables_in_order() {
        let hub_cache = |variables: &[_]| Environment::of(variables).hub_cache();
        let home = ("HOME", "/home/u");
        assert_eq!(hub_cache(&[home]), Some("/home/u/.cache/huggingface/hub".into()));
        assert_eq!(hub_cache(&[home, ("XDG_CACHE_HOME", "/x")]), Some("/x/huggingface/hub".into()));
        assert_eq!(hub_cache(&[home, ("HF_HOME", "~/hf")]), Some("/home/u/hf/hub".into()));
        assert_eq!(hub_cache(&[home, ("HF_HOME", "/a"), ("HUGGINGFACE_HUB_CACHE", "/b")]), Some("/b".into()));
        assert_eq!(hub_cache(&[("HUGGINGFACE_HUB_CACHE", "/b"), ("HF_HUB_CACHE", "/c")]), Some("/c".into()));
        assert_eq!(hub_cache(&[]), None);
    }

    #[test]
    #[cfg(unix)]
    fn paths_expand_the_home_and_variables() {
        let path = |text| {
            Environment::of(&[("HOME", "/h"), ("D", "d"), ("P", text)])
                .path(&["P"])
                .unwrap()
                .display()
                .to_string()
        };
        assert_eq!(path("~/x"), "/h/x");
        assert_eq!(path("~"), "/h");
        assert_eq!(path("~other/x"), "~other/x");
        assert_eq!(path("/a/$D/${D}e/$UNSET/${UNSET}/$"), "/a/d/de/$UNSET/${UNSET}/$");
        assert_eq!(path("/a/$D$D"), "/a/dd");
    }

    #[test]
    fn the_table_lists_what_is_read() {
        let read = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
        let log = Arc::clone(&read);
        let lookup = move |name: &str| {
            log.lock().unwrap().insert(name.to_uppercase());
            None
        };
        let environment = Environment { lookup: Arc::new(lookup), home: None };
        let _ = crate::options::ResolverBuilder::from_environment(&environment);
        let table = include_str!("environment.md");
        let listed =
            table.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(1));
        let listed: std::collections::BTreeSet<String> = listed
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .filter(|name| *name != if cfg!(windows) { "HOME" } else { "USERPROFILE" })
            .map(str::to_owned)
            .collect();
        assert_eq!(*read.lock().unwrap(), listed);
    }
}
