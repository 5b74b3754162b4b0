use super::super::fixture::{Ebuild, Root};

const WHOLE: &str = r#"
profile = "gentoo:default"

[variables]
CFLAGS = "-O3"
CXXFLAGS = "${CFLAGS} -fx"
USE = ["conf", "-acl"]

[repositories.gentoo]
priority = 5
exclude-update = true
variables = { MAKEOPTS = "-j7" }

[[package]]
match = ["a/b", "a/c"]
use = "x -conf"
keywords = "~amd64"

[[package]]
match = ">=a/b-2"
mask = true

[[package]]
match = "a/b"
variables = { CFLAGS = "${CFLAGS} -g" }
"#;

#[test]
fn says_what_the_files_would() {
    let root = Root::new()
        .file("etc/portage/make.conf", "USE=\"first acl\"\n")
        .file("etc/portage/package.use", "a/b -x y\n")
        .file("etc/portage/ebd.toml", WHOLE);
    std::fs::remove_file(root.path("etc/portage/make.profile")).unwrap();
    let config = root.load();
    let package = Ebuild::new("a/b-1")
        .iuse("acl conf first x y")
        .keywords("~amd64");
    let answer = package.ask(&config);
    assert_eq!(package.flags(&config), "first x y");
    assert!(answer.masks.is_empty(), "{:?}", answer.masks);
    assert_eq!(answer.variables["CFLAGS"], "-O3 -g");
    assert_eq!(answer.variables["CXXFLAGS"], "-O3 -fx");
    assert_eq!(answer.variables["MAKEOPTS"], "-j7");
    assert_eq!(Ebuild::new("a/b-2").masks(&config).len(), 1);
    assert_eq!(config.repositories().priority("gentoo"), Some(5));
    assert!(config.updates["gentoo"].exclude_update);
    let origin = config.origin("CXXFLAGS").unwrap();
    assert!(
        origin.file.ends_with("etc/portage/ebd.toml") && origin.line == 6,
        "{origin}"
    );
}

#[test]
fn the_more_specific_match_counts_as_in_the_files() {
    let root = Root::new().file(
        "etc/portage/ebd.toml",
        "[[package]]\nmatch = \"=a/b-1\"\nuse = \"x\"\n\n\
         [[package]]\nmatch = \"a/b\"\nuse = \"-x y\"\n\n\
         [[package]]\nmatch = \"a/b\"\nuse = \"-y\"\n",
    );
    let config = root.load();
    let flags = |cpv: &str| Ebuild::new(cpv).iuse("x y").flags(&config);
    assert_eq!(
        (flags("a/b-1").as_str(), flags("a/b-2").as_str()),
        ("x", "")
    );
}

#[test]
fn a_group_of_flags_ends_with_its_element() {
    let root = Root::new().file(
        "etc/portage/ebd.toml",
        "[[package]]\nmatch = \"a/b\"\nuse = [\"L10N: -* de\", \"x -y\"]\n\n\
         [[package]]\nmatch = \"a/c\"\nuse = \"\"\"\nL10N: de\nx\n\"\"\"\n\n\
         [[package]]\nmatch = \"a/d\"\nuse = \"L10N: de x\"\nkeywords = []\n",
    );
    let config = root.load();
    let flags = |cpv: &str| {
        let package = Ebuild::new(cpv).iuse("l10n_de l10n_x x +y");
        package.flags(&config)
    };
    assert_eq!(flags("a/b-1"), "l10n_de x");
    assert_eq!(flags("a/c-1"), "l10n_de x y");
    assert_eq!(flags("a/d-1"), "l10n_de l10n_x y");
    let testing = Ebuild::new("a/d-1").keywords("~amd64");
    assert_eq!(testing.masks(&config), [""; 0]);
}

#[test]
fn a_file_that_is_named_takes_the_place_of_the_other() {
    let mut root = Root::new()
        .file("etc/portage/ebd.toml", "[variables]\nOTHER = \"default\"\n")
        .file("mine.toml", "[variables]\nOTHER = \"named\"\n");
    assert_eq!(root.load().get("OTHER"), Some("default"));
    root.options.config_file = Some(root.path("mine.toml"));
    assert_eq!(root.load().get("OTHER"), Some("named"));
    root.options.config_file = Some(root.path("none.toml"));
    assert!(root.error().contains("none.toml: cannot be read"));
    root.options.config_file = None;
    let root = root.env("EBD_CONFIG", "/nowhere/at/all.toml");
    assert!(root.error().contains("all.toml: cannot be read"));
}

#[test]
fn errors_tell_the_line_and_what_was_meant() {
    for (text, wanted) in [
        (
            "[variables]\nA = \"1\"\n\n[[package]]\nmatch = \"a/b\"\nusee = \"x\"\n",
            ":6: unknown field `usee`",
        ),
        (
            "[[package]]\nmatch = \"a/b\"\nusee = \"x\"\n",
            "did you mean use?",
        ),
        (
            "[[package]]\nmatch = \"a/b\"\n",
            ":2: this [[package]] says nothing",
        ),
        (
            "[[package]]\nmatch = \"a/b\"\nmask = false\n",
            ":3: `mask = false` takes no mask away; write unmask = true, or remove the line",
        ),
        (
            "[[package]]\nmatch = \"a/b\"\nuse = \"x\"\nunmask = false\n",
            ":4: `unmask = false` masks nothing; write mask = true, or remove the line",
        ),
        ("[[package]]\nuse = \"x\"\n", ":1: missing field `match`"),
        (
            "\n[repositories.gentoo]\npriority = \"high\"\n",
            ":3: invalid type",
        ),
        ("[variables]\nA = 1\n", ":2: a text or a list of texts"),
        ("profile = \"gentoo:none\"\n", ":1: "),
        ("profile = \"other:x\"\n", "no repository is called other"),
        ("x = [\n", ":"),
        (
            "[[package]]\nmatch = \"a b\"\nuse = \"x\"\n",
            ":3: `a` does not name a package",
        ),
    ] {
        let error = Root::new().file("etc/portage/ebd.toml", text).error();
        assert!(
            error.starts_with("/etc/portage/ebd.toml") && error.contains(wanted),
            "{text}: {error}"
        );
    }
}
