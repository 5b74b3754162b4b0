//! At a terminal.

use std::fs;

use super::{person, trial};
use crate::support::terminal::Person;
use crate::support::{Trial, is_root};

#[test]
fn the_prompt_says_where_one_is() {
    let trial = trial();
    let mut person =
        Person::start(&trial.command(&["shell", "app-misc/foo", "--phase", "compile"]));
    person.sees("app-misc/foo-1 before src_compile");
    let mark = if nix::unistd::geteuid().is_root() {
        '#'
    } else {
        '$'
    };
    person.sees(&format!(
        "app-misc/foo-1 src_compile [one -two] work/src {mark} "
    ));
    assert_eq!(person.does("cd sub; echo $?"), "0\n");
    assert!(
        person
            .seen()
            .ends_with(&format!("src_compile [one -two] work/src/sub {mark} "))
    );
    person.types("exit 7");
    assert_eq!(person.leaves(), 7);
    trial.assert_no_processes("after exit");
}

#[test]
fn functions_and_helpers_work_as_in_the_ebuild() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "compile"]);
    assert_eq!(
        person.does("use one && echo yes; use two || echo no"),
        "yes\nno\n"
    );
    assert_eq!(person.does("helper_says"), " * helped\n");
    assert_eq!(
        person.does("echo $CONFIGURED $S"),
        format!(
            "yes {}\n",
            trial.builddir("app-misc/foo-1").join("work/src").display()
        )
    );
    assert!(person.does("src_compile").contains("touch done"));
    assert!(
        trial
            .builddir("app-misc/foo-1")
            .join("work/src/sub/done")
            .exists()
    );
    assert_eq!(person.does("inherit another; another_says"), "other\n");
    // As in an ebuild, a phase may not inherit.
    let text = person.does("f() { inherit another; }; f");
    assert!(
        text.contains("may not be called in a phase function"),
        "{text}"
    );
    let text = person.does("dobin x");
    assert!(text.contains("dobin: not allowed in src_compile"), "{text}");
    person.does("phase install");
    assert_eq!(
        person.does("cd \"${S}\"; dodoc sub/Makefile && echo $?"),
        "0\n"
    );
    assert!(
        trial
            .builddir("app-misc/foo-1")
            .join("image/usr/share/doc/foo-1/Makefile")
            .exists()
    );
    person.types("exit");
    assert_eq!(person.leaves(), 0);
}

#[test]
fn die_ends_what_was_typed_from_any_depth() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "compile"]);
    for line in [
        "die alas; echo NEXT",
        "f() { die alas; echo NEXT; }; f; echo NEXT",
        "for i in 1 2; do f; echo NEXT; done",
        "( f ); echo NEXT",
        "x=$(f); echo NEXT",
        "f | cat; echo NEXT",
        "trap '' INT; f; echo NEXT",
        "set -e; f; echo NEXT",
        "emake nothing-to-be-made; echo NEXT",
        "( emake nothing-to-be-made ); echo NEXT",
        "( ( die alas ); echo NEXT )",
        "x=$(y=$(die alas); echo NEXT >&2; echo NEXT)",
        "trap '' INT; ( die alas ); echo NEXT",
    ] {
        let text = person.does(line);
        assert!(
            text.contains("* ERROR: app-misc/foo-1 failed (compile phase):"),
            "{line}: {text}"
        );
        // What was typed is echoed before; what is printed has no such line.
        assert!(!text.lines().any(|line| line == "NEXT"), "{line}: {text}");
        assert!(
            !text.contains("__ebd") && !text.contains("start.bash"),
            "{line}: {text}"
        );
        // The shell has lost nothing of it.
        assert_eq!(person.does("echo here $PF"), "here foo-1\n", "{line}");
    }
    let text = person.does("nonfatal emake nothing-to-be-made || echo told");
    assert!(
        text.ends_with("told\n") && !text.contains("ERROR: app-misc"),
        "{text}"
    );
    person.types("exit");
    person.leaves();
}

#[test]
fn whole_phases_run_with_their_hooks_and_are_listed() {
    let trial = trial().file(
        "conf/etc/portage/bashrc",
        "post_src_compile() { einfo \"hooked $PF\"; }\n",
    );
    let mut person = person(&trial, &[]);
    let text = person.does("phases");
    assert!(text.contains("> unpack     next\n"), "{text}");
    assert!(text.contains("  setup      finished\n"), "{text}");
    for phase in ["unpack", "src_prepare", "configure"] {
        person.does(&format!("phase {phase}"));
    }
    let text = person.does("phase compile");
    assert!(
        text.contains("touch done") && text.contains("* hooked foo-1"),
        "{text}"
    );
    let text = person.does("phases");
    assert!(text.contains("> compile    finished here\n"), "{text}");
    assert!(text.contains("  test       left out"), "{text}");
    assert!(text.contains("  install    next\n"), "{text}");
    let text = person.does("phase nosuch; echo $?");
    assert!(
        text.contains("nosuch: there is no such phase") && text.ends_with("1\n"),
        "{text}"
    );
    let text = person.does("phase postinst; echo $?");
    assert!(
        text.contains("pkg_postinst: is no phase of a build"),
        "{text}"
    );
    // One that fails is said to, whatever ended it.
    person.does("src_install() { die later; }");
    person.does("phase install");
    assert!(person.does("phases").contains("> install    failed\n"));
    person.does(&format!(
        "phase_of_time() {{ {SLEEPS}; }}; src_install() {{ phase_of_time; }}"
    ));
    person.types("phase install");
    person.sees("begun");
    person.presses(b"\x03");
    person.prompt();
    assert!(person.does("phases").contains("> install    failed\n"));
    person.types("exit");
    person.leaves();
}

#[test]
fn the_image_is_listed_with_modes() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "install"]);
    assert_eq!(person.does("image"), "image: nothing is installed yet\n");
    person.does("phase install");
    person.does("fperms 4711 /usr/share/done");
    let text = person.does("image | cat");
    let line = |name: &str| {
        let found = text.lines().find(|line| line.contains(name));
        found.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    };
    assert!(line(" /usr/share/done").starts_with("-rws--x--x"), "{text}");
    assert!(line(" /usr/share/link").starts_with("lrwxrwxrwx"), "{text}");
    assert!(line(" /usr/share/link").ends_with("-> done"), "{text}");
    assert!(
        line(" /usr\n".trim_end()).starts_with("drwxr-xr-x"),
        "{text}"
    );
    person.types("exit");
    person.leaves();
}

#[test]
fn what_differs_from_the_kept_environment_is_shown() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "compile"]);
    assert_eq!(person.does("diff-env"), "diff-env: nothing differs\n");
    person.does("CONFIGURED=$'a\\nb'; unset PREPARED; mine() { :; }; unset -f helper_says; declare -A MAP=([k]=v)");
    let text = person.does("diff-env");
    assert_eq!(
        text,
        "- CONFIGURED=\"yes\"\n+ CONFIGURED=$'a\\nb'\n+ MAP=([k]=\"v\" )\n- PREPARED=\"yes\"\n- helper_says()\n+ mine()\n"
    );
    person.types("exit");
    person.leaves();
    // Where no phase has left an environment, with what sourcing gives.
    let fresh = super::trial();
    let mut person = super::person(&fresh, &[]);
    person.does("MINE=1");
    assert_eq!(person.does("diff-env"), "+ MINE=\"1\"\n");
    person.types("exit");
    person.leaves();
}

#[test]
fn an_edited_ebuild_is_read_anew() {
    let trial = trial();
    let path = trial.ebuild_path("app-misc/foo-1");
    let before = fs::read_to_string(&path).unwrap();
    let mut person = person(&trial, &["--phase", "compile"]);
    assert_eq!(person.does("reload"), "reload: nothing changed\n");
    // What was set here stays, but for what the ebuild says otherwise.
    person.does("MINE=1; CONFIGURED=changed");
    let after = before
        .replace("emake; }", "emake V=1; echo mended; }")
        .replace("IUSE=", "MY_NEW=( a 'b c' )\nIUSE=");
    fs::write(&path, after).unwrap();
    trial.put(
        "repo/eclass/helper.eclass",
        "helper_says() { einfo \"helped better\"; }\n",
    );
    let text = person.does("reload");
    assert_eq!(
        text,
        "+ MY_NEW=([0]=\"a\" [1]=\"b c\")\n~ helper_says()\n~ src_compile()\n"
    );
    assert!(person.does("phase compile").contains("mended"));
    assert_eq!(person.does("helper_says"), " * helped better\n");
    assert_eq!(
        person.does("echo ${MY_NEW[1]} $MINE $CONFIGURED"),
        "b c 1 changed\n"
    );
    assert_eq!(person.does("reload"), "reload: nothing changed\n");
    // What cannot be loaded changes nothing.
    fs::write(
        &path,
        before.replace("src_compile() {", "src_compile() { if"),
    )
    .unwrap();
    let text = person.does("reload");
    assert!(text.contains("syntax error"), "{text}");
    assert_eq!(person.does("echo ${MY_NEW[1]}"), "b c\n");
    fs::write(&path, before.replace("EAPI=8", "EAPI=7")).unwrap();
    let text = person.does("reload");
    assert!(
        text.contains("EAPI is 7 now, and was 8: that takes a new build"),
        "{text}"
    );
    person.types("exit");
    person.leaves();
}

#[test]
fn help_tells_all_commands() {
    let trial = trial();
    let mut person = person(&trial, &[]);
    let text = person.does("help");
    for command in [
        "phase NAME",
        "phases",
        "reload",
        "diff-env",
        "image",
        "resume",
        "--keep",
        "exit",
    ] {
        assert!(text.contains(command), "{command}: {text}");
    }
    assert!(
        person
            .does("help cd")
            .contains("Change the shell working directory")
    );
    person.types("exit");
    person.leaves();
}

#[test]
fn words_are_completed() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "install"]);
    for (typed, whole) in [
        ("phase comp", "phase compile"),
        ("use on", "use one"),
        ("inherit ano", "inherit another"),
        ("helper_", "helper_says"),
        ("newinit", "newinitd"),
        ("resume --ke", "resume --keep"),
    ] {
        person.presses(format!("{typed}\t").as_bytes());
        person.sees(whole);
        person.presses(b"\x15");
    }
    person.presses(b"\x15");
    person.types("exit");
    person.leaves();
}

#[test]
fn history_is_kept_for_each_package() {
    let trial = trial().package("app-misc/bar-1", "");
    let mut first = person(&trial, &[]);
    first.does("echo a thing to remember");
    first.types("exit");
    first.leaves();
    fs::remove_dir_all(trial.path("tmp/portage")).unwrap();
    let mut again = person(&trial, &[]);
    let text = again.does("history");
    assert_eq!(
        text.matches("echo a thing to remember").count(),
        1,
        "{text}"
    );
    again.types("exit");
    again.leaves();
    let mut other = Person::start(&trial.command(&["shell", "app-misc/bar"]));
    other.prompt();
    assert!(!other.does("history").contains("remember"));
    other.types("exit");
    other.leaves();
}

/// A program that says when it has begun, in a word that does not stand here. It says so itself, as
/// an interrupt that comes while bash is still making it the terminal's own is bash's, which heeds it
/// when the program is done.
const SLEEPS: &str = "bash -c 'echo beg\"\"un; exec sleep 100'";

#[test]
fn interrupts_and_jobs_are_a_terminals() {
    let trial = trial();
    let mut person = person(&trial, &[]);
    person.types(&format!("{SLEEPS}; echo NEXT"));
    person.sees("begun");
    person.presses(b"\x03");
    let text = person.prompt();
    assert!(!text.contains("\r\nNEXT"), "{text}");
    person.types(SLEEPS);
    person.sees("begun");
    person.presses(b"\x1a");
    assert!(person.prompt().contains("Stopped"));
    assert!(person.does("bg; jobs").contains("Running"));
    person.types("fg; echo NEXT");
    person.sees("exec sleep 100");
    person.presses(b"\x03");
    person.prompt();
    assert_eq!(person.does("jobs"), "");
    assert_eq!(person.does("stty size"), "30 100\n");
    person.resizes(40, 132);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while person.does("stty size") != "40 132\n" {
        assert!(std::time::Instant::now() < deadline);
    }
    assert_eq!(person.does("echo $COLUMNS"), "132\n");
    let text =
        person.does("[[ -t 0 && -t 1 && -t 2 ]] && echo all && : </dev/tty && echo own >/dev/tty");
    assert_eq!(text, "all\nown\n");
    person.types("exit");
    person.leaves();
}

#[test]
fn a_full_screen_editor_works() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "compile"]);
    person.types("vi -u NONE -c 'set nocompatible' note");
    person.sees("note");
    person.presses(b"ityped in an editor\x1b:wq\r");
    // It gives back the screen that was there before.
    person.sees("\x1b[?1049l");
    person.prompt();
    assert_eq!(person.does("cat note"), "typed in an editor\n");
    // It was told the size, and so has used the whole screen.
    assert!(person.seen().contains("\x1b[30;"), "{}", person.seen());
    person.types("exit");
    person.leaves();
}

#[test]
fn nothing_is_left_where_the_terminal_goes_away() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "compile"]);
    person.does("( trap '' HUP; setsid sleep 1000 ) & disown -a");
    person.types(SLEEPS);
    person.sees("begun");
    assert!(!trial.processes().is_empty());
    let mut child = person.hangs_up();
    child.wait().unwrap();
    trial.assert_no_processes("after a hang-up");
    // What was typed is remembered all the same.
    let mut again = self::person(&trial, &[]);
    assert!(again.does("history").contains("setsid sleep 1000"));
    again.types("exit");
    again.leaves();
    // And the build can be gone on with.
    trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
}

#[test]
fn nothing_is_left_where_the_program_is_killed() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "compile"]);
    person.does("( trap '' HUP; setsid sleep 1000 ) & disown -a");
    let pid = trial
        .processes()
        .into_iter()
        .find(|(_, line)| line.contains(" shell app-misc/foo"))
        .unwrap()
        .0;
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(person.leaves(), 137);
    trial.assert_no_processes("after SIGKILL");
}

#[test]
fn the_users_rc_file_is_read_only_where_that_was_asked_for() {
    let trial = trial().file(
        "my.rc",
        "alias ll='ls -l'\nMY_RC=1\nexport CONFIGURED=by-rc\nrc_function() { echo from rc; }\n",
    );
    trial.put("home/.bashrc", "echo HOME-RC; HOME_RC=1\n");
    trial.put("home/.inputrc", "set bell-style none\n");
    let rc = trial.path("my.rc");
    let rc = rc.to_str().unwrap();
    let mut plain = person(&trial, &["--phase", "compile"]);
    assert_eq!(plain.does("echo =$MY_RC$HOME_RC="), "==\n");
    plain.types("exit");
    plain.leaves();
    let mut person = person(&trial, &["--phase", "compile", "--rcfile", rc, "--keep"]);
    assert_eq!(
        person.does("rc_function; echo $CONFIGURED"),
        "from rc\nby-rc\n"
    );
    assert!(person.does("ll sub").contains("Makefile"));
    // Nor does a phase that is run here find any of it, but for what was set here since.
    person.does("MINE=kept; rc_function() { :; }");
    let text = person.does("src_compile() { echo =$CONFIGURED=$MY_RC=$MINE=$(type -t rc_function)=; touch sub/done; }; phase compile");
    assert!(text.contains("=yes==kept=function="), "{text}");
    assert_eq!(
        person.does("unset -f rc_function; echo $CONFIGURED$MY_RC"),
        "by-rc1\n"
    );
    person.types("resume --keep");
    assert_eq!(person.leaves(), 0);
    let text = fs::read(
        trial
            .builddir("app-misc/foo-1")
            .join(".ebd/environment.compile"),
    )
    .unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("MINE=\"kept\""));
    assert!(text.contains("CONFIGURED=\"yes\""));
    for leak in ["-- MY_RC", "rc_function ()", "by-rc"] {
        assert!(!text.contains(leak), "{leak}");
    }
}

#[test]
fn what_is_done_changes_nothing_that_is_kept_unless_it_is_to() {
    let trial = trial();
    let kept = || {
        let private = trial.builddir("app-misc/foo-1").join(".ebd");
        let mut files: Vec<_> = fs::read_dir(&private)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name == "progress.json"
                    || (name.starts_with("environment.")
                        && !name.ends_with("now")
                        && !name.ends_with("of-failure"))
            })
            .collect();
        files.sort();
        files
            .into_iter()
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect::<Vec<_>>()
    };
    let mut person = person(&trial, &["--phase", "compile"]);
    let before = kept();
    assert!(before.len() > 2);
    person.does("CONFIGURED=mine; src_install() { :; }; phase compile");
    person.does("diff-env");
    person.types("exit");
    person.leaves();
    assert_eq!(kept(), before);
    // resume too goes on from what was kept.
    let mut person = super::person(&trial, &["--keep"]);
    person.does("CONFIGURED=mine; src_install() { :; }");
    person.types("resume");
    assert_eq!(person.leaves(), 0);
    assert!(
        trial
            .builddir("app-misc/foo-1")
            .join("image/usr/share/done")
            .exists()
    );
    // With --keep it goes on from the shell: the phases that were run there are not run again.
    let again = super::trial();
    let mut person = super::person(&again, &["--phase", "compile", "--keep"]);
    person.does("phase compile");
    person.does("src_compile() { die 'not again'; }; src_install() { insinto /; doins sub/done; echo $MINE > \"${ED}\"/mine; }; MINE=1");
    person.types("resume --keep");
    assert_eq!(person.leaves(), 0, "{}", person.seen());
    let image = again.builddir("app-misc/foo-1").join("image");
    assert!(image.join("done").exists());
    assert_eq!(fs::read_to_string(image.join("mine")).unwrap(), "1\n");
    again.assert_pkgdir_valid();
}

#[test]
fn phases_that_run_as_another_user_do_so_here() {
    if !is_root() {
        eprintln!("not tried: only root can be another user");
        return;
    }
    let trial = nobodys();
    let mut person = person(&trial, &["--phase", "compile"]);
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_eq!(
        person.does("id -u; test -w \"$(tty)\" && echo writable"),
        format!("{}\nwritable\n", nobody.uid)
    );
    person.does("phase compile");
    let text = person.does("phase install");
    assert!(
        text.contains("src_install runs as another user, or with another network"),
        "{text}"
    );
    assert!(
        text.contains("ebd shell =app-misc/foo-1 --phase install"),
        "{text}"
    );
    person.types("resume --keep");
    assert_eq!(person.leaves(), 0, "{}", person.seen());
    trial.assert_pkgdir_valid();
}

/// The same where phases run as nobody if they need not be root.
pub(super) fn nobodys() -> Trial {
    use std::os::unix::fs::PermissionsExt;
    let trial = trial().make_conf(
        "FEATURES=\"userpriv usersandbox sandbox\"\nPORTAGE_USERNAME=nobody\nPORTAGE_GRPNAME=nogroup\n",
    );
    fs::set_permissions(trial.path("."), fs::Permissions::from_mode(0o777)).unwrap();
    trial
}
