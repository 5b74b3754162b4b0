//! Builds in the sandbox that FEATURES ask for: what they may change, reach and see.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use crate::support::{Outcome, Trial, ignores_pipes, is_root, text};

/// Gentoo's own defaults for builds, but for `/tmp`, which trials are in.
const SANDBOX_CONF: &str =
    "SANDBOX_WRITE=\"/dev/null:/dev/zero:/dev/full:/dev/tty:/dev/pts:/dev/shm\"\n";

/// All that confines.
const FEATURES: &str =
    "sandbox usersandbox userpriv network-sandbox ipc-sandbox pid-sandbox mount-sandbox";

/// An ebuild with these phases, below a configuration with these FEATURES.
fn trial(features: &str, body: &str) -> Trial {
    let trial = Trial::new()
        .package("app-misc/foo-1", body)
        .file("conf/etc/sandbox.conf", SANDBOX_CONF)
        .make_conf(&format!("FEATURES=\"-* {features}\"\n"));
    fs::create_dir(trial.path("outside")).unwrap();
    let outside = text(&trial.path("outside"));
    trial.variable("OUTSIDE", &outside)
}

/// The same where phases run as the user nobody if they need not be root.
fn nobodys(features: &str, body: &str) -> Trial {
    let trial = trial(features, body).make_conf(&format!(
        "FEATURES=\"-* {features}\"\nPORTAGE_USERNAME=nobody\nPORTAGE_GRPNAME=nogroup\n"
    ));
    for folder in [".", "outside"] {
        fs::set_permissions(trial.path(folder), fs::Permissions::from_mode(0o777)).unwrap();
    }
    trial
}

fn build(trial: &Trial) -> Outcome {
    trial.run(&["build", "--keep", "app-misc/foo"])
}

fn work(trial: &Trial, file: &str) -> String {
    let path = trial.builddir("app-misc/foo-1").join("work").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_a_build_changes_elsewhere_fails_it_even_if_it_does_not_mind() {
    let trial = trial(
        FEATURES,
        "src_compile() { touch \"${OUTSIDE}\"/new 2>/dev/null; mkdir -p \"${OUTSIDE}\"; true; }",
    );
    let outside = trial.path("outside");
    build(&trial).fails(&[
        &format!("of {}/new", outside.display()),
        "touch",
        "compile phase",
        "the sandbox refused an access",
    ]);
    assert!(!outside.join("new").exists());
    let log = trial.builddir("app-misc/foo-1").join("temp/build.log");
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains(&format!("of {}/new", outside.display())),
        "{log}"
    );
    // It can fail: without the sandbox the file is made.
    let free = trial.make_conf("FEATURES=\"-*\"\n");
    build(&free).succeeds();
    assert!(free.path("outside/new").exists());
}

#[test]
fn violations_are_events() {
    let trial = trial(FEATURES, "src_compile() { : > \"${OUTSIDE}\"/new; true; }");
    let events = trial.run(&["build", "--json", "app-misc/foo"]).events();
    let mut violations = events.iter().filter(|event| event["event"] == "violation");
    let violation = violations.next().unwrap();
    assert_eq!(violation["phase"], "compile");
    assert_eq!(violation["access"], "write");
    assert_eq!(violation["path"], text(&trial.path("outside/new")));
}

#[test]
fn what_is_added_holds_for_programs_that_run_already_and_in_later_phases() {
    let trial = trial(
        FEATURES,
        "src_compile() {
            mkfifo go
            sh -c 'read x < go; touch \"${OUTSIDE}\"/a:b/early' &
            addwrite \"${OUTSIDE}/a:b\"
            echo > go
            wait $! || die early
            addpredict \"${OUTSIDE}/predicted\"
            touch \"${OUTSIDE}\"/predicted 2>/dev/null && die predicted
        }
        src_install() { touch \"${OUTSIDE}\"/a:b/late || die late; }",
    );
    fs::create_dir(trial.path("outside/a:b")).unwrap();
    build(&trial).succeeds();
    for name in ["early", "late"] {
        assert!(trial.path("outside/a:b").join(name).exists(), "{name}");
    }
    assert!(!trial.path("outside/predicted").exists());
}

#[test]
fn denied_paths_cannot_be_read() {
    let trial = trial(
        FEATURES,
        "src_compile() {
            cat \"${OUTSIDE}\"/secret || die 'before'
            adddeny \"${OUTSIDE}\"
            cat \"${OUTSIDE}\"/secret 2>/dev/null
            true
        }",
    )
    .file("outside/secret", "x");
    build(&trial).fails(&[&format!(
        "(read) of {}",
        trial.path("outside/secret").display()
    )]);
}

#[test]
fn tests_that_try_the_system_are_refused_and_that_is_all() {
    let trial = trial(
        &format!("{FEATURES} test"),
        "src_test() { touch \"${OUTSIDE}\"/new && die 'not refused'; true; }",
    );
    build(&trial).succeeds();
    assert!(!trial.path("outside/new").exists());
}

#[test]
fn the_setup_of_a_package_may_change_the_system() {
    let trial = trial(
        FEATURES,
        "pkg_setup() { mkdir \"${OUTSIDE}\"/d && echo x > \"${OUTSIDE}\"/d/f || die; addwrite \"${OUTSIDE}/kept\"; }
        src_compile() { : > \"${OUTSIDE}\"/kept || die; }",
    );
    build(&trial).succeeds();
    assert_eq!(
        fs::read_to_string(trial.path("outside/d/f")).unwrap(),
        "x\n"
    );
    assert!(trial.path("outside/kept").exists());
}

#[test]
fn a_program_may_be_started_without_the_sandbox() {
    let trial = trial(
        FEATURES,
        "src_compile() {
            SANDBOX_ON=0 touch \"${OUTSIDE}\"/free || die
            SANDBOX_WRITE=\"${SANDBOX_WRITE}:${OUTSIDE}/own\" touch \"${OUTSIDE}\"/own || die
        }",
    );
    build(&trial).succeeds();
    assert!(trial.path("outside/free").exists() && trial.path("outside/own").exists());
}

/// What a build finds of network, processes and semaphores.
const FOUND: &str = "found() {
        wc -l < /proc/net/dev > \"${WORKDIR}/$1.devices\"
        readlink /proc/self/ns/net > \"${WORKDIR}/$1.net\"
        readlink /proc/self/ns/ipc > \"${WORKDIR}/$1.ipc\"
        readlink /proc/self/ns/pid > \"${WORKDIR}/$1.pid\"
        readlink /proc/self/ns/mnt > \"${WORKDIR}/$1.mnt\"
    }
    ";

/// The name of one of this process's namespaces.
fn own(kind: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    format!("{}\n", link.display())
}

#[test]
fn each_feature_keeps_something_apart() {
    let body = format!("{FOUND}\nsrc_compile() {{ found compile; }}");
    for (features, apart) in [
        ("", &[][..]),
        ("network-sandbox", &["net"]),
        ("ipc-sandbox", &["ipc"]),
        ("pid-sandbox", &["pid", "mnt"]),
        ("mount-sandbox", &["mnt"]),
        (FEATURES, &["net", "ipc", "pid", "mnt"]),
    ] {
        let trial = trial(features, &body);
        build(&trial).succeeds();
        for kind in ["net", "ipc", "pid", "mnt"] {
            let seen = work(&trial, &format!("compile.{kind}"));
            assert_eq!(
                seen != own(kind),
                apart.contains(&kind),
                "{features}: {kind} is {seen}"
            );
        }
    }
}

#[test]
fn some_phases_keep_the_network() {
    let phases = "src_unpack() { found unpack; }
        src_compile() { found compile; }
        src_test() { found test; }";
    for (more, unpack, compile, test) in [
        ("", false, false, false),
        ("PROPERTIES=\"live\"", true, false, false),
        ("PROPERTIES=\"test_network\"", false, false, true),
        ("RESTRICT=\"network-sandbox\"", true, true, true),
    ] {
        let trial = trial(
            &format!("{FEATURES} test"),
            &format!("{more}\n{FOUND}\n{phases}"),
        );
        build(&trial).succeeds();
        for (phase, networked) in [("unpack", unpack), ("compile", compile), ("test", test)] {
            let seen = work(&trial, &format!("{phase}.net"));
            assert_eq!(seen == own("net"), networked, "{more}: {phase}");
        }
    }
}

#[test]
fn a_build_reaches_itself_over_the_network() {
    let script = "import socket\n\
                  server = socket.create_server((\"127.0.0.1\", 0))\n\
                  client = socket.create_connection(server.getsockname(), timeout=5)\n\
                  client.sendall(b\"x\")\n\
                  assert server.accept()[0].recv(1) == b\"x\"\n";
    let trial = trial(
        FEATURES,
        "src_compile() { python3 \"${FILESDIR}\"/talk.py || die; [[ $(hostname) == localhost ]] || die name; }",
    )
    .file("repo/app-misc/foo/files/talk.py", script);
    build(&trial).succeeds();
}

#[test]
fn what_a_phase_leaves_running_is_gone() {
    let trial = trial(
        FEATURES,
        "src_compile() { ( setsid sh -c 'exec >/dev/null 2>&1; while sleep 0.1; do date >> \"${WORKDIR}\"/beat; done' & ); sleep 0.5; }
        src_install() { cp \"${WORKDIR}\"/beat \"${WORKDIR}\"/first; sleep 1; cmp \"${WORKDIR}\"/beat \"${WORKDIR}\"/first || die alive; }",
    );
    build(&trial).succeeds();
}

#[test]
fn sources_are_compiled_by_another_user_and_installed_by_root() {
    if !is_root() {
        eprintln!("not tried: only root can run builds as another user");
        return;
    }
    let body = "pkg_setup() { id -u > \"${T}\"/setup; }
        src_unpack() { id -u > unpack; }
        src_compile() { id -u > compile; variable=kept; id -G > groups; }
        src_install() {
            id -u > \"${WORKDIR}\"/install
            [[ ${variable} == kept ]] || die
            insinto /usr/share/foo
            doins compile
            cp -p compile \"${ED}\"/usr/share/foo/copied || die
        }";
    let dropped = nobodys(FEATURES, body);
    build(&dropped).succeeds();
    for (file, uid) in [
        ("unpack", "65534\n"),
        ("compile", "65534\n"),
        ("install", "0\n"),
    ] {
        assert_eq!(work(&dropped, file), uid, "{file}");
    }
    let setup = dropped.builddir("app-misc/foo-1").join("temp/setup");
    assert_eq!(fs::read_to_string(setup).unwrap(), "0\n");
    let image = dropped
        .builddir("app-misc/foo-1")
        .join("image/usr/share/foo");
    for name in ["compile", "copied"] {
        let metadata = fs::metadata(image.join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (0, 0), "{name}");
    }
    let kept = nobodys(FEATURES, &format!("RESTRICT=\"userpriv\"\n{body}"));
    build(&kept).succeeds();
    assert_eq!(work(&kept, "compile"), "0\n");
}

#[test]
fn another_users_build_is_watched_too() {
    if !is_root() {
        eprintln!("not tried: only root can run builds as another user");
        return;
    }
    let trial = nobodys(
        FEATURES,
        "src_compile() { addwrite \"${OUTSIDE}\"/mine; : > \"${OUTSIDE}\"/mine || die; : > \"${OUTSIDE}\"/new; true; }",
    );
    build(&trial).fails(&[&format!("of {}", trial.path("outside/new").display())]);
    // What the supervisor makes in the build's place is the build's.
    let mine = fs::metadata(trial.path("outside/mine")).unwrap();
    assert_eq!(mine.uid(), 65534);
}

#[test]
fn the_word_that_is_no_feature_is_named() {
    let trial = trial(FEATURES, "").make_conf("EBD_DEGRADE=\"network-sandbox landlok\"\n");
    build(&trial).fails(&["landlok", "landlock"]);
}

/// Runs `command` where no further networks can be made, in a user namespace; none if there can be no
/// such place here.
fn without_networks(command: &Command) -> Option<Command> {
    let script = "echo 0 > /proc/sys/user/max_net_namespaces && exec \"$@\"";
    let mut place = Command::new("unshare");
    place.args(["--user", "--map-root-user", "sh", "-c", script, "sh"]);
    let works = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            script,
            "sh",
            "true",
        ])
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("not tried: there can be no user namespace here");
        return None;
    }
    place.arg(command.get_program()).args(command.get_args());
    place.env_clear();
    for (name, value) in command.get_envs() {
        place.env(name, value.unwrap_or_default());
    }
    if let Some(folder) = command.get_current_dir() {
        place.current_dir(folder);
    }
    Some(place)
}

#[test]
fn what_cannot_be_had_is_named_and_can_be_done_without() {
    let trial = trial("sandbox network-sandbox", "src_compile() { touch done; }");
    let build = trial.command(&["build", "--keep", "app-misc/foo"]);
    let Some(mut command) = without_networks(&build) else {
        return;
    };
    Outcome::of(&mut command).fails(&[
        "network-sandbox: cannot be had here",
        "--degrade network-sandbox",
        "programs reach the network",
    ]);
    let build = trial.command(&["build", "--degrade", "network-sandbox", "app-misc/foo"]);
    if let Some(mut command) = without_networks(&build) {
        let done = Outcome::of(&mut command);
        done.succeeds();
        assert!(
            done.stderr.contains("network-sandbox cannot be had here"),
            "{done}"
        );
    }
    let alone = trial.command(&["sandbox", "--", "true"]);
    if let Some(mut command) = without_networks(&alone) {
        Outcome::of(&mut command).ends(125, &["network-sandbox", "--net host"]);
    }
}

#[test]
fn a_trace_has_what_was_found_and_what_was_not() {
    let trial = Trial::new();
    fs::create_dir(trial.path("work")).unwrap();
    let (file, work) = (trial.path("trace.json"), trial.path("work"));
    let script = "cat /etc/passwd >copy; true 2>/dev/null >>/etc/hostname; [ -e /nowhere ]; [ -w /etc ]; ls /etc >/dev/null; readlink /proc/self/exe; mkdir a; \
                  mkdir a; rm -f none; cd a; [ -e ../copy ]; ./missing";
    trial
        .run(&[
            "sandbox",
            "--net",
            "host",
            "--write",
            &text(&work),
            "--trace",
            &text(&file),
            "--",
            "bash",
            "-c",
            &format!("cd {}; {script}", work.display()),
        ])
        .ends(127, &[]);
    let trace: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(trace["complete"], true, "{}", trace["escapes"]);
    let has = |path: &str, access: &str, outcome: &str| {
        trace["accesses"].as_array().unwrap().iter().any(|seen| {
            seen["path"] == path && seen["access"] == access && seen["outcome"] == outcome
        })
    };
    let inside = |name: &str| text(&work.join(name));
    for (path, access, outcome) in [
        ("/etc/passwd", "open", "ok"),
        ("/nowhere", "stat", "ENOENT"),
        ("/etc", "list", "ok"),
        ("/etc", "access", "EACCES"),
        ("/etc/hostname", "change", "EACCES"),
        ("/proc/self/exe", "readlink", "ok"),
        (&inside("copy"), "change", "ok"),
        (&inside("a"), "change", "ok"),
        (&inside("a"), "change", "EEXIST"),
        (&inside("none"), "change", "ENOENT"),
        (&inside("a/../copy"), "stat", "ok"),
        (&inside("a/./missing"), "execute", "ENOENT"),
        (&inside("a"), "chdir", "ok"),
    ] {
        assert!(has(path, access, outcome), "{access} {outcome} {path}");
    }
    let programs = trace["programs"].to_string();
    assert!(
        programs.contains("cat") && programs.contains("bash"),
        "{programs}"
    );
}

#[test]
fn what_is_done_in_a_programs_place_is_done_with_its_rights() {
    if !is_root() {
        eprintln!("not tried: only root's programs can become another user");
        return;
    }
    let trial = Trial::new();
    for folder in [".", "top"] {
        fs::create_dir_all(trial.path(folder)).unwrap();
        fs::set_permissions(trial.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    // It does not exist when the wall is built, so everything in it is made by the monitor.
    let new = trial.path("top/new");
    let script = "umask 027; mkdir $0 $0/open $0/shut; true > $0/shut/file; chmod 777 $0/open $0/shut/file; \
        chmod 755 $0; chmod 700 $0/shut; \
        setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '
            true > $0/open/mine; { true > $0/root; } 2>/dev/null && exit 3; \
            { true >> $0/shut/file; } 2>/dev/null && exit 4; mkdir $0/open/made' $0 || exit; true > $0/again";
    trial
        .run(&[
            "sandbox",
            "--net",
            "host",
            "--write",
            &text(&new),
            "--",
            "sh",
            "-c",
            script,
            &text(&new),
        ])
        .succeeds();
    for (name, owner, mode) in [
        ("open/mine", 65534, 0o640),
        ("open/made", 65534, 0o750),
        ("again", 0, 0o640),
    ] {
        let metadata = fs::metadata(new.join(name)).unwrap();
        assert_eq!(metadata.uid(), owner, "{name}");
        assert_eq!(metadata.mode() & 0o777, mode, "{name}");
    }
    assert!(!new.join("root").exists());
}

#[test]
fn what_was_refused_is_told_even_if_the_command_is_ended() {
    let trial = Trial::new();
    let (report, outside) = (trial.path("report.json"), trial.path("outside"));
    fs::create_dir(&outside).unwrap();
    let script =
        "trap 'echo cleaned; exit 3' TERM; true 2>/dev/null >$0/x; echo ready; sleep 60 & wait";
    let mut command = trial.command(&[
        "sandbox",
        "--net",
        "host",
        "--report",
        &text(&report),
        "--",
        "bash",
        "-c",
        script,
        &text(&outside),
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "cleaned\n");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains(&text(&outside.join("x"))), "{report}");
}

/// As everywhere else: a shell could never undo what was ignored when it began.
#[test]
fn pipes_that_nobody_reads_end_who_writes_to_them() {
    let note = |phase: &str| {
        format!("{phase}() {{ grep SigIgn /proc/self/status >>\"${{T}}/ignored\" || die; }}\n")
    };
    for features in ["", FEATURES] {
        let body = format!(
            "{}{}{}src_compile() {{ printf 'all:\\n\\tgrep SigIgn /proc/self/status >>$(T)/ignored\\n' >Makefile || die; addwrite /tmp; emake T=\"${{T}}\"; }}\n",
            note("pkg_setup"),
            note("src_configure"),
            note("src_install"),
        );
        let trial = trial(features, &body).conf("bashrc", &note("post_src_install"));
        build(&trial).succeeds();
        let noted = trial.builddir("app-misc/foo-1").join("temp/ignored");
        let noted = fs::read_to_string(noted).unwrap();
        assert_eq!(noted.lines().count(), 5, "{noted}");
        assert!(!noted.lines().any(ignores_pipes), "{features:?}: {noted}");
    }
}
