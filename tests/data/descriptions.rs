//! `debian-descriptions` through an apt of our own, which brings small indexes.

use crate::place::Place;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// As `apt-get -o Dir::State::lists=FOLDER … update` does it: puts index files into the folder.
const APT: &str = r#"#!/bin/sh
for argument; do
    case "$argument" in
    Dir::State::lists=*) lists=${argument#*=} ;;
    Acquire::Languages=*) languages=${argument#*=} ;;
    esac
done
echo "$languages" >"$FROM/languages"
[ -e "$FROM/broken" ] && { echo "E: no network" >&2; exit 100; }
cp "$FROM"/mirror* "$lists"
"#;

/// A folder with that apt and the indexes of many small packages.
fn place() -> Place {
    let place = Place::new();
    place.write("bin/apt-get", APT);
    fs::set_permissions(place.path("bin/apt-get"), fs::Permissions::from_mode(0o755)).unwrap();
    let (mut packages, mut english, mut french) = (String::new(), String::new(), String::new());
    for number in 0..300 {
        let head = format!("Package: tool{number}\n");
        let key = format!("Description-md5: {number:032x}\n");
        packages += &format!("{head}Version: 1\n{key}\n");
        english += &format!(
            "{head}{key}Description-en: tool {number}\n The tool number {number} does what tools do, and it does so more than\n \
             well enough.\n .\n It is free.\n\n"
        );
        french += &format!(
            "{head}{key}Description-fr: outil {number}\n L'outil numéro {number} fait ce que font les outils.\n .\n Il est libre.\n\n"
        );
    }
    let name = |end: &str| format!("from/mirror_debian_dists_test_main_{end}");
    place.write(&name("binary-amd64_Packages"), packages);
    place.write(&name("i18n_Translation-en"), english);
    place.write(&name("i18n_Translation-fr"), french);
    place.write("from/mirror_debian_dists_test_InRelease", "Origin: Debian\nCodename: test\nVersion: 99\n");
    place
}

/// Runs `synth data fetch` with that apt, or with none: exit code, stdout, stderr.
fn fetch(place: &Place, name: &str, path: &str) -> (Option<i32>, String, String) {
    let mut command = place.process(&["data", "fetch", name, "--json"]);
    let output = command.env("PATH", path).env("FROM", place.path("from")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn descriptions_come_through_apt() {
    let place = place();
    let path = format!("{}:/usr/bin:/bin", place.path("bin").display());
    let (code, card, stderr) = fetch(&place, "debian-descriptions-en-fr", &path);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(place.read("from/languages"), "en,fr\n");
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert_eq!((&card["shape"], &card["target_language"]), (&"pairs".into(), &"fr".into()));
    assert!(card["revision"].as_str().unwrap().contains("Debian test 99"), "{card}");
    let counts = Place::counts(&card);
    // Synopsis and first paragraph of each; the second is the same for all.
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 601, "{counts:?}");
    assert_eq!(place.names(), ["debian-descriptions-en-fr"], "apt's files are gone");
    let (code, card, stderr) = fetch(&place, "debian-descriptions-summaries", &path);
    assert_eq!(code, Some(0), "{stderr}");
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert_eq!(Place::counts(&card).iter().map(|(_, count)| count).sum::<u64>(), 300);
    let (code, _, stderr) = fetch(&place, "debian-descriptions-en-de", &path);
    assert!(code == Some(1) && stderr.contains("brought no descriptions in de"), "{stderr}");
    place.write("from/broken", "");
    let (code, _, stderr) = fetch(&place, "debian-descriptions-en-de", &path);
    assert!(code == Some(1) && stderr.contains("E: no network"), "{stderr}");
    let (code, _, stderr) = fetch(&place, "debian-descriptions-en-de", "/nonexistent");
    assert!(code == Some(2) && stderr.contains("found no apt-get"), "{stderr}");
    assert_eq!(place.names().len(), 2);
}
