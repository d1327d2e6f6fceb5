use super::*;
use prost::Message;

/// The events of a file; lengths alone are looked at here, checksums are where runs are read from outside.
fn events(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap();
    let (mut events, mut rest) = (Vec::new(), &bytes[..]);
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        events.push(Event::decode(&rest[12..12 + length]).unwrap());
        rest = &rest[16 + length..];
    }
    events
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = event_files(folder).unwrap().into_iter().map(|(path, _)| path).collect();
    files.sort();
    files
}

fn row(step: u64, split: Split) -> Row {
    Row {
        loss: Some(2.5),
        perplexity: Some(f64::INFINITY),
        lr: Some(1e-3),
        step_ms: Some(12.5),
        elapsed_s: Some(1.0),
        extra: vec![("accuracy".into(), Some(0.5)), ("objective".into(), None)],
        ..Row::new(step, 0.5, 100, split)
    }
}

#[test]
fn a_row_becomes_points_by_split_and_kind() {
    let train = [("train/loss", 2.5), ("train/perplexity", f64::INFINITY), ("train/accuracy", 0.5)];
    let of_update = [("lr", 1e-3), ("performance/step_ms", 12.5)];
    let told = |points: &[(&str, f64)]| points.iter().map(|(tag, value)| (tag.to_string(), *value)).collect::<Vec<_>>();
    assert_eq!(scalars(&row(1, Split::Train)), told(&[&train[..], &of_update].concat()));
    let validation = train.map(|(tag, value)| (tag.replace("train", "validation"), value));
    assert_eq!(scalars(&row(1, Split::Validation)), validation);
}

#[test]
fn texts_are_shown_as_they_are() {
    assert_eq!(verbatim("a = 1\n\n# *b*\n"), "    a = 1\n    \n    # *b*");
    assert_eq!(verbatim(""), "");
}

#[test]
fn a_resumed_run_has_a_later_file_that_voids_what_it_does_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::open(folder.path(), None).unwrap();
    board.row(&row(3, Split::Train)).unwrap();
    // Flushed row by row.
    let first = files(folder.path());
    let steps = |path: &Path| events(path).iter().map(|event| event.step).collect::<Vec<_>>();
    assert_eq!(steps(&first[0]), [0, 0, 3]);
    assert_eq!(events(&first[0])[1].session_log, Some(SessionLog::start()));
    assert_eq!(events(&first[0])[0].file_version.as_deref(), Some("brain.Event:2"));
    // While the clock says the past.
    let later = folder.path().join(format!("{PREFIX}4000000000.synth"));
    fs::rename(&first[0], &later).unwrap();
    drop(TensorBoard::open(folder.path(), Some(2)).unwrap());
    assert_eq!(files(folder.path()), [later, folder.path().join(format!("{PREFIX}4000000001.synth"))]);
    let resumed = events(&files(folder.path())[1]);
    assert_eq!((resumed[1].step, resumed[1].session_log.clone()), (3, Some(SessionLog::start())));
    // Begun anew, nothing of it is left.
    fs::write(folder.path().join("notes"), "").unwrap();
    drop(TensorBoard::open(folder.path(), None).unwrap());
    assert_eq!(files(folder.path()).len(), 1);
    assert!(folder.path().join("notes").exists());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tensorboard"), "").unwrap();
    let error = TensorBoard::open(&folder.path().join("tensorboard"), None).unwrap_err().to_string();
    assert!(error.starts_with("cannot write ") && error.contains("tensorboard: "), "{error}");
}
