//! What the headers of an answer say: of a file, of a range, of a wait, of another place.

use std::time::Duration;
use ureq::http::{HeaderMap, Uri};

/// The longest wait that a server's `Retry-After` is obeyed for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

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

impl Facts {
    /// Keeps what is said first: the hub speaks before the place that it redirects to, whose own tag is another.
    pub fn learn(&mut self, headers: &HeaderMap, first: bool) {
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

/// `bytes 5-9/10` as (5, Some(10)).
pub fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// A header, where it is there and text.
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `Retry-After` in seconds, up to the longest wait.
pub fn pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text(headers, "retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_PAUSE))
}

/// A redirect's target, absolute or relative (RFC 3986, without dot segments).
pub fn join(url: &Uri, location: &str) -> Option<Uri> {
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
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("bytes */10"), None);
    }
}
