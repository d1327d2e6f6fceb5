//! What a repository holds at a revision.

use super::attempts::persist;
use super::http::{Http, NotThere, Trouble};
use super::settings::Settings;
use crate::refuse;
use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Component, Path};

/// A listing of a hundred thousand files has 30 MB; what is larger is none.
const MAX_BYTES: u64 = 128 << 20;

/// The files of a repository at one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The commit, 40 hexadecimal digits on the hub.
    #[serde(rename = "sha")]
    pub commit: String,
    /// The files, in the server's order.
    #[serde(default)]
    pub siblings: Vec<Sibling>,
}

/// One file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sibling {
    /// Its path in the repository.
    #[serde(rename = "rfilename")]
    pub path: String,
    /// Its size, where the server says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Git's hash of it, which names its blob unless it is a large file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob_id: Option<String>,
    /// What is known of a large file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lfs: Option<Large>,
}

/// A file in Git's large file storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Large {
    /// SHA-256 of its content.
    pub sha256: String,
    /// Its size.
    pub size: u64,
}

impl Sibling {
    /// Its size, where it is known.
    pub fn bytes(&self) -> Option<u64> {
        self.lfs.as_ref().map(|large| large.size).or(self.size)
    }

    /// SHA-256 of its content, where it is known.
    pub fn sha256(&self) -> Option<&str> {
        self.lfs.as_ref().map(|large| large.sha256.as_str())
    }

    /// The name of its blob in a cache, where it is known.
    pub fn blob(&self) -> Option<&str> {
        self.sha256().or(self.blob_id.as_deref()).filter(|name| is_hexadecimal(name))
    }
}

impl Listing {
    /// Reads a listing.
    ///
    /// # Errors
    /// JSON that is none of a listing; a commit that is none.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let listing: Self = serde_json::from_slice(json).context("its answer is no list of files")?;
        ensure!(names_a_commit(&listing.commit), "its list of files is of {:?}; expected a commit", listing.commit);
        Ok(listing)
    }
}

/// Whether this can be what a server calls a commit, and a folder's name. The hub's own are as [`is_commit`] says.
pub fn names_a_commit(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether this is the name of a commit, not of a branch.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && is_hexadecimal(revision)
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Asks the server what a dataset's repository holds at a revision.
///
/// # Errors
/// A repository or revision that is not there or not for this user; a server that cannot be reached or answers with
/// something else.
pub fn fetch(http: &Http, settings: &Settings, repository: &str, revision: &str) -> Result<Listing> {
    let what = format!("dataset {repository} at revision {revision}");
    let path = format!("/api/datasets/{repository}/revision/{}", encode(revision));
    match fetch_from(http, settings, &format!("{path}?blobs=true"), &what) {
        // Mirrors may not know the question for sizes and hashes.
        Err(error) if error.is::<NotThere>() => fetch_from(http, settings, &path, &what),
        done => done,
    }
}

fn fetch_from(http: &Http, settings: &Settings, path: &str, what: &str) -> Result<Listing> {
    let json = persist(settings.first_pause, what, || {
        let reply = http.get(path, what, None)?;
        let mut json = Vec::new();
        let read = reply.body.take(MAX_BYTES + 1).read_to_end(&mut json);
        read.map_err(|error| Trouble::Again(format!("the connection broke ({error})"), None))?;
        if reply.length.is_some_and(|length| length != json.len() as u64) {
            return Err(Trouble::Again("the connection broke".into(), None));
        }
        Ok(json)
    })?;
    ensure!(json.len() as u64 <= MAX_BYTES, "{what}: the list of files is larger than {MAX_BYTES} bytes");
    Listing::from_json(&json).map_err(|error| anyhow!("{what}: {}: {error:#}", settings.endpoint))
}

/// Refuses a revision that would be no path below `refs`.
///
/// # Errors
/// That refusal.
pub fn check_revision(revision: &str) -> Result<()> {
    let plain = revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    let inside = Path::new(revision).components().all(|part| matches!(part, Component::Normal(_)));
    if revision.is_empty() || !plain || !inside || revision.ends_with('/') {
        refuse!("the revision is {revision:?}; expected a branch, a tag or a commit of the repository");
    }
    Ok(())
}

/// The path that a file of a revision is downloaded from.
pub fn download_path(repository: &str, revision: &str, path: &str) -> String {
    let path: Vec<String> = path.split('/').map(encode).collect();
    format!("/datasets/{repository}/resolve/{}/{}", encode(revision), path.join("/"))
}

/// Percent-encodes all but what RFC 3986 calls unreserved; slashes, too.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code;

    #[test]
    fn a_listing_as_the_hub_sends_it() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let json = format!(
            r#"{{"_id": "x", "id": "a/b", "sha": "{commit}", "private": false, "siblings": [
                {{"rfilename": "README.md", "size": 5, "blobId": "abc"}},
                {{"rfilename": "a.parquet", "size": 7, "blobId": "def", "lfs": {{"sha256": "12", "size": 7, "pointerSize": 1}}}},
                {{"rfilename": "b.parquet"}}]}}"#
        );
        let listing = Listing::from_json(json.as_bytes()).unwrap();
        assert_eq!(listing.commit, commit);
        let facts = |index: usize| {
            let sibling = &listing.siblings[index];
            (sibling.blob(), sibling.bytes(), sibling.sha256())
        };
        assert_eq!(facts(0), (Some("abc"), Some(5), None));
        assert_eq!(facts(1), (Some("12"), Some(7), Some("12")));
        assert_eq!(facts(2), (None, None, None));
        let again = serde_json::to_vec(&listing).unwrap();
        assert_eq!(Listing::from_json(&again).unwrap(), listing);
        let branch = json.replace(commit, "../main");
        assert!(Listing::from_json(branch.as_bytes()).unwrap_err().to_string().contains("expected a commit"));
        assert!(Listing::from_json(b"<html>").is_err());
    }

    #[test]
    fn paths_are_encoded() {
        assert_eq!(encode("refs/convert/parquet"), "refs%2Fconvert%2Fparquet");
        let path = download_path("wmt/wmt14", "0123", "de-en/a b.parquet");
        assert_eq!(path, "/datasets/wmt/wmt14/resolve/0123/de-en/a%20b.parquet");
    }

    #[test]
    fn a_revision_stays_below_refs() {
        for revision in ["main", "refs/convert/parquet", "v1.0-a", "0123456789abcdef0123456789abcdef01234567"] {
            check_revision(revision).unwrap();
        }
        for revision in ["", "..", "../main", "a/../../b", "/main", "main/", "a b", "a%2f"] {
            assert_eq!(code(&check_revision(revision).unwrap_err()), 2, "{revision}");
        }
    }
}
