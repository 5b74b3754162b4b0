//! Many at one PKGDIR: some put packages in, some repair, some prune, some are killed.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use super::{FOO, Made, put};
use crate::support::Trial;
use ebd::binpkg::pkgdir::Format;

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

/// How many packages are in PKGDIR.
fn there(trial: &Trial) -> u64 {
    let files = walkdir::WalkDir::new(trial.packages())
        .into_iter()
        .flatten();
    let packages = files.filter(|file| {
        let name = file.file_name().to_string_lossy();
        !name.starts_with('.') && (name.ends_with(".xpak") || name.ends_with(".gpkg.tar"))
    });
    packages.count() as u64
}

#[test]
fn nothing_is_lost_when_many_work_at_once() {
    let trial = Trial::new();
    let (importers, each, pause) = crowd();
    // Every package has the same name and the same number, and all are different.
    let sources: Vec<String> = (0..importers)
        .map(|importer| {
            let source = trial.path(&format!("source-{importer}"));
            for number in 0..each {
                let format = [Format::Gpkg, Format::Xpak][(number % 2) as usize];
                let built = FOO.built + importer * 1000 + number;
                put(
                    &source,
                    Made {
                        format,
                        built,
                        ..FOO
                    },
                );
            }
            source.to_str().unwrap().to_owned()
        })
        .collect();
    let start = |source: &str| trial.start(&["binpkg", "import", source]);
    fs::create_dir(trial.packages()).unwrap();
    let mut at_work: Vec<(usize, Child)> = sources
        .iter()
        .map(|source| start(source))
        .enumerate()
        .collect();
    let mut fixer = trial.start(&["binpkg", "fix"]);
    // Removes nothing, but writes the index where it can.
    let mut pruner = trial.start(&["binpkg", "prune", "--keep", "100000"]);
    let mut killed = 0;
    let mut last = Instant::now();
    while !at_work.is_empty() {
        if !alive(&mut fixer) {
            fixer = trial.start(&["binpkg", "fix"]);
        }
        if !alive(&mut pruner) {
            pruner = trial.start(&["binpkg", "prune", "--keep", "100000"]);
        }
        let mut going = Vec::new();
        for (number, mut child) in at_work {
            if alive(&mut child) {
                going.push((number, child));
            } else if !child.wait().unwrap().success() {
                // Killed: somebody begins again; what was taken over is not taken twice.
                going.push((number, start(&sources[number])));
            }
        }
        at_work = going;
        // One is killed whenever so much more is there.
        let step = importers * each / (importers + 2);
        let wanted = killed as u64 * step + 1;
        let now = match pause {
            Some(pause) => last.elapsed() >= pause,
            None => (killed as u64) < importers + 1 && there(&trial) >= wanted,
        };
        if now {
            last = Instant::now();
            let victim = killed % at_work.len().max(1);
            if let Some((_, child)) = at_work.get_mut(victim) {
                child.kill().unwrap();
                killed += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    for mut child in [fixer, pruner] {
        child.wait().unwrap();
    }
    println!("{killed} were killed");
    assert!(killed > 0, "everything was over before anybody was killed");

    // Somebody who was killed between the package and its entry left a package that a repair finds.
    trial.run(&["binpkg", "fix"]).succeeds();
    trial.run(&["binpkg", "check"]).succeeds();
    trial
        .run(&["binpkg", "verify", "--ignore-signature"])
        .succeeds();
    let ids = trial.assert_pkgdir_valid();
    let unique: BTreeSet<u64> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
    let built: BTreeSet<i64> = trial
        .index()
        .iter()
        .map(|entry| entry.build_time().unwrap())
        .collect();
    assert_eq!(
        built.len() as u64,
        importers * each,
        "each package is there"
    );

    // Now with packages that go meanwhile: what the index says and what is there agree.
    let more = trial.path("more");
    for number in 0..each {
        put(
            &more,
            Made {
                built: FOO.built + 90_000 + number,
                ..FOO
            },
        );
    }
    let mut importer = start(more.to_str().unwrap());
    while alive(&mut importer) {
        trial.run(&["binpkg", "prune", "--keep", "3"]).succeeds();
    }
    assert!(importer.wait().unwrap().success());
    trial.run(&["binpkg", "prune", "--keep", "3"]).succeeds();
    trial.run(&["binpkg", "check"]).succeeds();
    let ids = trial.assert_pkgdir_valid();
    assert_eq!(ids.len(), 3, "{ids:?}");
    let newest: Vec<i64> = trial
        .index()
        .iter()
        .filter_map(|entry| entry.build_time())
        .collect();
    assert!(
        newest.iter().all(|time| *time >= FOO.built as i64 + 90_000),
        "{newest:?}"
    );
}
