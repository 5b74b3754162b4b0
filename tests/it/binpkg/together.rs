//! Many at one PKGDIR: some put packages in, some repair, some prune, some are killed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{ALL, FOO, Made, assert_found, filled, paths, put};
use crate::support::Trial;
use ebd::binpkg::pkgdir::{Format, Pkgdir, PkgdirOptions};
use ebd::pms::cpv::Cpv;

/// How many processes put packages in, how many each, and after how many seconds one is always killed:
/// EBD_TRIAL_CROWD="16 50 1" is more.
fn crowd() -> (u64, u64, Option<Duration>) {
    let given = std::env::var("EBD_TRIAL_CROWD").unwrap_or_default();
    let mut numbers = given.split_whitespace().map(|text| text.parse().unwrap());
    let (importers, each) = (numbers.next().unwrap_or(5), numbers.next().unwrap_or(8));
    (importers, each, numbers.next().map(Duration::from_secs))
}

fn alive(child: &mut Child) -> bool {
    child.try_wait().unwrap().is_none()
}

/// When the packages that the pruners said they removed were built.
fn pruned(trial: &Trial) -> BTreeSet<i64> {
    let said = fs::read_to_string(trial.path("pruned")).unwrap();
    // The last line may be on its way.
    let (said, _) = said.rsplit_once('\n').unwrap_or_default();
    let events = said.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event
    });
    let removed = events.filter(|event| event["event"] == "removed");
    removed
        .map(|event| event["build_time"].as_i64().unwrap())
        .collect()
}

/// When the packages that the index has were built.
fn built(trial: &Trial) -> BTreeSet<i64> {
    let index = trial.index();
    let times = index.iter().map(|entry| entry.build_time().unwrap());
    times.collect()
}

/// A file in the folder of the trial, written at its end by all.
fn log(trial: &Trial, name: &str) -> File {
    let path = trial.path(name);
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.unwrap()
}

#[test]
fn what_a_killed_builder_has_left_is_told_and_removed() {
    let trial = filled();
    // One that is at work.
    let pkgdir = Pkgdir::open(&trial.packages(), PkgdirOptions::default()).unwrap();
    let cpv = Cpv::parse("app-misc/foo-1").unwrap();
    let living = pkgdir.reserve(&cpv, Format::Xpak).unwrap();
    for (command, killed) in [
        (
            &["fix"][..],
            &[
                "app-misc/foo/.foo-1-7.partial",
                "app-misc/foo/foo-1-7.gpkg.tar",
            ][..],
        ),
        (&["prune", "--keep", "9"], &["app-misc/.foo-1.partial"]),
    ] {
        for path in killed {
            let half = if path.ends_with(".partial") {
                "half"
            } else {
                ""
            };
            fs::write(trial.packages().join(path), half).unwrap();
        }
        let told: Vec<String> = killed
            .iter()
            .map(|path| format!("{path}: was left by a builder that was killed"))
            .collect();
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let found = trial.run(&["binpkg", "check"]);
        assert_eq!(found.code(), 1);
        assert_found(&found, &told);
        let pretended = trial.run(&["binpkg", "prune", "--keep", "9", "--pretend"]);
        for path in killed {
            let line = format!("left over   {path}\n");
            assert!(pretended.succeeds().stdout.contains(&line), "{pretended}");
            assert!(trial.packages().join(path).exists());
        }
        let done = trial.run(&[&["binpkg"][..], command].concat());
        for path in killed {
            assert!(done.succeeds().stdout.contains(path), "{done}");
            assert!(!trial.packages().join(path).exists());
        }
        trial.run(&["binpkg", "check"]).succeeds();
    }
    assert!(living.path().exists());
    drop(living);
    assert_eq!(paths(&trial), ALL);
}

#[test]
fn nothing_is_lost_when_many_work_at_once() {
    let trial = Trial::new();
    let (importers, each, pause) = crowd();
    // Every package has the same name and the same number, and all are different.
    let sources: Vec<Vec<(i64, PathBuf)>> = (0..importers)
        .map(|importer| {
            let source = trial.path(&format!("source-{importer}"));
            let made = (0..each).map(|number| {
                let format = [Format::Gpkg, Format::Xpak][(number % 2) as usize];
                let built = FOO.built + importer * 1000 + number;
                let made = Made {
                    format,
                    built,
                    ..FOO
                };
                (built as i64, put(&source, made))
            });
            made.collect()
        })
        .collect();
    let keep = (importers * each / 4).to_string();
    // What was pruned is not brought again, or somebody who is always killed would never come to an end.
    let import = |source: &[(i64, PathBuf)]| {
        let mut seen = pruned(&trial);
        seen.extend(built(&trial));
        let new = source.iter().filter(|(time, _)| !seen.contains(time));
        let mut arguments = vec!["binpkg", "import"];
        arguments.extend(new.map(|(_, path)| path.to_str().unwrap()));
        (arguments.len() > 2).then(|| trial.start(&arguments))
    };
    let fix = || trial.start(&["binpkg", "fix"]);
    let prune = || {
        let mut command = trial.command(&["binpkg", "prune", "--keep", &keep, "--json"]);
        command
            .stdout(log(&trial, "pruned"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    fs::create_dir(trial.packages()).unwrap();
    let (mut fixer, mut pruner) = (fix(), prune());
    let mut at_work: Vec<(usize, Child)> = (0..sources.len())
        .filter_map(|number| Some((number, import(&sources[number])?)))
        .collect();
    // How often a repair and a pruning came to their end while packages came in.
    let (mut repairs, mut prunings) = (0, 0);
    let mut killed = 0;
    let mut last = Instant::now();
    while !at_work.is_empty() {
        if !alive(&mut fixer) {
            repairs += u32::from(fixer.wait().unwrap().success());
            fixer = fix();
        }
        if !alive(&mut pruner) {
            assert!(pruner.wait().unwrap().success());
            prunings += 1;
            pruner = prune();
        }
        let mut going = Vec::new();
        for (number, mut child) in at_work {
            if alive(&mut child) {
                going.push((number, child));
            } else if !child.wait().unwrap().success() {
                // Killed: somebody begins again; with what is not there.
                going.extend(import(&sources[number]).map(|child| (number, child)));
            }
        }
        at_work = going;
        // One is killed whenever so much more is there, or was.
        let step = importers * each / (importers + 2);
        let wanted = killed as u64 * step + 1;
        let seen = || built(&trial).union(&pruned(&trial)).count() as u64;
        let now = match pause {
            Some(pause) => last.elapsed() >= pause,
            None => (killed as u64) < importers + 1 && seen() >= wanted,
        };
        if now {
            last = Instant::now();
            // All but the pruner, which says only at its end what it removed.
            let victim = killed % (at_work.len() + 1);
            match at_work.get_mut(victim) {
                Some((_, child)) => child.kill().unwrap(),
                None => fixer.kill().unwrap(),
            }
            killed += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(pruner.wait().unwrap().success());
    fixer.wait().unwrap();
    let gone = pruned(&trial);
    println!(
        "{killed} were killed; {repairs} repairs, {prunings} prunings, which removed {}",
        gone.len()
    );
    assert!(killed > 0, "everything was over before anybody was killed");
    assert!(repairs > 0 && !gone.is_empty(), "nobody disturbed");

    // Somebody who was killed between the package and its entry left a package that a repair finds.
    trial.run(&["binpkg", "fix"]).succeeds();
    trial.run(&["binpkg", "check"]).succeeds();
    trial
        .run(&["binpkg", "verify", "--ignore-signature"])
        .succeeds();
    let unique = |ids: Vec<u64>| {
        let unique: BTreeSet<u64> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "{ids:?}");
        ids.len() as u64
    };
    unique(trial.assert_pkgdir_valid());
    let all: BTreeSet<i64> = (0..importers)
        .flat_map(|importer| (0..each).map(move |number| importer * 1000 + number))
        .map(|number| (FOO.built + number) as i64)
        .collect();
    let seen: BTreeSet<i64> = built(&trial).union(&gone).copied().collect();
    assert_eq!(seen, all, "each package is there, or was pruned");

    // A pruning never removes what is among the newest, so these are the newest of all.
    assert!(prune().wait().unwrap().success());
    trial.run(&["binpkg", "check"]).succeeds();
    let kept = unique(trial.assert_pkgdir_valid());
    let newest: BTreeSet<i64> = all.iter().rev().take(kept as usize).copied().collect();
    assert_eq!(kept.to_string(), keep);
    assert_eq!(built(&trial), newest);
}
