//! Whom TLS trusts: Mozilla's authorities, or those of a file, as behind a proxy that looks into connections.

use crate::refusal;
use anyhow::Result;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Variables that name a file of certificates, in PEM; the first that is set holds. OpenSSL and Python read them, too.
pub const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"];

/// The authorities that the environment names, else Mozilla's.
///
/// # Errors
/// A refusal of a file without certificates.
pub fn authorities(variable: impl Fn(&str) -> Option<OsString>) -> Result<RootCerts> {
    match VARIABLES.iter().find_map(|name| Some((name, variable(name)?))) {
        None => Ok(RootCerts::WebPki),
        Some((name, path)) => {
            let certificates = read(Path::new(&path));
            let refused = |why| refusal!("{name} names {}: {why}; expected certificates in PEM", path.display());
            Ok(RootCerts::new_with_certs(&certificates.map_err(refused)?))
        }
    }
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = fs::read(path).map_err(|error| error.to_string())?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            certificates.push(certificate);
        }
    }
    match certificates.is_empty() {
        true => Err("it holds none".into()),
        false => Ok(certificates),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code;

    #[test]
    fn a_file_of_certificates_is_read_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authorities.pem");
        let found = || authorities(|name| (name == "REQUESTS_CA_BUNDLE").then(|| path.clone().into_os_string()));
        for text in [None, Some("no certificate"), Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")]
        {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            let error = found().unwrap_err();
            assert!(error.to_string().starts_with("REQUESTS_CA_BUNDLE names") && code(&error) == 2, "{error}");
        }
        // What a certificate says is looked at when a server shows its own.
        let one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(&path, one.repeat(2)).unwrap();
        let RootCerts::Specific(certificates) = found().unwrap() else { panic!("others than the file's") };
        assert_eq!(certificates.len(), 2);
        assert!(matches!(authorities(|_| None).unwrap(), RootCerts::WebPki));
    }
}
