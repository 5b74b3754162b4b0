//! Facts that hold, and those that do not any more.

use std::fs;

use super::*;

const EVERYTHING: Asked = Asked {
    link: true,
    content: true,
    names: true,
    time: true,
    rights: true,
    extended: true,
};

fn fact(path: &Path) -> Fact {
    Fact::look(path, EVERYTHING, None, &Rules::default())
}

#[test]
fn what_a_link_leads_to_is_not_read_again() {
    let tmp = tempfile::tempdir().unwrap();
    let (file, link) = (tmp.path().join("file"), tmp.path().join("link"));
    fs::write(&file, "one").unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();
    let asked = Asked {
        content: true,
        ..Asked::default()
    };
    let rules = Rules::default();
    let fact = Fact::look(&link, asked, None, &rules);
    assert_eq!(fact.check(&rules), Ok(None));
    // Where it leads was not asked.
    fs::remove_file(&link).unwrap();
    fs::hard_link(&file, &link).unwrap();
    assert!(fact.check(&rules).is_ok());
    fs::write(&file, "two").unwrap();
    assert!(fact.check(&rules).is_err());
}

#[test]
fn what_is_known_of_a_file_is_known_until_it_is_touched() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("file");
    fs::write(&file, "one").unwrap();
    let fact = fact(&file);
    let mut sums = Sums::default();
    // What nobody can have touched since, as far as times tell.
    let stamp = Stamp {
        changed: (0, 0),
        ..fact.stamp.unwrap()
    };
    let old = Fact {
        stamp: Some(stamp),
        ..fact
    };
    sums.know([&old].into_iter());
    let missing = tmp.path().join("missing");
    let State::File { content, .. } = old.state else {
        panic!("{old:?}");
    };
    assert_eq!(sums.of(&missing, stamp), content);
    let other = Stamp { size: 4, ..stamp };
    assert_eq!(sums.of(&missing, other), None);
}

#[test]
fn what_is_unchanged_holds_and_what_changed_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| tmp.path().join(name);
    fs::write(at("file"), "one").unwrap();
    fs::create_dir(at("dir")).unwrap();
    std::os::unix::fs::symlink("file", at("link")).unwrap();
    let rules = Rules::default();
    let names = ["file", "dir", "link", "none"];
    let facts: Vec<Fact> = names.iter().map(|name| fact(&at(name))).collect();
    for fact in &facts {
        assert_eq!(fact.check(&rules), Ok(None));
    }
    let broken = |at: usize| {
        let broken = facts[at].check(&rules).unwrap_err();
        format!("{} -> {}", broken.was, broken.is)
    };
    // The same text in another file: only the stamp is new.
    fs::write(at("new"), "one").unwrap();
    fs::rename(at("new"), at("file")).unwrap();
    assert!(matches!(facts[0].check(&rules), Ok(Some(_))));
    fs::write(at("file"), "two").unwrap();
    assert!(
        broken(0).starts_with("a file with SHA-256"),
        "{}",
        broken(0)
    );
    assert!(facts[2].check(&rules).is_err());
    fs::write(at("file"), "three").unwrap();
    assert_eq!(broken(0), "a file of 3 bytes -> a file of 5 bytes");
    fs::write(at("dir/x"), "").unwrap();
    assert!(broken(1).contains("whose names"), "{}", broken(1));
    fs::remove_file(at("link")).unwrap();
    std::os::unix::fs::symlink("dir", at("link")).unwrap();
    assert!(
        broken(2).contains("a link to dir, a directory"),
        "{}",
        broken(2)
    );
    fs::write(at("none"), "").unwrap();
    assert_eq!(broken(3), "absent -> a file");
}

#[test]
fn a_file_of_the_same_size_and_time_is_another() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("cc");
    fs::write(&path, "old compiler").unwrap();
    let time = filetime::FileTime::from_unix_time(1_000_000, 0);
    filetime::set_file_mtime(&path, time).unwrap();
    let fact = fact(&path);
    fs::write(&path, "new compiler").unwrap();
    filetime::set_file_mtime(&path, time).unwrap();
    assert!(fact.check(&Rules::default()).is_err());
}

#[test]
fn what_has_just_been_written_is_read_again() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("conftest.c");
    fs::write(&path, "one").unwrap();
    let stamp = Stamp::of(&fs::metadata(&path).unwrap());
    let mut sums = Sums::default();
    let one = sums.of(&path, stamp);
    fs::write(&path, "two").unwrap();
    // As a clock may have it that goes in steps.
    assert_ne!(sums.of(&path, stamp), one);
    let changed = SystemTime::now() - 2 * STEP;
    let changed = changed.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let old = Stamp {
        changed: (i64::try_from(changed.as_secs()).unwrap(), 0),
        ..stamp
    };
    let two = sums.of(&path, old);
    fs::write(&path, "one").unwrap();
    assert_eq!(sums.of(&path, old), two, "it is not read once more");
}

#[test]
fn nobody_is_waited_for() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(fact(&path).check(&Rules::default()), Ok(None));
}
