//! One request to the hub: redirects followed by hand, so that what a redirect says of a file is kept and a token
//! never leaves the hub's host; failures told apart by whether another attempt may help.

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

/// The longest wait that a server's `Retry-After` is obeyed for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

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

/// What headers say of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The name of its blob in a cache: SHA-256 of large files, Git's hash of small ones.
    pub blob: Option<String>,
    /// SHA-256 of its content.
    pub sha256: Option<String>,
    /// Its size.
    pub size: Option<u64>,
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

impl Facts {
    /// Keeps what is said first: the hub speaks before the place that it redirects to, whose own tag is another.
    fn learn(&mut self, headers: &HeaderMap, first: bool) {
        let own = text(headers, "etag").filter(|_| first).and_then(blob_name);
        let linked = text(headers, "x-linked-etag").and_then(blob_name);
        self.sha256 = self.sha256.take().or(linked.clone().filter(|name| is_sha256(name)));
        self.blob = self.blob.take().or(linked).or(own);
        self.size = self.size.or_else(|| text(headers, "x-linked-size")?.parse().ok());
    }
}

/// The name of a blob out of an `ETag`; none where it is no fit name for a file.
fn blob_name(tag: &str) -> Option<String> {
    let name = tag.trim().trim_start_matches("W/").trim_matches('"');
    let fit =
        !name.is_empty() && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fit.then(|| name.to_string())
}

/// Whether this has the form of a SHA-256 in hexadecimal.
pub fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn reply(status: u16, facts: Facts, response: Response<Body>) -> Reply {
    let headers = response.headers();
    let etag = text(headers, "etag").filter(|tag| !tag.starts_with("W/")).map(str::to_string);
    let range = text(headers, "content-range").and_then(content_range);
    let length = text(headers, "content-length").and_then(|length| length.parse().ok());
    Reply { status, facts, etag, range, length, body: response.into_body().into_reader() }
}

/// `bytes 5-9/10` as (5, Some(10)).
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `Retry-After` in seconds, up to the longest wait.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text(headers, "retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_PAUSE))
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

/// A redirect's target, absolute or relative (RFC 3986, without dot segments).
fn join(url: &Uri, location: &str) -> Option<Uri> {
    let scheme = url.scheme_str()?;
    let place = format!("{scheme}://{}", url.authority()?);
    let absolute = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_string()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{place}{location}")
    } else if location.is_empty() || location.split('/').next().is_some_and(|start| start.contains(':')) {
        // Nothing, or another scheme.
        return None;
    } else {
        let folder = url.path().rfind('/').map_or("/", |end| &url.path()[..=end]);
        format!("{place}{folder}{location}")
    };
    absolute.parse().ok()
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
    fn redirects_of_every_form_are_joined() {
        let url: Uri = "https://hub.example:8443/datasets/a/b?x=1".parse().unwrap();
        for (location, expected) in [
            ("/api/c?d=e", "https://hub.example:8443/api/c?d=e"),
            ("c", "https://hub.example:8443/datasets/a/c"),
            ("//cdn.example/c", "https://cdn.example/c"),
            ("http://cdn.example:80/c", "http://cdn.example:80/c"),
        ] {
            assert_eq!(join(&url, location).unwrap().to_string(), expected);
        }
        for location in ["", "http://", "ftp://elsewhere/c", "mailto:c"] {
            assert!(join(&url, location).is_none(), "{location}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("location", "http://cdn.example/c".parse().unwrap());
        assert!(matches!(next(&url, &headers, "it"), Err(Trouble::Stop(_))), "TLS is not left");
    }

    #[test]
    fn the_hub_speaks_first_of_a_file() {
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        let mut facts = Facts::default();
        facts.learn(&headers(&[("x-linked-etag", "\"abc\""), ("etag", "\"d\""), ("x-linked-size", "7")]), true);
        facts.learn(&headers(&[("etag", "\"other\""), ("x-linked-size", "9")]), false);
        assert_eq!(facts, Facts { blob: Some("abc".into()), sha256: None, size: Some(7) });
        let hash = "0f".repeat(32);
        let mut large = Facts::default();
        large.learn(&headers(&[("x-linked-etag", &hash)]), true);
        assert_eq!((large.sha256.as_ref(), large.blob.as_ref()), (Some(&hash), Some(&hash)));
        let mut mirror = Facts::default();
        mirror.learn(&headers(&[]), true);
        mirror.learn(&headers(&[("etag", "\"of-another-place\"")]), false);
        assert_eq!(mirror, Facts::default());
    }

    #[test]
    fn only_fit_names_become_files() {
        assert_eq!(blob_name("W/\"12-ab\"").as_deref(), Some("12-ab"));
        for tag in ["", "\"../x\"", "\"a/b\"", "\".\"", "\"a b\""] {
            assert_eq!(blob_name(tag), None, "{tag}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        for endpoint in ["http://localhost:8080", "http://127.0.0.1", "https://[::1]:443/hub"] {
            assert!(is_this_machine(endpoint), "{endpoint}");
        }
        assert!(!is_this_machine("https://huggingface.co") && !is_this_machine("http://10.0.0.1"));
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("bytes */10"), None);
    }
}
