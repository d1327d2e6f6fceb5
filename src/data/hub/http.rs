//! One request to the hub: redirects followed by hand, so that what a redirect says of a file is kept and a token
//! never leaves the hub's host; failures told apart by whether another attempt may help.

use super::headers::{Facts, content_range, join, pause, text};
use super::settings::Settings;
use anyhow::anyhow;
use std::fmt;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body};

/// How many redirects one request may take.
const MAX_REDIRECTS: usize = 10;

/// Sends requests.
pub struct Http {
    agent: Agent,
    settings: Settings,
}

/// The server has no such thing (status 404 or 410).
#[derive(Debug)]
pub struct NotThere(String);

impl fmt::Display for NotThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotThere {}

/// Whether an address is one of this machine itself.
fn is_this_machine(endpoint: &str) -> bool {
    let url: Option<Uri> = endpoint.parse().ok();
    let host = url.as_ref().and_then(Uri::host).unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

/// Why a request failed.
pub enum Trouble {
    /// Another attempt may succeed, after the wait that the server asked for.
    Again(String, Option<Duration>),
    /// No attempt will.
    Stop(anyhow::Error),
}

/// What the server answered with: status 200, 206 or 416.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// What the hub and the redirects said of the file.
    pub facts: Facts,
    /// The last answer's own `ETag`, for `If-Range`.
    pub etag: Option<String>,
    /// The first byte sent and the whole length, out of `Content-Range`.
    pub range: Option<(u64, Option<u64>)>,
    /// `Content-Length`.
    pub length: Option<u64>,
    /// The content.
    pub body: ureq::BodyReader<'static>,
}

impl Http {
    /// A client with these settings.
    pub fn new(settings: &Settings) -> Self {
        let mut config = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .accept_encoding("identity")
            .tls_config(TlsConfig::builder().root_certs(settings.authorities.clone()).build())
            .user_agent(concat!("synth/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(settings.patience))
            .timeout_per_read(Some(settings.patience))
            .timeout_per_write(Some(settings.patience));
        if is_this_machine(&settings.endpoint) {
            // A proxy would look for the server on its own machine.
            config = config.proxy(None);
        }
        Self { agent: config.build().into(), settings: settings.clone() }
    }

    /// Asks for `path`, which follows the endpoint, from byte `range.0` on where there is a range; `range.1` is its
    /// `If-Range`. `what` names it in messages.
    ///
    /// # Errors
    /// What went wrong, and whether another attempt may help.
    pub fn get(&self, path: &str, what: &str, range: Option<(u64, Option<&str>)>) -> Result<Reply, Trouble> {
        let address = format!("{}{path}", self.settings.endpoint);
        let mut url: Uri = address.parse().map_err(|_| Trouble::Stop(anyhow!("{address} is no address")))?;
        let mut facts = Facts::default();
        for hop in 0..=MAX_REDIRECTS {
            let response = self.send(&url, what, range)?;
            facts.learn(response.headers(), hop == 0);
            let status = response.status().as_u16();
            match status {
                200 | 206 | 416 => return Ok(reply(status, facts, response)),
                301 | 302 | 303 | 307 | 308 => url = next(&url, response.headers(), what)?,
                _ => return Err(self.refused(status, response.headers(), what)),
            }
        }
        Err(Trouble::Stop(anyhow!("{what}: the server redirects more than {MAX_REDIRECTS} times")))
    }

    fn send(&self, url: &Uri, what: &str, range: Option<(u64, Option<&str>)>) -> Result<Response<Body>, Trouble> {
        let mut request = self.agent.get(url);
        if let Some(token) = self.settings.token_for(url) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some((start, condition)) = range {
            request = request.header(header::RANGE, format!("bytes={start}-"));
            if let Some(condition) = condition {
                request = request.header(header::IF_RANGE, condition);
            }
        }
        request.call().map_err(|error| trouble(error, what, self.settings.patience))
    }

    /// What a status other than success means.
    fn refused(&self, status: u16, headers: &HeaderMap, what: &str) -> Trouble {
        let code = text(headers, "x-error-code").unwrap_or_default();
        let endpoint = &self.settings.endpoint;
        let sentence = match (status, code) {
            (408 | 425 | 429 | 500..=599, _) => {
                return Trouble::Again(format!("the server answers with status {status}"), pause(headers));
            }
            (401 | 403, "GatedRepo") | (403, _) => format!(
                "is gated: accept its terms on {endpoint} in a browser; {} (status {status})",
                self.settings.token_hint()
            ),
            (401, _) => format!("is private or does not exist; {} (status 401)", self.settings.token_hint()),
            (404, "RevisionNotFound") => "has no such revision (status 404)".to_string(),
            (404 | 410, _) => {
                let sentence = format!("{what} is not there on {endpoint} (status {status})");
                return Trouble::Stop(anyhow::Error::new(NotThere(sentence)));
            }
            _ => format!("cannot be had: {endpoint} answers with status {status}"),
        };
        Trouble::Stop(anyhow!("{what} {sentence}"))
    }
}

fn reply(status: u16, facts: Facts, response: Response<Body>) -> Reply {
    let headers = response.headers();
    let etag = text(headers, "etag").filter(|tag| !tag.starts_with("W/")).map(str::to_string);
    let range = text(headers, "content-range").and_then(content_range);
    let length = text(headers, "content-length").and_then(|length| length.parse().ok());
    Reply { status, facts, etag, range, length, body: response.into_body().into_reader() }
}

/// Where a redirect leads.
fn next(url: &Uri, headers: &HeaderMap, what: &str) -> Result<Uri, Trouble> {
    let location = text(headers, "location").unwrap_or_default();
    let stop = |why: &str| Trouble::Stop(anyhow!("{what}: the server redirects to {location:?}, {why}"));
    let next = join(url, location).ok_or_else(|| stop("which is no address"))?;
    if url.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
        return Err(stop("away from TLS"));
    }
    Ok(next)
}

/// Whether another attempt may help after an error below HTTP.
fn trouble(error: ureq::Error, what: &str, patience: Duration) -> Trouble {
    match error {
        // What TLS finds wrong, such as a certificate, comes as data that is not right.
        ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => Trouble::Stop(anyhow!("{what}: {error}")),
        ureq::Error::Io(error) => Trouble::Again(error.to_string(), None),
        ureq::Error::Timeout(_) => Trouble::Again(format!("nothing arrived for {} s", patience.as_secs_f64()), None),
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound | ureq::Error::Protocol(_) => {
            Trouble::Again(error.to_string(), None)
        }
        other => Trouble::Stop(anyhow!("{what}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known() {
        for endpoint in ["http://localhost:8080", "http://127.0.0.1", "https://[::1]:443/hub"] {
            assert!(is_this_machine(endpoint), "{endpoint}");
        }
        assert!(!is_this_machine("https://huggingface.co") && !is_this_machine("http://10.0.0.1"));
    }

    #[test]
    fn tls_is_not_left() {
        let url: Uri = "https://hub.example/a".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("location", "http://cdn.example/c".parse().unwrap());
        assert!(matches!(next(&url, &headers, "it"), Err(Trouble::Stop(_))));
    }
}
