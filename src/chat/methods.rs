//! Methods of Python's `str`, `dict` and `list` that templates call.

use std::ops::Range;

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::marks::Marks;
use super::python::{is_space, push_str};

/// Calls `method` of `value`.
pub(super) fn call(
    marks: &Marks,
    state: &State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            state.consume_fuel(text.len() as u64 / 64)?;
            of_str(marks, state, text, method, args)
        }
        ValueKind::Map => of_dict(value, method, args),
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => of_list(value, method, args),
        _ => Err(ErrorKind::UnknownMethod.into()),
    }
}

/// The methods of a `dict` that a template may get at; those that change it are refused by jinja2's sandbox.
pub(super) const DICT: &[&str] = &["copy", "fromkeys", "get", "items", "keys", "values"];

/// What was passed for each of `names`, by position or by name.
pub(super) fn arguments<const N: usize>(
    args: &[Value],
    names: [&'static str; N],
) -> Result<[Option<Value>; N], Error> {
    let (positional, keywords): (&[Value], Kwargs) = from_args(args)?;
    if positional.len() > N {
        return Err(ErrorKind::TooManyArguments.into());
    }
    let mut found = [const { None }; N];
    for (i, name) in names.into_iter().enumerate() {
        found[i] = match positional.get(i) {
            Some(value) => Some(value.clone()),
            None if keywords.has(name) => Some(keywords.get(name)?),
            None => None,
        };
    }
    keywords.assert_all_used()?;
    Ok(found)
}

fn required(value: Option<Value>, name: &str) -> Result<Value, Error> {
    value.ok_or_else(|| Error::new(ErrorKind::MissingArgument, format!("expected the argument `{name}`")))
}

fn text<'v>(value: &'v Value, what: &str) -> Result<&'v str, Error> {
    value.as_str().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("expected {what} to be a string, found {}", value.kind()),
        )
    })
}

/// An optional number, where Python takes -1 for "all".
fn limit(value: Option<Value>) -> Result<usize, Error> {
    let Some(value) = value else { return Ok(usize::MAX) };
    let number = value.as_i64().ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("expected an integer, found {}", value.kind()))
    })?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

/// The optional characters of `strip`.
fn strip_set(value: Option<Value>) -> Result<Option<String>, Error> {
    value
        .filter(|value| !value.is_none())
        .map(|value| Ok(text(&value, "the characters")?.to_owned()))
        .transpose()
}

fn of_str(marks: &Marks, state: &State, this: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let all = |test: fn(char) -> bool| !this.is_empty() && this.chars().all(|c| test(marks.base(c)));
    let any = |test: fn(char) -> bool| this.chars().any(|c| test(marks.base(c)));
    let nothing = || from_args::<()>(args);
    Ok(match method {
        "upper" => {
            nothing()?;
            this.to_uppercase().into()
        }
        "lower" | "casefold" => {
            nothing()?;
            this.to_lowercase().into()
        }
        "capitalize" => {
            nothing()?;
            capitalize(this).into()
        }
        "title" => {
            nothing()?;
            title(this).into()
        }
        "swapcase" => {
            nothing()?;
            let swap = |c: char| -> String {
                if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
            };
            this.chars().map(swap).collect::<String>().into()
        }
        "islower" => {
            nothing()?;
            (any(char::is_lowercase) && !any(char::is_uppercase)).into()
        }
        "isupper" => {
            nothing()?;
            (any(char::is_uppercase) && !any(char::is_lowercase)).into()
        }
        "isspace" => {
            nothing()?;
            all(is_space).into()
        }
        "isdigit" | "isdecimal" | "isnumeric" => {
            nothing()?;
            all(char::is_numeric).into()
        }
        "isalpha" => {
            nothing()?;
            all(char::is_alphabetic).into()
        }
        "isalnum" => {
            nothing()?;
            all(char::is_alphanumeric).into()
        }
        "isascii" => {
            nothing()?;
            (!any(|c| !c.is_ascii())).into()
        }
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = arguments(args, ["chars"])?;
            strip(marks, this, strip_set(chars)?.as_deref(), method != "rstrip", method != "lstrip").into()
        }
        "split" | "rsplit" => {
            let [separator, most] = arguments(args, ["sep", "maxsplit"])?;
            let most = limit(most)?;
            let parts = match separator.filter(|separator| !separator.is_none()) {
                None => split_spaces(this, most, method == "rsplit"),
                Some(separator) => {
                    let separator = text(&separator, "the separator")?;
                    if separator.is_empty() {
                        return Err(Error::new(
                            ErrorKind::InvalidOperation,
                            "expected a separator, found an empty one",
                        ));
                    }
                    split(marks, this, separator, most, method == "rsplit")
                }
            };
            parts.into_iter().map(Value::from).collect()
        }
        "partition" | "rpartition" => {
            let [separator] = arguments(args, ["sep"])?;
            let separator = required(separator, "sep")?;
            let found = marks.matches(this, text(&separator, "the separator")?);
            let from_right = method == "rpartition";
            let parts = match if from_right { found.last() } else { found.first() } {
                Some(at) => [&this[..at.start], &this[at.clone()], &this[at.end..]],
                None if from_right => ["", "", this],
                None => [this, "", ""],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "splitlines" => {
            let [keep] = arguments(args, ["keepends"])?;
            lines(this, keep.is_some_and(|keep| keep.is_true())).into_iter().map(Value::from).collect()
        }
        "replace" => {
            let [old, new, count] = arguments(args, ["old", "new", "count"])?;
            let (old, new) = (required(old, "old")?, required(new, "new")?);
            let (old, new) = (text(&old, "the old text")?, text(&new, "the new text")?);
            replace(marks, state, this, old, new, limit(count)?)?.into()
        }
        "removeprefix" | "removesuffix" => {
            let [part] = arguments(args, ["part"])?;
            let part = required(part, "part")?;
            let part = text(&part, "the part")?;
            let front = method == "removeprefix";
            match at_edge(marks, this, part, front) {
                Some(range) => (if front { &this[range.end..] } else { &this[..range.start] }).into(),
                None => this.into(),
            }
        }
        "startswith" | "endswith" => {
            let [part, start, end] = arguments(args, ["prefix", "start", "end"])?;
            let this = slice(this, start.as_ref(), end.as_ref());
            let part = required(part, "prefix")?;
            let front = method == "startswith";
            let one = |part: &Value| {
                Ok::<_, Error>(at_edge(marks, this, text(part, "each part")?, front).is_some())
            };
            let found = if part.is_tuple() {
                let mut found = false;
                for part in part.try_iter()? {
                    found |= one(&part)?;
                }
                found
            } else {
                one(&part)?
            };
            found.into()
        }
        "count" => {
            let [part, start, end] = arguments(args, ["sub", "start", "end"])?;
            let part = required(part, "sub")?;
            marks.matches(slice(this, start.as_ref(), end.as_ref()), text(&part, "the part")?).len().into()
        }
        "find" | "rfind" | "index" | "rindex" => {
            let [part, start, end] = arguments(args, ["sub", "start", "end"])?;
            let part = required(part, "sub")?;
            let window = slice(this, start.as_ref(), end.as_ref());
            let found = marks.matches(window, text(&part, "the part")?);
            let found = if method.starts_with('r') { found.last() } else { found.first() };
            match found {
                Some(at) => {
                    let before = window.as_ptr() as usize - this.as_ptr() as usize;
                    this[..before + at.start].chars().count().into()
                }
                None if method.ends_with("index") => {
                    return Err(Error::new(
                        ErrorKind::InvalidOperation,
                        "expected the part in the string, found none",
                    ));
                }
                None => (-1).into(),
            }
        }
        "join" => {
            let (parts,): (&Value,) = from_args(args)?;
            let mut joined = String::new();
            for (i, part) in parts.try_iter()?.enumerate() {
                // The separator is repeated for every item.
                state.consume_fuel(1 + this.len() as u64 / 64)?;
                joined.push_str(if i > 0 { this } else { "" });
                joined.push_str(text(&part, "each item")?);
            }
            joined.into()
        }
        "ljust" | "rjust" | "center" | "zfill" => {
            let [width, fill] = arguments(args, ["width", "fillchar"])?;
            pad(state, this, method, limit(width)?, fill.as_ref())?.into()
        }
        "expandtabs" => {
            let [size] = arguments(args, ["tabsize"])?;
            let size = size.map_or(Ok(8), |size| limit(Some(size)))?;
            expand_tabs(state, this, size)?.into()
        }
        "format" => format(FormatStyle::StrFormat, this, args)?.into(),
        _ => return Err(ErrorKind::UnknownMethod.into()),
    })
}

/// `str.capitalize`.
pub(super) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect()
    })
}

/// `str.title`: upper case for a letter that follows no letter.
fn title(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len()), false);
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

/// `str.strip` from the left, the right or both; white space without `chars`.
pub(super) fn strip<'t>(
    marks: &Marks,
    text: &'t str,
    chars: Option<&str>,
    left: bool,
    right: bool,
) -> &'t str {
    let strips = |c: char| match chars {
        None => is_space(c),
        Some(chars) => chars.chars().any(|other| marks.base(other) == marks.base(c)),
    };
    let text = if left { text.trim_start_matches(strips) } else { text };
    if right { text.trim_end_matches(strips) } else { text }
}

/// `str.replace` of the first `most` places.
pub(super) fn replace(
    marks: &Marks,
    state: &State,
    text: &str,
    old: &str,
    new: &str,
    most: usize,
) -> Result<String, Error> {
    let found = marks.matches(text, old);
    let found = &found[..found.len().min(most)];
    state.consume_fuel((found.len() as u64).saturating_mul(1 + new.len() as u64 / 64))?;
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for range in found {
        out.push_str(&text[at..range.start]);
        out.push_str(new);
        at = range.end;
    }
    out.push_str(&text[at..]);
    Ok(out)
}

/// `part` at the beginning or the end of `text`.
fn at_edge(marks: &Marks, text: &str, part: &str, front: bool) -> Option<Range<usize>> {
    let count = part.chars().count();
    let range = if front {
        0..text.char_indices().nth(count).map_or(text.len(), |(at, _)| at)
    } else {
        let before = text.chars().count().checked_sub(count)?;
        text.char_indices().nth(before).map_or(text.len(), |(at, _)| at)..text.len()
    };
    (marks.unmarked(&text[range.clone()]) == marks.unmarked(part)).then_some(range)
}

fn split<'t>(marks: &Marks, text: &'t str, separator: &str, most: usize, from_right: bool) -> Vec<&'t str> {
    let mut found = marks.matches(text, separator);
    if from_right && most < found.len() {
        found.drain(..found.len() - most);
    }
    found.truncate(most);
    let mut parts = Vec::with_capacity(found.len() + 1);
    let mut at = 0;
    for range in found {
        parts.push(&text[at..range.start]);
        at = range.end;
    }
    parts.push(&text[at..]);
    parts
}

fn split_spaces(text: &str, most: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest =
        if from_right { text.trim_end_matches(is_space) } else { text.trim_start_matches(is_space) };
    while !rest.is_empty() {
        if parts.len() == most {
            // What is left keeps the white space at its other end.
            parts.push(rest);
            break;
        }
        if from_right {
            let start =
                rest.rfind(is_space).map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
            parts.push(&rest[start..]);
            rest = rest[..start].trim_end_matches(is_space);
        } else {
            let end = rest.find(is_space).unwrap_or(rest.len());
            parts.push(&rest[..end]);
            rest = rest[end..].trim_start_matches(is_space);
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// `str.splitlines`, by all that Python takes for the end of a line.
fn lines(text: &str, keep: bool) -> Vec<&str> {
    const ENDS: &[char] =
        &['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let end = rest.find(ENDS).unwrap_or(rest.len());
        let width = match rest[end..].chars().next() {
            Some('\r') if rest[end..].starts_with("\r\n") => 2,
            Some(c) => c.len_utf8(),
            None => 0,
        };
        parts.push(&rest[..if keep { end + width } else { end }]);
        rest = &rest[end + width..];
    }
    parts
}

/// `text[start:end]` in characters, as Python slices.
fn slice<'t>(text: &'t str, start: Option<&Value>, end: Option<&Value>) -> &'t str {
    let place = |value: Option<&Value>, default: usize| {
        let Some(at) = value.and_then(Value::as_i64) else { return default };
        let count = if at < 0 {
            text.chars().count().saturating_sub(usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX))
        } else {
            usize::try_from(at).unwrap_or(usize::MAX)
        };
        text.char_indices().nth(count).map_or(text.len(), |(at, _)| at)
    };
    let (start, end) = (place(start, 0), place(end, text.len()));
    &text[start..end.max(start)]
}

pub(super) fn pad(
    state: &State,
    this: &str,
    method: &str,
    width: usize,
    fill: Option<&Value>,
) -> Result<String, Error> {
    let fill = match fill {
        Some(fill) => text(fill, "the fill character")?.chars().next().unwrap_or(' '),
        None if method == "zfill" => '0',
        None => ' ',
    };
    let length = this.chars().count();
    let missing = if width == usize::MAX { 0 } else { width.saturating_sub(length) };
    state.consume_fuel(missing as u64 / 16)?;
    let left = match method {
        "ljust" => 0,
        // CPython puts the odd one left of an odd width.
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let run = |count: usize| std::iter::repeat_n(fill, count);
    let (sign, digits) = match this.strip_prefix(['+', '-']) {
        Some(digits) if method == "zfill" => (&this[..1], digits),
        _ => ("", this),
    };
    Ok(sign.chars().chain(run(left)).chain(digits.chars()).chain(run(missing - left)).collect())
}

/// jinja2's `indent`: every line but the first, and but empty ones.
pub(super) fn indent(
    state: &State,
    text: &str,
    width: Option<&Value>,
    first: bool,
    blank: bool,
) -> Result<String, Error> {
    let indention = match width {
        Some(width) if width.kind() == ValueKind::String => width.to_string(),
        Some(width) => {
            " ".repeat(usize::try_from(i64::try_from(width.clone())?.clamp(0, 1024)).unwrap_or_default())
        }
        None => "    ".to_owned(),
    };
    // jinja2 appends a newline, so that an end of a line at the end of the text stays.
    let text = format!("{text}\n");
    let mut out = String::with_capacity(text.len());
    for (i, line) in lines(&text, false).into_iter().enumerate() {
        state.consume_fuel(1 + indention.len() as u64 / 64)?;
        out.push_str(if i > 0 { "\n" } else { "" });
        if if i == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&indention);
        }
        out.push_str(line);
    }
    Ok(out)
}

/// jinja2's `truncate`, in characters.
pub(super) fn truncate(text: &str, length: usize, kill: bool, end: &str, leeway: usize) -> String {
    if text.chars().count() <= length.saturating_add(leeway) {
        return text.to_owned();
    }
    let kept = length.saturating_sub(end.chars().count());
    let cut: String = text.chars().take(kept).collect();
    let cut = if kill { &*cut } else { cut.rsplit_once(' ').map_or(&*cut, |(before, _)| before) };
    format!("{cut}{end}")
}

fn expand_tabs(state: &State, this: &str, size: usize) -> Result<String, Error> {
    let (mut out, mut column) = (String::with_capacity(this.len()), 0);
    for c in this.chars() {
        match c {
            '\t' if size > 0 && size < usize::MAX => {
                let width = size - column % size;
                state.consume_fuel(1 + width as u64 / 64)?;
                out.extend(std::iter::repeat_n(' ', width));
                column += width;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(out)
}

fn of_dict(this: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let pairs = || -> Result<Vec<(Value, Value)>, Error> {
        this.try_iter()?.map(|key| Ok((key.clone(), this.get_item(&key)?))).collect()
    };
    Ok(match method {
        "get" => {
            let [key, default] = arguments(args, ["key", "default"])?;
            let found = this.get_item(&required(key, "key")?)?;
            if found.is_undefined() { default.unwrap_or_else(|| ().into()) } else { found }
        }
        "keys" => {
            from_args::<()>(args)?;
            this.try_iter()?.collect()
        }
        "values" => {
            from_args::<()>(args)?;
            pairs()?.into_iter().map(|(_, value)| value).collect()
        }
        "items" => {
            from_args::<()>(args)?;
            pairs()?.into_iter().map(|(key, value)| Value::from(Tuple::from([key, value]))).collect()
        }
        "copy" => {
            from_args::<()>(args)?;
            this.clone()
        }
        _ => return Err(ErrorKind::UnknownMethod.into()),
    })
}

fn of_list(this: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    Ok(match method {
        "count" => {
            let (what,): (&Value,) = from_args(args)?;
            this.try_iter()?.filter(|item| item == what).count().into()
        }
        "index" => {
            let (what,): (&Value,) = from_args(args)?;
            let mut items = this.try_iter()?;
            items.position(|item| item == *what).map(Value::from).ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, "expected the item in the list, found none")
            })?
        }
        "copy" => {
            from_args::<()>(args)?;
            this.clone()
        }
        _ => return Err(ErrorKind::UnknownMethod.into()),
    })
}

/// What jinja2's `join` does: every item as `str` spells it.
pub(super) fn join(marks: &Marks, state: &State, items: &Value, between: &str) -> Result<String, Error> {
    let mut out = String::new();
    for (i, item) in items.try_iter()?.enumerate() {
        state.consume_fuel(1 + between.len() as u64 / 64)?;
        out.push_str(if i > 0 { between } else { "" });
        push_str(&mut out, &item, marks);
    }
    Ok(out)
}
