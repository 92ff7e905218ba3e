//! What a template calls `strftime_now` for.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};

/// The moment a template takes for now, and where on earth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// The time of rendering if `None`.
    pub(super) now: Option<SystemTime>,
    /// Seconds east of UTC; the machine's own time zone if `None`.
    pub(super) offset: Option<i32>,
}

impl Clock {
    /// `datetime.now().strftime(format)` of Python in the C locale: local time that knows no zone, so `%z` and `%Z` are empty.
    pub(super) fn format(self, format: &str) -> Result<String, jiff::Error> {
        let now = self.now.map_or_else(|| Ok(Timestamp::now()), Timestamp::try_from)?;
        let zone = match self.offset {
            Some(seconds) => TimeZone::fixed(Offset::from_seconds(seconds)?),
            None => TimeZone::system(),
        };
        let local = now.to_zoned(zone).datetime();
        let mut zoneless = String::with_capacity(format.len());
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            zoneless.push_str(&rest[..at]);
            let directive =
                rest[at..].char_indices().nth(2).map_or(&rest[at..], |(end, _)| &rest[at..at + end]);
            zoneless.push_str(match directive {
                "%z" | "%Z" => "",
                // A percent sign at the end stands for itself.
                "%" => "%%",
                _ => directive,
            });
            rest = &rest[at + directive.len()..];
        }
        zoneless.push_str(rest);
        strtime::format(zoneless.as_bytes(), local)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn gives(format: &str, expected: &str) {
        let now = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_722_000_000));
        assert_eq!(Clock { now, offset: Some(7200) }.format(format).unwrap(), expected);
    }

    #[test]
    fn directives_are_those_of_python() {
        gives("%d %b %Y", "26 Jul 2024");
        gives("%A, %B %-d, %Y %H:%M:%S %p %I %j %y", "Friday, July 26, 2024 15:20:00 PM 03 208 24");
        gives("%Y-%m-%dT%H:%M:%S%z|%Z|%%|%", "2024-07-26T15:20:00||%|%");
    }
}
