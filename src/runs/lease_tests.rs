//! Tests of leases: one holder at a time, and what a dead one leaves.

use super::*;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

fn leases(folder: &TempDir) -> Leases {
    Leases::new(folder.path().join("leases")).unwrap()
}

fn taken(leases: &mut Leases, name: &str) -> Lease {
    match leases.take(name).unwrap() {
        Attempt::Taken(lease) => lease,
        Attempt::Held(who) => panic!("held by {who}"),
    }
}

fn held(leases: &mut Leases, name: &str) -> Option<String> {
    match leases.take(name).unwrap() {
        Attempt::Taken(_) => None,
        Attempt::Held(who) => Some(who),
    }
}

/// Makes the last lease that of a process elsewhere.
fn move_elsewhere(lease: &Lease) {
    let text = fs::read_to_string(&lease.path).unwrap();
    fs::write(&lease.path, text.replace(&lease.record.place, "another machine")).unwrap();
}

#[test]
fn one_holder_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (leases(&folder), leases(&folder));
    let lease = taken(&mut one, "a-s1");
    let who = held(&mut other, "a-s1").unwrap();
    assert!(who.starts_with(&format!("process {} of ", std::process::id())), "{who}");
    assert_eq!(held(&mut other, "a"), None, "another name");
    assert_eq!((other.number("a-s1").unwrap(), other.ended("a-s1").unwrap()), (1, 0));
    lease.give_back().unwrap();
    assert!(!other.was_left("a-s1").unwrap());
    assert_eq!((other.number("a-s1").unwrap(), other.ended("a-s1").unwrap(), other.ended("b").unwrap()), (1, 1, 0));
    drop(taken(&mut other, "a-s1"));
    assert!(folder.path().join("leases/a-s1.2").exists());
}

#[test]
fn a_dead_process_of_this_machine_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = leases(&folder);
    let mut lease = taken(&mut all, "a");
    lease.record.begun += 1;
    lease.write().unwrap();
    assert!(all.was_left("a").unwrap());
    drop(taken(&mut all, "a"));
}

#[test]
fn a_holder_elsewhere_is_dead_when_it_gives_no_sign() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = leases(&folder);
    all.stale = Duration::from_millis(80);
    let lease = taken(&mut all, "a");
    move_elsewhere(&lease);
    let text = fs::read_to_string(&lease.path).unwrap();
    for sign in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z"] {
        assert!(held(&mut all, "a").is_some());
        std::thread::sleep(Duration::from_millis(50));
        fs::write(&lease.path, text.replace(&lease.record.renewed, sign)).unwrap();
    }
    assert!(held(&mut all, "a").is_some() && !all.was_left("a").unwrap());
    std::thread::sleep(Duration::from_millis(100));
    assert!(all.was_left("a").unwrap());
    drop(taken(&mut all, "a"));
}

#[test]
fn who_was_taken_for_dead_sees_it_at_the_next_beat() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = leases(&folder);
    all.stale = Duration::ZERO;
    let mut lease = taken(&mut all, "a");
    lease.renewed -= BEAT;
    assert!(lease.renew().unwrap());
    move_elsewhere(&lease);
    let next = taken(&mut all, "a");
    assert!(lease.renew().unwrap(), "no beat is due");
    lease.renewed -= BEAT;
    assert!(!lease.renew().unwrap());
    lease.give_back().unwrap();
    all.stale = STALE;
    assert!(held(&mut all, "a").is_some(), "what the first gives back is not the second's");
    next.give_back().unwrap();
}

#[test]
fn of_many_that_take_over_one_does() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let name = format!("cell-{round}");
        let mut dead = taken(&mut leases(&folder), &name);
        dead.record.begun += 1;
        dead.write().unwrap();
        let got = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    if let Attempt::Taken(_) = leases(&folder).take(&name).unwrap() {
                        got.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(got.into_inner(), 1);
    }
}

#[test]
fn a_torn_lease_is_held_until_it_gives_no_sign() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = leases(&folder);
    fs::write(folder.path().join("leases/a.1"), "{\"state\": \"he").unwrap();
    all.stale = Duration::from_millis(30);
    assert_eq!(held(&mut all, "a").unwrap(), "another process");
    std::thread::sleep(Duration::from_millis(40));
    drop(taken(&mut all, "a"));
}
