//! One HTTP request and its answer: the only file that names the HTTP library.
//!
//! Redirects, retries and statuses are the session's; here are connections, timeouts, certificates and proxies.

use std::{fs, io, io::Read as _, path::Path};

use log::trace;
use ureq::{
    Agent, Body, Proxy, Timeout,
    http::{HeaderMap, Response},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{
    error::{Error, Phase},
    settings::{Deadline, Proxies, Settings, Timeouts},
    url::Url,
};

/// A connection pool with its settings.
pub(super) struct Client {
    agent: Agent,
    proxies: Proxies,
    timeouts: Timeouts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
}

/// A failed request, and whether repeating it makes sense.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) repeat: Repeat,
}

/// Whether a failure may pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It will not, or (a host that does not exist or does not connect) waiting for it would hold up the strategies behind.
    Never,
    /// It may, but each attempt costs a full timeout.
    Once,
    /// As often as the settings allow, the next time after at least this wait.
    After(std::time::Duration),
    /// As often as the settings allow.
    Often,
}

/// The head of an answer, with a body yet to be read. Dropping it closes the connection.
pub(super) struct Answer {
    host: String,
    status: u16,
    headers: HeaderMap,
    body: ureq::BodyReader<'static>,
    timeouts: Timeouts,
}

impl Client {
    /// Reads the root certificates, if a file is named; opens no connection.
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &settings.root_certificates {
            tls = tls.root_certs(root_certificates(path)?);
        }
        for (scheme, proxy) in [("http", &settings.proxies.http), ("https", &settings.proxies.https)] {
            if let Some(proxy) = proxy {
                Proxy::new(proxy).map_err(|source| Error::BadProxy { scheme, source: source.into() })?;
            }
        }
        let config = Agent::config_builder()
            .http_status_as_error(false) // a status alone hides X-Error-Code and Retry-After
            .max_redirects(0) // the library compares hosts without ports, and would send the token along
            .proxy(None) // chosen per request; the library's default reads the process environment
            .tls_config(tls.build())
            .timeout_resolve(Some(settings.timeouts.connect))
            .timeout_connect(Some(settings.timeouts.connect))
            .timeout_recv_response(Some(settings.timeouts.first_byte))
            .timeout_per_read(Some(settings.timeouts.stall))
            .timeout_per_write(Some(settings.timeouts.stall))
            .user_agent(user_agent(settings.user_agent_origin.as_deref()))
            // Compressed bodies have no length and another hash.
            .accept_encoding("identity")
            .build();
        Ok(Self { agent: config.new_agent(), proxies: settings.proxies.clone(), timeouts: settings.timeouts })
    }

    /// Sends a request without body and returns the answer, whatever its status.
    pub(super) fn send(
        &self,
        method: Method,
        url: &Url,
        authorization: Option<&str>,
        deadline: Deadline,
    ) -> Result<Answer, Failure> {
        let host = url.host();
        let Some(remaining) = deadline.remaining() else { return Err(over_budget(host)) };
        let text = url.to_string();
        let origin = url.origin();
        let proxy = match self.proxies.of(origin.https, &origin.host).map(Proxy::new).transpose() {
            Ok(proxy) => proxy,
            Err(source) => {
                let scheme = if origin.https { "https" } else { "http" };
                return Err(Failure {
                    error: Error::BadProxy { scheme, source: source.into() },
                    repeat: Repeat::Never,
                });
            }
        };
        let request = match method {
            Method::Get => self.agent.get(&text),
            Method::Head => self.agent.head(&text),
        };
        let mut request = request.config().timeout_global(Some(remaining)).proxy(proxy).build();
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request
            .call()
            .map_err(|error| failure(&host, origin.https, Phase::Answer, &self.timeouts, error));
        match &answer {
            Ok(answer) => trace!("{method:?} {url:?}: {}", answer.status().as_u16()),
            Err(failure) => trace!("{method:?} {url:?}: {}", failure.error),
        }
        let (head, body) = Response::<Body>::into_parts(answer?);
        let (status, headers) = (head.status.as_u16(), head.headers);
        Ok(Answer { host, status, headers, body: body.into_reader(), timeouts: self.timeouts })
    }
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// A header's value; `None` if it is absent or not visible ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Reads into `buffer` and returns the number of bytes, 0 at the end of the body.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match self.body.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    return read.map_err(|error| {
                        // TLS is up by now: what breaks here is the connection.
                        failure(&self.host, false, Phase::Send, &self.timeouts, ureq::Error::from(error))
                    });
                }
            }
        }
    }

    /// At most `limit` bytes of the body, for messages and to let the connection be used again. Failures end it early.
    pub(super) fn read_some(&mut self, limit: usize) -> Vec<u8> {
        let mut body = vec![0; limit];
        let mut length = 0;
        while length < limit {
            match self.read(&mut body[length..]) {
                Ok(0) | Err(_) => break,
                Ok(read) => length += read,
            }
        }
        body.truncate(length);
        body
    }
}

pub(super) fn over_budget(host: String) -> Failure {
    Failure { error: Error::Budget { host }, repeat: Repeat::Never }
}

fn failure(host: &str, https: bool, phase: Phase, timeouts: &Timeouts, error: ureq::Error) -> Failure {
    let host = host.to_owned();
    let timeout = |phase, limit| Error::Timeout { host: host.clone(), phase, limit };
    let (error, repeat) = match error {
        ureq::Error::Timeout(Timeout::Global | Timeout::PerCall) => return over_budget(host),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            (timeout(Phase::Connect, timeouts.connect), Repeat::Never)
        }
        ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => {
            (timeout(phase, timeouts.stall), Repeat::Once)
        }
        ureq::Error::Timeout(_) => (timeout(phase, timeouts.first_byte), Repeat::Once),
        error if https && is_tls(&error) => (Error::Tls { host, source: error.into() }, Repeat::Never),
        error => {
            let repeat = match &error {
                ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => Repeat::Never,
                ureq::Error::Io(_) | ureq::Error::Protocol(_) => Repeat::Often,
                _ => Repeat::Never,
            };
            (Error::Connection { host, source: error.into() }, repeat)
        }
    };
    Failure { error, repeat }
}

fn is_tls(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => true,
        // How rustls reports a failed handshake through `io`.
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData && error.get_ref().is_some(),
        _ => false,
    }
}

fn root_certificates(path: &Path) -> Result<RootCerts, Error> {
    // Distributions' bundles have a few hundred KiB.
    const LIMIT: u64 = 16 << 20;
    let fail = |source| Error::RootCertificates { path: path.to_owned(), source };
    let mut pem = Vec::new();
    fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut pem)).map_err(fail)?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(fail(io::Error::new(io::ErrorKind::InvalidData, error))),
        }
    }
    if certificates.is_empty() {
        return Err(fail(io::Error::new(io::ErrorKind::InvalidData, "no certificate found")));
    }
    Ok(RootCerts::from(certificates))
}

fn user_agent(origin: Option<&str>) -> String {
    let mut agent = concat!("anytok/", env!("CARGO_PKG_VERSION"), "; rust").to_owned();
    if let Some(origin) = origin.filter(|origin| origin.bytes().all(|b| b.is_ascii_graphic() || b == b' ')) {
        agent.push_str("; origin/");
        agent.push_str(origin);
    }
    agent
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What our parser takes for the origin is what the library connects to.
        #[test]
        fn both_parsers_see_the_same_origin(text in "(https?|HTTP|ftp)://[a-zA-Z0-9.:@\\[\\]\\\\_/?#%-]{0,24}") {
            if let Ok(url) = Url::parse(&text)
                && let Ok(uri) = url.to_string().parse::<ureq::http::Uri>()
            {
                let origin = url.origin();
                let authority = uri.authority().unwrap();
                prop_assert_eq!(uri.scheme_str(), Some(if origin.https { "https" } else { "http" }));
                prop_assert_eq!(authority.host(), &origin.host);
                prop_assert_eq!(authority.port_u16().unwrap_or(if origin.https { 443 } else { 80 }), origin.port);
                prop_assert!(!authority.as_str().contains('@'));
                // Read again, it is the same.
                prop_assert_eq!(Url::parse(&url.to_string()), Ok(url));
            }
        }

        #[test]
        fn no_location_makes_the_parsers_disagree(location in "[a-z0-9.:@\\[\\]\\\\_/?#% é-]{0,24}") {
            let base = Url::parse("http://127.0.0.1:8080/a/b?c").unwrap();
            if let Ok(url) = base.join(&location)
                && let Ok(uri) = url.to_string().parse::<ureq::http::Uri>()
            {
                prop_assert_eq!(uri.host(), Some(url.origin().host.as_str()));
                prop_assert_eq!(uri.port_u16().unwrap_or(80), url.origin().port);
            }
        }
    }
}
