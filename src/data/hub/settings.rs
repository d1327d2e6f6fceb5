//! Where the dataset hub is, where its files are kept, and who asks: the environment that Python's programs for it
//! read, too.

use super::certificates;
use crate::{refusal, refuse};
use anyhow::Result;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use ureq::tls::RootCerts;

/// The hub itself. A token goes to no other place.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How long nothing may arrive, unless `HF_HUB_DOWNLOAD_TIMEOUT` says it in seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// The wait before the second attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What the loaders take from the environment.
#[derive(Clone)]
pub struct Settings {
    /// The hub or a mirror of it, without a slash at the end.
    pub endpoint: String,
    /// The folder of the repositories, `hub` in Python's layout.
    pub cache: PathBuf,
    /// Take what is in the cache, and ask nobody.
    pub offline: bool,
    /// How long nothing may arrive.
    pub patience: Duration,
    /// The wait before the second attempt.
    pub first_pause: Duration,
    /// Whom TLS trusts.
    pub authorities: RootCerts,
    /// Says who asks.
    token: Option<String>,
}

impl Settings {
    /// Reads `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT`, `HF_TOKEN` and
    /// `HF_TOKEN_PATH`, with the defaults of Python's `huggingface_hub`, and `SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE`.
    ///
    /// # Errors
    /// Refusals of values that are none.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(|name| env::var_os(name))
    }

    /// The same from other variables than the process's.
    ///
    /// # Errors
    /// As [`from_environment`](Self::from_environment).
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = match (variable("HF_HOME"), variable("XDG_CACHE_HOME"), variable("HOME")) {
            (Some(home), _, _) => PathBuf::from(home),
            (None, Some(caches), _) => PathBuf::from(caches).join("huggingface"),
            (None, None, Some(user)) => PathBuf::from(user).join(".cache/huggingface"),
            _ => refuse!("none of HF_HOME, XDG_CACHE_HOME and HOME is set; set HF_HOME to a folder for downloads"),
        };
        let token_file = variable("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
        let token = token(variable("HF_TOKEN"), token_file)?;
        Ok(Self {
            endpoint: endpoint(variable("HF_ENDPOINT"))?,
            cache: variable("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from),
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            patience: patience(variable("HF_HUB_DOWNLOAD_TIMEOUT"))?,
            first_pause: FIRST_PAUSE,
            authorities: certificates::authorities(variable)?,
            token,
        })
    }

    /// The token that may be sent to this address: to the hub itself over TLS, and to nobody else.
    pub fn token_for(&self, url: &ureq::http::Uri) -> Option<&str> {
        let trusted = self.endpoint == DEFAULT_ENDPOINT
            && url.scheme_str() == Some("https")
            && url.authority().is_some_and(|place| DEFAULT_ENDPOINT.strip_prefix("https://") == Some(place.as_str()));
        self.token.as_deref().filter(|_| trusted)
    }

    /// Why a token did not help, where there is one that is not sent.
    pub fn token_hint(&self) -> String {
        match (&self.token, self.endpoint == DEFAULT_ENDPOINT) {
            (Some(_), true) => "the token of HF_TOKEN or HF_HOME/token has no access".into(),
            (None, true) => "put a token that has access into HF_TOKEN".into(),
            (_, false) => format!("a token is sent to {DEFAULT_ENDPOINT} only, and HF_ENDPOINT is {}", self.endpoint),
        }
    }
}

impl fmt::Debug for Settings {
    /// Without the token: what is printed may end in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = (&self.endpoint, &self.cache, self.offline);
        write!(f, "Settings {settings:?}")
    }
}

fn endpoint(value: Option<OsString>) -> Result<String> {
    let Some(value) = value else { return Ok(DEFAULT_ENDPOINT.into()) };
    let text = value.to_string_lossy();
    let address = text.trim().trim_end_matches('/');
    let valid = address.parse().is_ok_and(|url: ureq::http::Uri| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some() && url.query().is_none()
    });
    if !valid {
        refuse!("HF_ENDPOINT is {text:?}; expected an address such as {DEFAULT_ENDPOINT}");
    }
    Ok(address.into())
}

fn is_true(value: &OsString) -> bool {
    matches!(value.to_string_lossy().to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
}

fn patience(value: Option<OsString>) -> Result<Duration> {
    let Some(value) = value else { return Ok(PATIENCE) };
    let seconds = value.to_str().and_then(|text| text.trim().parse().ok());
    let seconds =
        seconds.filter(|seconds: &f64| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| refusal!("HF_HUB_DOWNLOAD_TIMEOUT is {value:?}; expected seconds above 0"))
}

/// The token, without the line break that files end in.
fn token(value: Option<OsString>, file: PathBuf) -> Result<Option<String>> {
    let (text, place) = match value {
        Some(value) => (value.to_string_lossy().into_owned(), "HF_TOKEN".to_string()),
        // Most have no such file.
        None => (fs::read_to_string(&file).unwrap_or_default(), file.display().to_string()),
    };
    let token = text.trim();
    if !token.chars().all(|character| character.is_ascii_graphic()) {
        refuse!("{place} holds no token: a token has printable ASCII characters without blanks");
    }
    Ok(Some(token.to_string()).filter(|token| !token.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings> {
        let variables = variables.to_vec();
        Settings::from_variables(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn folders_are_those_of_python() {
        for (variables, cache) in [
            (&[("HOME", "/h")][..], "/h/.cache/huggingface/hub"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HOME", "/h"), ("HF_HOME", "/y"), ("XDG_CACHE_HOME", "/x")], "/y/hub"),
            (&[("HF_HOME", "/y"), ("HF_HUB_CACHE", "/z")], "/z"),
        ] {
            assert_eq!(settings(variables).unwrap().cache, PathBuf::from(cache));
        }
        assert_eq!(code(&settings(&[]).unwrap_err()), 2);
    }

    #[test]
    fn values_that_are_none_are_refused() {
        let home = ("HF_HOME", "/none");
        for (name, value) in [
            ("HF_ENDPOINT", "mirror.example"),
            ("HF_ENDPOINT", "ftp://mirror.example"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "-1"),
            ("HF_TOKEN", "a b"),
        ] {
            let error = settings(&[home, (name, value)]).unwrap_err();
            assert!(error.to_string().starts_with(name) && code(&error) == 2, "{error}");
        }
        let found = settings(&[home, ("HF_ENDPOINT", "http://[::1]:80/hub/"), ("HF_HUB_OFFLINE", "yes")]).unwrap();
        assert_eq!((found.endpoint.as_str(), found.offline), ("http://[::1]:80/hub", true));
    }

    #[test]
    fn a_token_goes_to_the_hub_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "hf_secret\n").unwrap();
        let home = ("HF_HOME", folder.path().to_str().unwrap());
        let own = settings(&[home]).unwrap();
        let sent = |settings: &Settings, url: &str| settings.token_for(&url.parse().unwrap()).map(str::to_string);
        assert_eq!(sent(&own, "https://huggingface.co/api/datasets/a/b").as_deref(), Some("hf_secret"));
        for url in [
            "http://huggingface.co/a",
            "https://cdn.huggingface.co/a",
            "https://huggingface.co:444/a",
            "https://huggingface.co.example/a",
            "https://x@huggingface.co/a",
        ] {
            assert_eq!(sent(&own, url), None, "{url}");
        }
        let mirror = settings(&[home, ("HF_ENDPOINT", "https://mirror.example")]).unwrap();
        assert_eq!(sent(&mirror, "https://mirror.example/a"), None);
        assert_eq!(sent(&mirror, "https://huggingface.co/a"), None);
        assert!(mirror.token_hint().contains("mirror.example") && !format!("{own:?}").contains("secret"));
    }
}
