//! The template engine, set up as transformers 5.24 sets up jinja2 (`_cached_compile_jinja_template` in its `utils/chat_template_utils.py`).

use std::borrow::Cow;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, ValueIter, ValueKind, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value, filters};

use super::clock::Clock;
use super::error::Refusal;
use super::input::{DictType, Generator};
use super::marks::Marks;
use super::methods::{self, arguments};
use super::python::{Float, Json, as_float, to_str};
use super::source;

/// Where the engine has a name that jinja2 lacks, a template that uses it must fail here as it does there.
const NOT_IN_JINJA2: (&[&str], &[&str], &[&str]) =
    (&["bool", "chain", "lines", "split", "zip"], &["endingwith", "safe", "startingwith"], &["debug"]);

/// An engine for one rendering.
pub(super) fn environment(marks: &Arc<Marks>, clock: Clock, fuel: u64) -> Environment<'static> {
    let mut engine = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    if let Ok(syntax) = syntax.build() {
        engine.set_syntax(syntax);
    }
    engine.set_fuel(Some(fuel));
    // Errors name their place.
    engine.set_debug(true);
    let (filters, tests, globals) = NOT_IN_JINJA2;
    for name in filters {
        engine.remove_filter(name);
    }
    for name in tests {
        engine.remove_test(name);
    }
    for name in globals {
        engine.remove_global(name);
    }

    let own = Arc::clone(marks);
    engine.set_formatter(move |out, state, value| {
        if let Some(text) = value.as_str() {
            // Only where something is added to safe text does the engine escape; see `source::SAFE`.
            let escapes = !matches!(state.auto_escape(), AutoEscape::None) && !value.is_safe();
            out.write_str(&if escapes { escape(text, &own).into() } else { Cow::Borrowed(text) })?;
            return Ok(());
        }
        let text = to_str(value, &own);
        state.consume_fuel(text.len() as u64 / 16)?;
        out.write_str(&text)?;
        Ok(())
    });
    let own = Arc::clone(marks);
    engine.set_unknown_method_callback(move |state, value, method, args| {
        methods::call(&own, state, value, method, args)
    });

    add_functions(&mut engine, marks, clock);
    add_tests(&mut engine, marks);
    add_filters(&mut engine, marks);
    engine
}

fn add_functions(engine: &mut Environment<'static>, marks: &Arc<Marks>, clock: Clock) {
    engine.add_global("dict", Value::from_object(DictType(Arc::clone(marks))));
    let own = Arc::clone(marks);
    engine.add_function("raise_exception", move |message: &Value| -> Result<Value, Error> {
        let message = own.unmarked(&to_str(message, &own)).into_owned();
        Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(Refusal(message)))
    });
    engine.add_function("strftime_now", move |format: &str| {
        clock.format(format).map_err(|error| {
            Error::new(ErrorKind::InvalidOperation, "strftime_now cannot write this format")
                .with_source(error)
        })
    });
    engine.add_function(source::ITER, |values: Rest<Value>| match &values[..] {
        [value] if value.is_none() => Err(not_iterable()),
        [value] => Ok(value.clone()),
        values => Ok(values.to_vec().into()),
    });
    let own = Arc::clone(marks);
    engine.add_function(source::SAFE, move |value: &Value| Value::from_safe_string(to_str(value, &own)));
}

fn not_iterable() -> Error {
    Error::new(ErrorKind::UndefinedError, "expected something to go through, found none")
}

fn add_tests(engine: &mut Environment<'static>, marks: &Arc<Marks>) {
    // Whatever has a length and takes an index: strings, mappings and what is undefined too.
    engine.add_test("sequence", |value: &Value| match value.kind() {
        ValueKind::Iterable => value.len().is_some(),
        kind => matches!(kind, ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map),
    });
    engine.add_test("iterable", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String, Undefined};
        matches!(value.kind(), Undefined | String | Seq | Map | Iterable)
    });
    engine.add_test("float", |value: &Value| as_float(value).is_some());
    engine.add_test("number", |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool) || as_float(value).is_some()
    });
    engine.add_test("callable", |value: &Value| {
        value.kind() == ValueKind::Plain && value.downcast_object_ref::<Float>().is_none()
    });
    let own = Arc::clone(marks);
    engine.add_test(source::IN, move |state: &State, part: &Value, whole: &Value| -> Result<bool, Error> {
        if let (Some(text), Some(part)) = (whole.as_str(), part.as_str()) {
            state.consume_fuel(text.len() as u64 / 64)?;
            return Ok(!own.matches(text, part).is_empty());
        }
        let equal = |item: Value| match (item.as_str(), part.as_str()) {
            (Some(item), Some(part)) => own.unmarked(item) == own.unmarked(part),
            _ => item == *part,
        };
        match whole.kind() {
            ValueKind::Undefined => Ok(false),
            ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => Ok(whole.try_iter()?.any(equal)),
            kind => {
                Err(Error::new(ErrorKind::InvalidOperation, format!("expected a container, found {kind}")))
            }
        }
    });
}

fn add_filters(engine: &mut Environment<'static>, marks: &Arc<Marks>) {
    let own = Arc::clone(marks);
    engine.add_filter("tojson", move |state: &State, value: &Value, args: Rest<ValueOrKwargs>| {
        let [ensure_ascii, indent, separators, sort_keys] =
            arguments(&args.into_values(), ["ensure_ascii", "indent", "separators", "sort_keys"])?;
        let is_true = |value: Option<Value>| value.is_some_and(|value| value.is_true());
        let indent = indent.filter(|indent| !indent.is_none());
        let (item_separator, key_separator) = match separators.filter(|separators| !separators.is_none()) {
            Some(pair) => {
                let parts: Vec<Value> = pair.try_iter()?.collect();
                let [item, key] = &parts[..] else {
                    return Err(Error::new(ErrorKind::CannotUnpack, "expected two separators"));
                };
                (to_str(item, &own), to_str(key, &own))
            }
            None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        };
        let indent = match &indent {
            None => None,
            Some(text) if text.kind() == ValueKind::String => Some(to_str(text, &own)),
            Some(number) => {
                let width = i64::try_from(number.clone())?.clamp(0, 64);
                Some(" ".repeat(usize::try_from(width).unwrap_or_default()))
            }
        };
        let json = Json {
            ensure_ascii: is_true(ensure_ascii),
            indent,
            item_separator,
            key_separator,
            sort_keys: is_true(sort_keys),
            marks: &own,
        };
        json.dumps(state, value)
    });

    let own = Arc::clone(marks);
    engine.add_filter("string", move |value: &Value| to_str(value, &own));
    let own = Arc::clone(marks);
    engine.add_filter("safe", move |value: &Value| Value::from_safe_string(to_str(value, &own)));
    for name in ["escape", "e", "forceescape"] {
        let own = Arc::clone(marks);
        engine.add_filter(name, move |value: &Value| {
            let text = to_str(value, &own);
            Value::from_safe_string(if value.is_safe() && name != "forceescape" {
                text
            } else {
                escape(&text, &own)
            })
        });
    }
    let generation = marks.generation();
    engine.add_filter(source::GENERATION, move |text: &str| match generation {
        Some((begin, end)) => format!("{begin}{text}{end}"),
        None => text.to_owned(),
    });
    let own = Arc::clone(marks);
    engine.add_filter("capitalize", move |value: &Value| methods::capitalize(&to_str(value, &own)));
    let own = Arc::clone(marks);
    engine.add_filter("trim", move |value: &Value, args: Rest<ValueOrKwargs>| {
        let [chars] = arguments(&args.into_values(), ["chars"])?;
        let chars = chars.filter(|chars| !chars.is_none()).map(|chars| to_str(&chars, &own));
        Ok::<_, Error>(methods::strip(&own, &to_str(value, &own), chars.as_deref(), true, true).to_owned())
    });
    let own = Arc::clone(marks);
    engine.add_filter("replace", move |state: &State, value: &Value, args: Rest<ValueOrKwargs>| {
        let [old, new, count] = arguments(&args.into_values(), ["old", "new", "count"])?;
        let (Some(old), Some(new)) = (old, new) else { return Err(ErrorKind::MissingArgument.into()) };
        let most = count.and_then(|count| count.as_usize()).unwrap_or(usize::MAX);
        methods::replace(&own, state, &to_str(value, &own), &to_str(&old, &own), &to_str(&new, &own), most)
    });
    let own = Arc::clone(marks);
    engine.add_filter("join", move |state: &State, value: &Value, args: Rest<ValueOrKwargs>| {
        let [between, attribute] = arguments(&args.into_values(), ["d", "attribute"])?;
        let between = between.map_or_else(String::new, |between| to_str(&between, &own));
        let items = match attribute.filter(|attribute| !attribute.is_none()) {
            Some(attribute) => value
                .try_iter()?
                .map(|item| item.get_item(&attribute))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::from)?,
            None => value.clone(),
        };
        methods::join(&own, state, &items, &between)
    });
    let own = Arc::clone(marks);
    engine.add_filter("int", move |value: &Value, args: Rest<ValueOrKwargs>| {
        let [default, base] = arguments(&args.into_values(), ["default", "base"])?;
        let base = base.and_then(|base| base.as_usize()).unwrap_or(10);
        Ok::<_, Error>(int(value, base as u32, &own).unwrap_or_else(|| default.unwrap_or_else(|| 0.into())))
    });
    let own = Arc::clone(marks);
    engine.add_filter("float", move |value: &Value, args: Rest<ValueOrKwargs>| {
        let [default] = arguments(&args.into_values(), ["default"])?;
        let number = match value.kind() {
            ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
            ValueKind::Number => f64::try_from(value.clone()).ok(),
            ValueKind::String => to_str(value, &own).trim().replace('_', "").parse().ok(),
            _ => None,
        };
        Ok::<_, Error>(number.map_or_else(|| default.unwrap_or_else(|| 0.0.into()), Value::from))
    });
    let own = Arc::clone(marks);
    engine.add_filter("wordcount", move |value: &Value| {
        let text = to_str(value, &own);
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).count()
    });
    add_generators(engine);
    engine.add_filter("indent", |state: &State, value: &str, args: Rest<ValueOrKwargs>| {
        let [width, first, blank] = arguments(&args.into_values(), ["width", "first", "blank"])?;
        let is_true = |value: Option<Value>| value.is_some_and(|value| value.is_true());
        methods::indent(state, value, width.as_ref(), is_true(first), is_true(blank))
    });
    let own = Arc::clone(marks);
    engine.add_filter("center", move |state: &State, value: &Value, args: Rest<ValueOrKwargs>| {
        let [width] = arguments(&args.into_values(), ["width"])?;
        let width = width.and_then(|width| width.as_usize()).unwrap_or(80);
        methods::pad(state, &to_str(value, &own), "center", width, None)
    });
    engine.add_filter("truncate", |value: &str, args: Rest<ValueOrKwargs>| {
        let [length, kill, end, leeway] =
            arguments(&args.into_values(), ["length", "killwords", "end", "leeway"])?;
        let number = |value: Option<Value>, default| value.map_or(Some(default), |value| value.as_usize());
        let numbers = (number(length, 255), number(leeway, 5));
        let (Some(length), Some(leeway)) = numbers else {
            return Err(Error::new(ErrorKind::InvalidOperation, "expected lengths"));
        };
        let end = end.map_or("...".into(), |end| end.to_string());
        Ok(methods::truncate(value, length, kill.is_some_and(|kill| kill.is_true()), &end, leeway))
    });
    engine.add_filter("list", |value: &Value| -> Result<Vec<Value>, Error> { Ok(iterate(value)?.collect()) });
    engine.add_filter("first", |value: &Value| -> Result<Value, Error> {
        Ok(iterate(value)?.next().unwrap_or_default())
    });
    engine.add_filter("last", |value: &Value| -> Result<Value, Error> {
        if value.len().is_none() && !value.is_undefined() {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "expected something with an end, found none",
            ));
        }
        Ok(iterate(value)?.last().unwrap_or_default())
    });
    engine.add_filter("length", length);
    engine.add_filter("count", length);
}

/// The filters that give a generator; what is false has no items for them.
fn add_generators(engine: &mut Environment<'static>) {
    type More = Rest<ValueOrKwargs>;
    type Text<'a> = Cow<'a, str>;
    fn lazy(value: Value, items: impl FnOnce(Value) -> Result<Vec<Value>, Error>) -> Result<Value, Error> {
        let items = if value.is_true() { items(value)? } else { Vec::new() };
        Ok(Generator::value(items))
    }
    engine.add_filter("map", |state: &mut State, value: Value, more: More| {
        lazy(value, |value| filters::map(state, value, more))
    });
    engine.add_filter("select", |state: &mut State, value: Value, test: Option<Text<'_>>, more: More| {
        lazy(value, |value| filters::select(state, value, test, more))
    });
    engine.add_filter("reject", |state: &mut State, value: Value, test: Option<Text<'_>>, more: More| {
        lazy(value, |value| filters::reject(state, value, test, more))
    });
    engine.add_filter(
        "selectattr",
        |state: &mut State, value: Value, key: Text<'_>, test: Option<Text<'_>>, more: More| {
            lazy(value, |value| filters::selectattr(state, value, key, test, more))
        },
    );
    engine.add_filter(
        "rejectattr",
        |state: &mut State, value: Value, key: Text<'_>, test: Option<Text<'_>>, more: More| {
            lazy(value, |value| filters::rejectattr(state, value, key, test, more))
        },
    );
}

fn iterable(value: &Value) -> Result<(), Error> {
    if value.is_none() { Err(not_iterable()) } else { Ok(()) }
}

fn iterate(value: &Value) -> Result<ValueIter, Error> {
    iterable(value)?;
    value.try_iter()
}

fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    value.len().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("expected something with a length, found {}", value.kind()),
        )
    })
}

/// jinja2's `int`: what cannot be read as an integer is read as a float that is cut, and else is the default.
fn int(value: &Value, base: u32, marks: &Marks) -> Option<Value> {
    let cut = |number: f64| number.is_finite().then(|| Value::from(number.trunc() as i128));
    match value.kind() {
        ValueKind::Bool => Some(i64::from(value.is_true()).into()),
        ValueKind::Number => as_float(value).map_or_else(|| Some(value.clone()), cut),
        ValueKind::String => {
            let text = to_str(value, marks).trim().replace('_', "");
            let (sign, digits) = text.strip_prefix('-').map_or((1, &*text), |digits| (-1, digits));
            let digits = digits.strip_prefix('+').unwrap_or(digits).to_ascii_lowercase();
            let digits = match base {
                2 => digits.strip_prefix("0b"),
                8 => digits.strip_prefix("0o"),
                16 => digits.strip_prefix("0x"),
                _ => None,
            }
            .unwrap_or(&digits);
            let whole = (2..=36).contains(&base).then(|| i128::from_str_radix(digits, base).ok()).flatten();
            whole.map(|number| Value::from(sign * number)).or_else(|| text.parse().ok().and_then(cut))
        }
        _ => None,
    }
}

/// The five characters of `markupsafe.escape`.
fn escape(text: &str, marks: &Marks) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match marks.base(c) {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            _ => out.push(c),
        }
    }
    out
}
