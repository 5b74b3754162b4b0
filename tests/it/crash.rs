//! The supervisor ends before its work: nothing keeps running, nothing half-done counts.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::Trial;

/// An ebuild that keeps many processes busy in each of its phases, some of which flee.
const BUSY: &str = r#"
__flee() {
	setsid sleep 300 &
	( setsid bash -c 'trap "" TERM HUP INT; while :; do sleep 0.05; done' "flee ${T}" </dev/null >/dev/null 2>&1 & )
	( cd /; exec setsid env -i bash -c 'exec -a "fled ${0}" sleep 300' "${T}" ) &
}
pkg_setup() { __flee; }
src_unpack() { __flee; mkdir -p "${S}"; echo data >"${WORKDIR}"/data || die; }
src_prepare() { default; __flee; }
src_configure() { __flee; }
src_compile() {
	__flee
	local i
	for i in {1..25}; do
		seq 300 | sort -r | grep 1 | tr 1 2 | cat >"${WORKDIR}"/out.${i} || die
	done
}
src_install() {
	__flee
	insinto /usr/share/foo
	doins "${WORKDIR}"/out.*
	head -c 200000 /dev/urandom >"${WORKDIR}"/noise || die
	doins "${WORKDIR}"/noise
}
"#;

fn busy() -> Trial {
    Trial::new()
        .package("app-misc/foo-1", BUSY)
        .variable("FEATURES", "test")
}

/// Numbers that look random: the same ones for the same seed (splitmix64).
struct Random(u64);

impl Random {
    /// A number below 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) as f64 / u64::MAX as f64
    }

    /// The seed in EBD_TEST_SEED, or one from the clock, which is printed.
    fn seeded() -> Self {
        let seed = std::env::var("EBD_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| {
                let now = std::time::SystemTime::now();
                now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
            });
        println!("EBD_TEST_SEED={seed}");
        Self(seed)
    }
}

fn send(child: &Child, signal: Signal) {
    let _ = kill(Pid::from_raw(child.id() as i32), signal);
}

#[test]
fn a_killed_supervisor_leaves_no_process_and_no_broken_package() {
    let mut random = Random::seeded();
    let trial = busy();
    let begin = Instant::now();
    trial.run(&["build", "app-misc/foo"]).succeeds();
    let usual = begin.elapsed();
    trial.assert_no_processes("after a build");
    let mut ids = trial.assert_pkgdir_valid();
    assert_eq!(ids, [1]);
    for round in 0..20 {
        let delay = usual.mul_f64(random.share() * 1.1);
        let when = format!("killed in round {round} after {delay:?} of {usual:?}");
        let resume = round % 2 == 1;
        let mut child = trial.start(&["build", "app-misc/foo"]);
        std::thread::sleep(delay);
        send(&child, Signal::SIGKILL);
        child.wait().unwrap();
        trial.assert_no_processes(&when);
        let after = trial.assert_pkgdir_valid();
        assert!(
            after.len() >= ids.len() && after.len() <= ids.len() + 1,
            "{when}"
        );
        ids = after;
        if round % 4 < 2 {
            // The next kill meets what this one left.
            continue;
        }
        let mut outcome = trial.run(if resume {
            &["build", "--resume", "app-misc/foo"]
        } else {
            &["build", "app-misc/foo"]
        });
        if resume && outcome.code() == 1 && outcome.stderr.contains("no build to resume") {
            outcome = trial.run(&["build", "app-misc/foo"]);
        }
        assert_eq!(outcome.code(), 0, "{when}: {outcome}");
        let after = trial.assert_pkgdir_valid();
        assert_eq!(after.len(), ids.len() + 1, "{when}");
        assert!(after.last() > ids.last(), "{when}: {after:?} after {ids:?}");
        let listed = trial.index().into_iter().rev().find_map(|entry| {
            (entry.build_id() == after.last().copied()).then(|| entry.path().into_owned())
        });
        assert!(
            outcome.stdout.trim_end().ends_with(&listed.unwrap()),
            "{when}: {outcome}"
        );
        ids = after;
    }
    let mut distinct = ids.clone();
    distinct.dedup();
    assert_eq!(distinct, ids);
}

#[test]
fn a_signal_ends_everything_and_is_the_exit_status() {
    for (signal, code) in [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
    ] {
        if sandbox::signals::is_ignored(signal) {
            continue;
        }
        for phase in ["src_compile", "src_install"] {
            let trial = Trial::new();
            let go = trial.path("go");
            let go = go.display();
            let trial = trial.package(
                "app-misc/foo-1",
                &format!(
                    "{phase}() {{\n\t[[ ! -e {go} ]] || return 0\n\tsetsid sleep 300 &\n\ttrap '' INT TERM HUP\n\ttouch \"${{T}}\"/there\n\tsleep 300 | cat\n}}"
                ),
            );
            let mut child = trial.start(&["build", "app-misc/foo"]);
            let there = trial.builddir("app-misc/foo-1").join("temp/there");
            while !there.exists() {
                assert!(
                    child.try_wait().unwrap().is_none(),
                    "{phase} was not reached"
                );
                std::thread::sleep(Duration::from_millis(5));
            }
            send(&child, signal);
            let status = child.wait().unwrap();
            let given = status.code().or(status.signal().map(|signal| 128 + signal));
            assert_eq!(given, Some(code), "{signal}");
            // At once: what the program promises is that they are gone when it is.
            assert_eq!(trial.processes(), [], "{signal}");
            trial.assert_nothing_written();
            // Nobody holds the lock, and the build can be taken up.
            trial.put("go", "");
            trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
        }
    }
}

/// A build that has begun to write its package, and where it does.
fn packing() -> (Trial, Child, PathBuf) {
    let trial = Trial::new().package(
        "app-misc/foo-1",
        "src_install() {\n\tinsinto /usr/share/foo\n\thead -c 20000000 /dev/urandom >noise || die\n\tdoins noise\n}",
    );
    let places = trial.path("packages/app-misc/foo");
    let mut child = trial.start(&["build", "app-misc/foo"]);
    while std::fs::read_dir(&places).map_or(0, Iterator::count) == 0 {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    (trial, child, places)
}

#[test]
fn a_package_that_was_being_written_is_gone_after_a_kill() {
    let (trial, mut child, places) = packing();
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let before = trial.assert_pkgdir_valid();
    trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
    let after = trial.assert_pkgdir_valid();
    assert_eq!(after.len(), before.len() + 1);
    // What the killed one left is swept away: packages and nothing else.
    let names: Vec<String> = std::fs::read_dir(&places)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().all(|name| name.ends_with(".gpkg.tar")),
        "{names:?}"
    );
    for name in names {
        assert!(places.join(name).metadata().unwrap().len() > 0);
    }
}

#[test]
fn a_build_right_behind_a_kill_has_the_directory_for_itself() {
    let trial = Trial::new();
    let go = trial.path("go");
    let trial = trial.package(
        "app-misc/foo-1",
        &format!(
            "src_compile() {{\n\tif [[ ! -e {0} ]]; then\n\t\ttouch \"${{T}}\"/there\n\t\twhile :; do echo >>\"${{WORKDIR}}\"/a; done\n\tfi\n\t[[ ! -e ${{WORKDIR}}/a ]] || die \"somebody is here\"\n}}",
            go.display()
        ),
    );
    let there = trial.builddir("app-misc/foo-1").join("temp/there");
    for _ in 0..4 {
        let _ = std::fs::remove_file(&go);
        let _ = std::fs::remove_file(&there);
        let mut child = trial.start(&["build", "app-misc/foo"]);
        while !there.exists() {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(2));
        }
        trial.put("go", "");
        send(&child, Signal::SIGKILL);
        child.wait().unwrap();
        trial.run(&["build", "app-misc/foo"]).succeeds();
    }
    trial.assert_pkgdir_valid();
}

#[test]
fn an_interruption_while_packing_leaves_nothing_half_done() {
    let (trial, mut child, _) = packing();
    send(&child, Signal::SIGINT);
    child.wait().unwrap();
    assert_eq!(trial.processes(), []);
    let before = trial.assert_pkgdir_valid();
    trial.run(&["build", "app-misc/foo"]).succeeds();
    assert!(trial.assert_pkgdir_valid().len() > before.len());
}

/// The end of a terminal is nobody's business below `nohup`.
#[test]
fn a_build_below_nohup_goes_on() {
    let trial = Trial::new().package(
        "app-misc/foo-1",
        "src_compile() {\n\ttouch \"${T}\"/there\n\tuntil [[ -e ${T}/go ]]; do sleep 0.01; done\n\tbash -c 'kill -HUP $$' || die\n}",
    );
    let mut command = crate::support::without_hangups(&trial.command(&["build", "app-misc/foo"]));
    let mut child = command.stdin(std::process::Stdio::null()).spawn().unwrap();
    let temp = trial.builddir("app-misc/foo-1").join("temp");
    while !temp.join("there").exists() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the phase was not reached"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    send(&child, Signal::SIGHUP);
    std::thread::sleep(Duration::from_millis(100));
    std::fs::write(temp.join("go"), "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
