//! Configure runs of builds.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::HEAD;
use super::answers::{BEGIN, END, asks_the_compiler, check};
use crate::support::{Outcome, Trial, is_root};

/// An ebuild that configures and installs what came of it.
const BODY: &str = "src_unpack() { cp -r \"${FILESDIR}\"/. \"${S}\"; chmod +x \"${S}\"/configure; }\n\
                    S=${WORKDIR}/src\n\
                    src_configure() { econf ${MY_OPTION}; }\n\
                    src_compile() { echo \"and more\" >> made; }\n\
                    src_install() { insinto /usr/share; doins made; }\n";

/// Its script, which tells when it is run.
const SCRIPT: &str = "echo 'checking... yes'\ncat \"$OUTSIDE/header\" > made\necho \"$*\" >> made\n\
                      cp made \"$TMPDIR/x\"; rm \"$TMPDIR/x\"\necho run\n";

fn trial(features: &str, body: &str) -> Trial {
    let trial = Trial::new()
        .package("app-misc/foo-1", body)
        .file(
            "repo/app-misc/foo/files/configure",
            format!("{HEAD}{SCRIPT}"),
        )
        // Only what builds may write to usually: neither the cache nor what is outside.
        .file(
            "conf/etc/sandbox.conf",
            "SANDBOX_WRITE=\"/dev/null:/dev/zero:/dev/full:/dev/tty:/dev/pts:/dev/shm\"\n",
        )
        .file("outside/header", "one\n");
    let outside = trial.path("outside").display().to_string();
    let cache = trial.path("confcache").display().to_string();
    fs::create_dir(trial.path("confcache")).unwrap();
    fs::create_dir(trial.path("repo/app-misc/foo/files/sub")).unwrap();
    trial
        .make_conf(&format!(
            "FEATURES=\"-* {features}\"\nOUTSIDE=\"{outside}\"\n"
        ))
        .variable("EBD_CONFCACHE", &cache)
}

/// Builds, and gives what was installed and what became of the configure run.
#[track_caller]
fn build(trial: &Trial) -> (String, String) {
    let outcome = trial.run(&["build", "--keep", "app-misc/foo"]);
    outcome.succeeds();
    (image(trial), last(trial))
}

fn image(trial: &Trial) -> String {
    let path = trial
        .builddir("app-misc/foo-1")
        .join("image/usr/share/made");
    fs::read_to_string(path).unwrap()
}

fn last(trial: &Trial) -> String {
    let journal = fs::read_to_string(trial.path("confcache/journal")).unwrap_or_default();
    let Some(line) = journal.lines().last() else {
        return "nothing".to_owned();
    };
    let record: serde_json::Value = serde_json::from_str(line).unwrap();
    record["outcome"].as_str().unwrap().to_owned()
}

fn log(trial: &Trial) -> String {
    let log = trial.builddir("app-misc/foo-1").join("temp/build.log");
    fs::read_to_string(log).unwrap()
}

/// Learns, puts back, and sees what changes.
fn learns_and_puts_back(trial: &Trial) {
    let first = build(trial);
    assert_eq!(first.1, "learned", "{}", log(trial));
    assert!(
        first.0.starts_with("one\n") && first.0.ends_with("and more\n"),
        "{}",
        first.0
    );
    let second = build(trial);
    assert_eq!(
        second,
        (first.0.clone(), "hit".to_owned()),
        "{}",
        log(trial)
    );
    assert!(
        log(trial).contains("put back what a run of"),
        "{}",
        log(trial)
    );
    trial.put("outside/header", "two\n");
    let third = build(trial);
    assert_eq!(third.1, "learned");
    assert!(third.0.starts_with("two\n"), "{}", third.0);
    trial.put("outside/header", "one\n");
    assert_eq!(build(trial), (first.0, "hit".to_owned()));
}

#[test]
fn a_second_build_does_not_configure() {
    let trial = trial("sandbox usersandbox confcache", BODY);
    learns_and_puts_back(&trial);
    // What econf itself asks the script is none of the confcache's business.
    let journal = fs::read_to_string(trial.path("confcache/journal")).unwrap();
    assert_eq!(journal.lines().count(), 4, "{journal}");
}

#[test]
fn scripts_that_ebuilds_call_are_known_too() {
    for call in [
        "./configure ${MY_OPTION} || die",
        "cd sub && ../configure ${MY_OPTION} && mv made .. || die",
        "nonfatal \"${S}\"/configure ${MY_OPTION} || die",
        "if ! CC=some ./configure; then die no; fi; ./configure || die; [[ -z ${CC} ]] || die",
    ] {
        let body = BODY.replace("econf ${MY_OPTION}", call);
        let body = body.replace("cp -r", "mkdir -p \"${S}\"/sub; cp -r");
        let trial = trial("sandbox usersandbox confcache", &body);
        learns_and_puts_back(&trial);
        let environment = trial.builddir("app-misc/foo-1").join("temp/environment");
        let environment = fs::read_to_string(environment).unwrap();
        assert!(environment.contains("src_configure ()"), "{environment}");
        for line in environment.lines() {
            assert!(!line.ends_with("/configure ()"), "{call}: {line}");
            assert!(!line.contains("EBD_CONFIGURES"), "{call}: {line}");
        }
    }
}

#[test]
fn scripts_that_are_not_there_fail_as_ever() {
    let fails = BODY.replace(
        "econf ${MY_OPTION}",
        "./nothing/configure; rm configure; ./configure || die $?",
    );
    let trial = trial("sandbox usersandbox confcache", &fails);
    let outcome = trial.run(&["build", "app-misc/foo"]);
    outcome.fails(&["127"]);
    assert!(
        log(&trial).contains("./configure: No such file"),
        "{}",
        log(&trial)
    );
}

#[test]
fn without_a_sandbox_too() {
    learns_and_puts_back(&trial("confcache", BODY));
}

#[test]
fn in_all_namespaces_and_as_another_user() {
    let trial = trial(
        "sandbox usersandbox userpriv network-sandbox ipc-sandbox pid-sandbox mount-sandbox confcache",
        BODY,
    );
    as_another_user(&trial);
    learns_and_puts_back(&trial);
}

/// Has builds run as nobody, if this is root.
fn as_another_user(trial: &Trial) {
    if is_root() {
        let conf = fs::read_to_string(trial.path("conf/etc/portage/make.conf")).unwrap();
        trial.put(
            "conf/etc/portage/make.conf",
            format!("{conf}PORTAGE_USERNAME=nobody\nPORTAGE_GRPNAME=nogroup\n"),
        );
        for folder in [".", "tmp", "home"] {
            fs::set_permissions(trial.path(folder), fs::Permissions::from_mode(0o777)).unwrap();
        }
    }
}

#[test]
fn it_is_asked_for() {
    let trial = trial("sandbox", BODY);
    assert_eq!(build(&trial).1, "nothing");
    trial
        .run(&["build", "--keep", "--confcache", "app-misc/foo"])
        .succeeds();
    assert_eq!(last(&trial), "learned");
}

#[test]
fn packages_may_forbid_it() {
    let restricted = trial("sandbox confcache", &format!("RESTRICT=confcache\n{BODY}"));
    assert_eq!(build(&restricted).1, "nothing");
    let trial = trial("sandbox confcache", BODY)
        .conf("env/plain", "FEATURES=\"-confcache\"\n")
        .conf("package.env", "app-misc/foo plain\n");
    assert_eq!(build(&trial).1, "nothing");
}

#[test]
fn options_are_told_apart_and_failures_kept_out() {
    let trial = trial("sandbox confcache", BODY);
    let with = |option: &str| {
        let mut command = trial.command(&["build", "--keep", "app-misc/foo"]);
        Outcome::of(command.env("MY_OPTION", option)).succeeds();
        (image(&trial), last(&trial))
    };
    let (a, b) = (with("--a"), with("--b"));
    assert_eq!((a.1.as_str(), b.1.as_str()), ("learned", "learned"));
    assert!(a.0.contains("--a") && b.0.contains("--b"));
    assert_eq!(with("--a"), (a.0, "hit".to_owned()));
    trial.put(
        "repo/app-misc/foo/files/configure",
        format!("{HEAD}exit 3\n"),
    );
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["econf failed"]);
    assert_eq!(last(&trial), "untaught");
}

/// How many of the checks were answered, as the build tells it.
fn answered(trial: &Trial) -> Option<usize> {
    let log = log(trial);
    let told = log.lines().find(|line| line.contains("were answered"))?;
    let mut words = told.split_whitespace().skip_while(|word| *word != "checks");
    words.nth(1)?.parse().ok()
}

/// Runs that are not to be put back have checks that are.
fn checks_are_answered(trial: &Trial) {
    let text = "#include \"$OUTSIDE/header.h\"\n#ifndef IT\n#define IT none\n#endif";
    let check = asks_the_compiler("ac_cv_it", text);
    let script = format!("{HEAD}{BEGIN}{check}echo $ac_cv_it >made\n{END}");
    trial.put("repo/app-misc/foo/files/configure", &script);
    trial.put("outside/header.h", "#define IT one\n");
    let with = |option: &str, flags: &str| {
        let place = "repo/app-misc/foo/foo-1.ebuild";
        let ebuild = fs::read_to_string(trial.path(place)).unwrap();
        let (begin, rest) = ebuild.split_once("econf ").unwrap();
        let (_, end) = rest.split_once(';').unwrap();
        trial.put(place, format!("{begin}econf {option};{end}"));
        let mut command = trial.command(&["build", "--keep", "app-misc/foo"]);
        Outcome::of(command.env("USE", flags)).succeeds();
        assert_eq!(last(trial), "learned", "{}", log(trial));
        (image(trial), answered(trial))
    };
    let one = "one\nand more\n".to_owned();
    assert_eq!(with("--a", ""), (one.clone(), Some(0)), "{}", log(trial));
    // That it was asked, and answered, is nothing that the run depends on.
    assert_eq!(
        build(trial),
        (one.clone(), "hit".to_owned()),
        "{}",
        log(trial)
    );
    assert_eq!(with("--b", ""), (one.clone(), Some(1)), "{}", log(trial));
    // Flags are variables that compilers do not look at.
    assert_eq!(
        with("--b", "fast"),
        (one.clone(), Some(1)),
        "{}",
        log(trial)
    );
    trial.put("outside/header.h", "#define IT two\n");
    let two = "two\nand more\n".to_owned();
    assert_eq!(with("--c", ""), (two.clone(), Some(0)), "{}", log(trial));
    assert_eq!(with("--d", ""), (two, Some(1)), "{}", log(trial));

    // Nobody else believes what a build says.
    let other = trial.path("repo/app-misc/bar/files");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("configure"), &script).unwrap();
    let ebuild = fs::read_to_string(trial.path("repo/app-misc/foo/foo-1.ebuild")).unwrap();
    trial.put("repo/app-misc/bar/bar-1.ebuild", ebuild);
    trial.run(&["build", "--keep", "app-misc/bar"]).succeeds();
    let log = trial.builddir("app-misc/bar-1").join("temp/build.log");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("of 1 checks 0 were answered"), "{log}");
    let stats = trial.run(&["confcache", "stats"]);
    stats.succeeds();
    assert!(stats.stdout.contains("answers"), "{stats}");
    trial.run(&["confcache", "clear"]).succeeds();
    assert_eq!(with("--e", "").1, Some(0));
}

#[test]
fn what_is_new_asks() {
    checks_are_answered(&trial(
        "sandbox usersandbox confcache",
        &format!("IUSE=fast\n{BODY}"),
    ));
}

#[test]
fn what_is_new_asks_in_all_namespaces_and_as_another_user() {
    let features = "sandbox usersandbox userpriv network-sandbox ipc-sandbox pid-sandbox mount-sandbox confcache";
    let trial = trial(features, &format!("IUSE=fast\n{BODY}"));
    as_another_user(&trial);
    checks_are_answered(&trial);
}

#[test]
fn what_a_build_lies_about_is_not_taken_over() {
    // An entry as another package's build would leave it, and links in the place of entries.
    let good = trial("sandbox confcache", BODY);
    build(&good);
    let runs = good.path("confcache/runs");
    let other = trial(
        "sandbox confcache",
        "src_configure() { mkdir -p \"${T%/temp}\"/.ebd/confcache\n\
         cp -r \"${MY_RUNS}\" \"${T%/temp}\"/.ebd/confcache/runs || die\n\
         mkdir -p \"${T%/temp}\"/.ebd/confcache/runs/aa/bb\n\
         ln -s /etc/passwd \"${T%/temp}\"/.ebd/confcache/runs/aa/bb/x.run\n\
         mkfifo \"${T%/temp}\"/.ebd/confcache/runs/aa/bb/y.run\n\
         mkdir -p \"${T%/temp}\"/.ebd/confcache/answers\n\
         echo x > \"${T%/temp}\"/.ebd/confcache/answers/x.answers\n\
         ln -s /etc/passwd \"${T%/temp}\"/.ebd/confcache/answers/y.answers\n\
         mkfifo \"${T%/temp}\"/.ebd/confcache/answers/z.answers\n\
         ln -s /etc/passwd \"${T%/temp}\"/.ebd/confcache/journal; }",
    );
    let mut command = other.command(&["build", "app-misc/foo"]);
    Outcome::of(command.env("MY_RUNS", runs)).succeeds();
    assert!(!other.path("confcache/runs").exists());
    assert!(!other.path("confcache/journal").exists());
    assert!(!other.path("confcache/packages").exists());
}

/// What builds of a package have found out holds for its other versions, whose folders have other names.
#[test]
fn other_versions_ask_the_same() {
    for features in [
        "sandbox usersandbox confcache",
        "sandbox usersandbox userpriv network-sandbox ipc-sandbox pid-sandbox mount-sandbox confcache",
    ] {
        let trial = trial(features, BODY);
        if features.contains("userpriv") {
            as_another_user(&trial);
        }
        let text = "#include \"$OUTSIDE/header.h\"\n#ifndef IT\n#define IT none\n#endif";
        let compiles = asks_the_compiler("ac_cv_it", text);
        // What leads into the folder of the build is another's answer, and what is found there counts.
        let place = check("ac_cv_place", "ac_cv_place=`cd \"$T\"; pwd`");
        let near = check(
            "ac_cv_near",
            "if test -e \"$HOME/near\"; then ac_cv_near=y; else ac_cv_near=n; fi",
        );
        let script = format!(
            "{HEAD}{BEGIN}{compiles}{place}{near}echo $ac_cv_it $ac_cv_place $ac_cv_near >made\n{END}"
        );
        trial.put("repo/app-misc/foo/files/configure", script);
        trial.put("outside/header.h", "#define IT one\n");
        let ebuild = fs::read_to_string(trial.path("repo/app-misc/foo/foo-1.ebuild")).unwrap();
        for version in ["1", "1-r1", "22.3"] {
            let ebuild = match version {
                "22.3" => ebuild.replace("econf", "touch \"$HOME/near\"; econf"),
                _ => ebuild.clone(),
            };
            trial.put(&format!("repo/app-misc/foo/foo-{version}.ebuild"), ebuild);
            let package = format!("=app-misc/foo-{version}");
            trial.run(&["build", "--keep", &package]).succeeds();
            assert_eq!(last(&trial), "learned", "{version}");
            let root = trial.builddir(&format!("app-misc/foo-{version}"));
            let made = fs::read_to_string(root.join("image/usr/share/made")).unwrap();
            let near = if version == "22.3" { "y" } else { "n" };
            let expected = format!("one {} {near}\nand more\n", root.join("temp").display());
            assert_eq!(made, expected);
            let log = fs::read_to_string(root.join("temp/build.log")).unwrap();
            let known = match version {
                "1" => 0,
                "1-r1" => 2,
                _ => 1,
            };
            let mut why = trial.command(&["confcache", "why", "*"]);
            let why = Outcome::of(why.current_dir(root.join("work/src")));
            let told = format!("of 3 checks {known} were answered");
            assert!(log.contains(&told), "{version}: {log}{why}");
        }
    }
}

/// Two runs in one sandbox at once, of which one begins and ends while the other goes on.
#[test]
fn runs_beside_each_other_are_known_apart() {
    let body = BODY
        .replace("cp -r", "mkdir -p \"${S}\"/{long,short}; cp -r")
        .replace(
            "econf ${MY_OPTION}",
            "( cd long && ECONF_SOURCE=.. econf --long ) & sleep 0.4; ( cd short && ECONF_SOURCE=.. econf )\n\
             wait $! || die; cat long/made short/made > made",
        );
    let trial = trial("sandbox usersandbox confcache", &body);
    let script =
        format!("{HEAD}cat \"$OUTSIDE/header\" > made\ncase $* in *--long*) sleep 2;; esac\n");
    trial.put("repo/app-misc/foo/files/configure", script);
    let first = build(&trial).0;
    assert_eq!(first, "one\none\nand more\n");
    // What one writes beside the other may be what that read.
    let told = log(&trial);
    assert!(
        told.contains("not kept: it wrote outside of its directory"),
        "{told}"
    );
    assert!(told.contains("run and kept"), "{told}");
    trial.put("outside/header", "two\n");
    assert_eq!(build(&trial).0, first.replace("one", "two"));
}

/// Who has it run ignores that, and a shell could never undo it.
#[test]
fn pipes_that_nobody_reads_end_who_writes_to_them() {
    for features in ["confcache", "confcache sandbox usersandbox userpriv"] {
        let trial = trial(features, BODY).file(
            "repo/app-misc/foo/files/configure",
            format!("{HEAD}grep SigIgn /proc/self/status >made\necho \"$OUTSIDE\"\n"),
        );
        let (made, outcome) = build(&trial);
        assert_eq!(outcome, "learned", "{}", log(&trial));
        let line = made.lines().next().unwrap();
        assert!(!crate::support::ignores_pipes(line), "{features}: {made}");
    }
}
