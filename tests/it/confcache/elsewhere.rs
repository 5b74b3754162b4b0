//! What a script does with pipes, and what it makes outside of its folder, in places for temporary files or not.

use std::fs;
use std::path::{Path, PathBuf};

use super::answers::{asks, asks_with, check, trial};
use super::{Trial, shown};
use crate::support::{EBD, Outcome};

/// Who writes to a pipe that nobody reads is ended, or a script that counts on it never ends.
#[test]
fn pipes_that_nobody_reads_end_who_writes_to_them() {
    let trial = Trial::new(
        "grep SigIgn /proc/self/status >made\n\
         (n=0; while test $n -lt 50000; do echo y || :; n=$((n+1)); done; : >survived) 2>/dev/null | head -n 1 >>made\n\
         : >config.status\n",
    );
    let look = || {
        let build = trial.path("build");
        let made = fs::read_to_string(build.join("made")).unwrap();
        (made, build.join("survived").exists())
    };
    let [(_, plain), (_, cached)] = trial.with_and_without(&[], &[], look);
    assert_eq!(plain, cached);
    assert!(!cached.1);
    assert!(!crate::support::ignores_pipes(
        plain.0.lines().next().unwrap()
    ));
    assert_eq!(trial.same_as_uncached(&["again"]), "learned");
    assert_eq!(trial.same_as_uncached(&["again"]), "hit");
}

/// A path at which nothing is, in a folder in which programs may have temporary files; none if nothing can be made
/// there. Its name is one that people give.
fn unused(folder: &str, name: &str) -> Option<PathBuf> {
    let path = Path::new(folder).join(format!("ebd-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path)
        .and_then(|()| fs::remove_dir(&path))
        .ok()?;
    Some(path)
}

/// Removes what a test has made, however it ends.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Asserts that configuring does the same as without a cache, and gives what became of it and what is said of that.
#[track_caller]
fn replayed(trial: &Trial, variables: &[(&str, &str)]) -> (String, String) {
    let all = [
        ("./configure", &[][..]),
        (EBD, &["confcache", "-v", "--", "./configure"]),
    ];
    let [plain, cached] = all.map(|(program, arguments)| {
        trial.clean();
        let mut command = trial.command(program, arguments);
        let outcome = Outcome::of(command.envs(variables.iter().copied()));
        outcome.succeeds();
        (outcome, shown(&trial.path("build")))
    });
    assert_eq!(plain.1, cached.1, "{}", cached.0);
    (trial.last(), cached.0.stderr)
}

/// What is installed below such a folder is there for the next run.
#[test]
fn what_is_not_there_counts_where_temporary_files_are() {
    let own = Trial::new("").path("out");
    for folder in ["/tmp", "/var/tmp", "/dev/shm", "TMPDIR"] {
        let text = |place: &Path| {
            format!(
                "if test -f {}/include/foo.h; then x=yes; else x=no; fi",
                place.display()
            )
        };
        let own = Removed(own.clone());
        fs::create_dir_all(&own.0).unwrap();
        let variables = match folder {
            "TMPDIR" => vec![("TMPDIR", own.0.to_str().unwrap())],
            _ => Vec::new(),
        };
        let place = match folder {
            "TMPDIR" => Some(own.0.join("inst")),
            _ => unused(folder, "absent"),
        };
        let Some(place) = place.map(Removed) else {
            eprintln!("left out: nothing can be made in {folder}");
            continue;
        };
        let install = || {
            fs::create_dir_all(place.0.join("include")).unwrap();
            fs::write(place.0.join("include/foo.h"), "").unwrap();
        };
        let whole = Trial::new(&format!(
            "{}\necho $x >made\n: >config.status\n",
            text(&place.0)
        ));
        for installed in [false, true] {
            if installed {
                install();
            }
            assert_eq!(replayed(&whole, &variables).0, "learned", "{folder}");
            assert_eq!(replayed(&whole, &variables).0, "hit", "{folder}");
        }
        fs::remove_dir_all(&place.0).unwrap();
        let asked = trial(&check(
            "ac_cv_x",
            &format!("{}; ac_cv_x=$x", text(&place.0)),
        ));
        for installed in [false, true] {
            if installed {
                install();
            }
            assert_eq!(asks_with(&asked, &["a"], &variables), (0, 1), "{folder}");
            assert_eq!(asks_with(&asked, &["b"], &variables), (1, 1), "{folder}");
        }
    }
}

/// What a run makes for itself is in nobody's way only if it was in nobody's.
#[test]
fn what_is_made_and_removed_was_not_there() {
    for body in [
        "if test -d LOCK; then x=locked; else mkdir LOCK; rmdir LOCK; x=free; fi",
        "if mkdir LOCK 2>/dev/null; then rmdir LOCK; x=free; else x=locked; fi",
        "if mkdir LOCK 2>/dev/null; then : >LOCK/file; rm -r LOCK; x=free; else x=locked; fi",
        "if (set -C; : >LOCK) 2>/dev/null; then rm -f LOCK; x=free; else x=locked; fi",
        "if ln -sT x LOCK 2>/dev/null; then rm -f LOCK; x=free; else x=locked; fi",
        "x=free; test -d LOCK/sub && x=locked; mkdir -p LOCK/sub; test $x = locked || rm -r LOCK",
    ] {
        let temporary = unused("/tmp", "lock").unwrap();
        for place in ["$OUT/lock", temporary.to_str().unwrap()] {
            let text = body.replace("LOCK", &format!("\"{place}\""));
            let whole = Trial::new(&format!("{text}\necho $x >made\n: >config.status\n"));
            let asked = trial(&check("ac_cv_x", &format!("{text}\nac_cv_x=$x")));
            let lock = |trial: &Trial| match place.strip_prefix("$OUT") {
                Some(_) => Removed(trial.path("out/lock")),
                None => Removed(temporary.clone()),
            };
            assert_eq!(replayed(&whole, &[]).0, "learned", "{text}");
            assert_eq!(replayed(&whole, &[]).0, "hit", "{text}");
            let locked = lock(&whole);
            fs::create_dir_all(locked.0.join("sub")).unwrap();
            assert_ne!(replayed(&whole, &[]).0, "hit", "{text}");
            drop(locked);
            assert_eq!(replayed(&whole, &[]).0, "hit", "{text}");
            assert_eq!(asks(&asked, &["a"]), (0, 1), "{text}");
            assert_eq!(asks(&asked, &["b"]), (1, 1), "{text}");
            let locked = lock(&asked);
            fs::create_dir_all(locked.0.join("sub")).unwrap();
            assert_eq!(asks(&asked, &["c"]).0, 0, "{text}");
        }
    }
}

/// Each compiler makes some of them, of which an entry would be full.
#[test]
fn names_that_are_made_up_are_not_remembered() {
    let held = |body: &str| -> usize {
        let trial = Trial::new(&format!("{body}\n: >config.status\n"));
        assert_eq!(replayed(&trial, &[]).0, "learned", "{body}");
        let (outcome, told) = replayed(&trial, &[]);
        assert_eq!(outcome, "hit", "{body}");
        let number = told.split_whitespace().find_map(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("{told}"))
    };
    let made = "f=`mktemp`; rm \"$f\"; d=`mktemp -d`; : >\"$d/x\"; mv \"$d/x\" \"$d/y\"; cat \"$d/y\"; rm -r \"$d\"";
    let once = held(made);
    let often = held(&format!(
        "for x in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do {made}; done"
    ));
    // Chance has it that some of them look like words.
    assert!(often < once + 20, "{once} {often}");
}

/// A check that is made again finds what has become of things, as do those of another script.
#[test]
fn what_a_script_changes_between_its_checks_counts() {
    let own = unused("/var/tmp", "between").map(Removed).unwrap();
    let temporary = own.0.to_str().unwrap();
    let f = |text: &str| format!("f () {{\n{}}}\n", check("ac_cv_x", text));
    let again = "unset ac_cv_x\nf\n";
    for out in ["$OUT", temporary] {
        for (text, change, back) in [
            (
                "if test -f OUT/gen; then ac_cv_x=yes; else ac_cv_x=no; fi",
                ": >OUT/gen",
                "rm OUT/gen",
            ),
            (
                "ac_cv_x=`cat OUT/old`",
                "echo other >OUT/old",
                "echo one >OUT/old",
            ),
            (
                "if test -f OUT/d/gen; then ac_cv_x=yes; else ac_cv_x=no; fi",
                "mv OUT/e OUT/d",
                "mv OUT/d OUT/e",
            ),
            (
                "ac_cv_x=`cat OUT/l/gen`",
                "rm OUT/l; ln -s f OUT/l",
                "rm OUT/l; ln -s e OUT/l",
            ),
            ("ac_cv_x=`ls OUT/e`", "mkdir OUT/e/sub", "rmdir OUT/e/sub"),
            // Who has a file open may write to it later.
            (
                "ac_cv_x=`cat OUT/old`",
                "exec 9>>OUT/old",
                "echo more >&9; exec 9>&-; unset ac_cv_x\nf\necho one >OUT/old",
            ),
        ] {
            let text = format!("{}f\n{change}\n{again}{back}\n{again}", f(text));
            let asked = trial(&text.replace("OUT", &format!("\"{out}\"")));
            let folder = match out {
                "$OUT" => asked.path("out"),
                other => PathBuf::from(other),
            };
            for (name, content) in [("old", "one\n"), ("e/gen", "in e\n"), ("f/gen", "in f\n")] {
                let path = folder.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            let _ = fs::remove_file(folder.join("l"));
            std::os::unix::fs::symlink("e", folder.join("l")).unwrap();
            for argument in ["a", "b"] {
                assert!(asks(&asked, &[argument]).1 >= 3, "{text}");
            }
        }
    }
}
