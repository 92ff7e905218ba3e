//! URLs as the Hub uses them: enough to build one, to follow a redirect, and to tell two origins apart.

use std::fmt;

/// An absolute `http` or `https` URL without user information or fragment.
///
/// Stricter than RFC 3986 on purpose: what this type accepts, every other parser on the way to the socket reads the same way,
/// so an origin that passed the check here is the origin that is connected to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    origin: Origin,
    /// Begins with `/`. Visible ASCII only.
    target: String,
}

/// Scheme, host and port: what must be equal for a token to travel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Origin {
    pub(crate) https: bool,
    /// Lower case; an IPv6 address keeps its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why a text is not a [`Url`], as "expected …".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotAUrl(pub(crate) &'static str);

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, NotAUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAUrl("expected http:// or https://"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(NotAUrl("expected http:// or https://")),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let origin = Origin::parse(https, authority)?;
        let target = target.split('#').next().unwrap_or("");
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        if !target.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(NotAUrl("expected a path of visible ASCII without a backslash"));
        }
        Ok(Self { origin, target })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Host and, where it is not the scheme's own, port: for messages.
    pub(crate) fn host(&self) -> String {
        self.origin.to_string().split_once("://").map(|(_, host)| host.to_owned()).unwrap_or_default()
    }

    /// This URL with `path` appended; `path` is already percent-encoded and begins with `/`.
    pub(crate) fn with_path(&self, path: &str) -> Self {
        Self { origin: self.origin.clone(), target: format!("{}{path}", self.target.trim_end_matches('/')) }
    }

    /// Where a `Location` seen at this URL leads. The query string is part of the location and is kept.
    pub(crate) fn join(&self, location: &str) -> Result<Self, NotAUrl> {
        let location = location.trim();
        if location.is_empty() {
            return Err(NotAUrl("expected a location, found nothing"));
        }
        let scheme = if self.origin.https { "https" } else { "http" };
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let has_scheme =
            location.find([':', '/', '?', '#']).is_some_and(|at| location.as_bytes()[at] == b':');
        if has_scheme {
            return Self::parse(location);
        }
        let path = self.target.split('?').next().unwrap_or("/");
        let target = match location.as_bytes()[0] {
            b'/' => location.to_owned(),
            b'?' | b'#' => format!("{path}{location}"),
            _ => format!("{}/{location}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
        };
        Self::parse(&format!("{}{target}", self.origin))
    }
}

impl Origin {
    fn parse(https: bool, authority: &str) -> Result<Self, NotAUrl> {
        if authority.contains('@') {
            return Err(NotAUrl("expected a host without user name or password"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            // The colons inside `[::1]` are not a port's.
            Some((host, port)) if !port.contains(']') => {
                let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
                let port = if digits { port.parse().ok() } else { None };
                (host, port.ok_or(NotAUrl("expected a port from 0 to 65535"))?)
            }
            _ => (authority, if https { 443 } else { 80 }),
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            }
        };
        if !valid {
            return Err(NotAUrl("expected a host name or address"));
        }
        Ok(Self { https, host: host.to_ascii_lowercase(), port })
    }

    /// Whether connecting to this origin stays on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_matches(['[', ']']);
        self.host == "localhost"
            || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, port) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == port { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.target)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A signed download URL is a credential: its query stays out of logs.
        let path = self.target.split('?').next().unwrap_or("/");
        write!(f, "{}{path}", self.origin)
    }
}

/// `text` with every byte but `A-Z a-z 0-9 - . _ ~` percent-encoded.
pub(crate) fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn origins_compare_scheme_host_and_port() {
        let same = |a: &str, b: &str| url(a).origin() == url(b).origin();
        assert!(same("https://HuggingFace.co/x", "https://huggingface.co:443/y?z"));
        assert!(same("http://[::1]/", "http://[::1]:80"));
        assert!(!same("https://huggingface.co", "http://huggingface.co"));
        assert!(!same("http://127.0.0.1:1", "http://127.0.0.1:2"));
        assert!(!same("http://huggingface.co:443", "https://huggingface.co"));
        assert!(!same("https://huggingface.co", "https://huggingface.co.example"));
    }

    #[test]
    fn urls_that_two_parsers_could_read_differently_are_refused() {
        for text in [
            "",
            "huggingface.co",
            "file:///etc/passwd",
            "ftp://a/",
            "https://",
            "https:///x",
            "https://a@b/",
            "https://huggingface.co\\@evil/",
            "https://a:b/",
            "https://a:+1/",
            "https://a:99999/",
            "https://a:/",
            "https://[::1/",
            "https://::1/",
            "https://a b/",
            "https://a/\r\nX: y",
            "https://a/é",
            "https://é/",
            "https://a%00/",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_location_is_resolved_against_the_url_it_came_from() {
        let base = url("http://127.0.0.1:8080/a/b/c?d=e");
        let join = |location| base.join(location).map(|url| url.to_string());
        let at = |target: &str| Ok(format!("http://127.0.0.1:8080{target}"));
        assert_eq!(join("/api/x?y=%2F&etag=%22z%22"), at("/api/x?y=%2F&etag=%22z%22"));
        assert_eq!(join("x/y?z"), at("/a/b/x/y?z"));
        assert_eq!(join("?q"), at("/a/b/c?q"));
        assert_eq!(join("/x#part"), at("/x"));
        assert_eq!(join("/x?u=https://other/"), at("/x?u=https://other/"));
        assert_eq!(join("//other/x"), Ok("http://other/x".into()));
        assert_eq!(join("HTTPS://Other/x"), Ok("https://other/x".into()));
        for location in ["", "file:///etc/passwd", "javascript:x", "/a\\b", "//", "http://u@h/"] {
            assert!(join(location).is_err(), "{location:?}");
        }
    }

    #[test]
    fn loopback_is_told_from_names_that_resemble_it() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(url(&format!("http://{host}:9/")).origin().is_loopback(), "{host}");
        }
        for host in ["127.0.0.1.example", "localhost.example", "10.0.0.1", "[::2]"] {
            assert!(!url(&format!("http://{host}:9/")).origin().is_loopback(), "{host}");
        }
    }

    #[test]
    fn a_signed_query_does_not_reach_the_logs() {
        let url = url("https://cdn.example/file?Signature=secret");
        assert_eq!(format!("{url:?}"), "https://cdn.example/file");
    }

    #[test]
    fn encoding_leaves_only_unreserved_characters() {
        assert_eq!(encode("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(encode("a-b_c.d~é %"), "a-b_c.d~%C3%A9%20%25");
    }

    #[test]
    fn an_endpoint_may_have_a_path() {
        assert_eq!(url("https://m.example/hf/").with_path("/a/b").to_string(), "https://m.example/hf/a/b");
        assert_eq!(url("https://m.example").with_path("/a").to_string(), "https://m.example/a");
    }
}
