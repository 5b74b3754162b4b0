use super::super::fixture::Root;
use super::*;

fn names(root: &Root) -> Vec<String> {
    root.load()
        .repositories()
        .repositories()
        .map(|r| r.name().to_owned())
        .collect()
}

fn overlay(root: Root, name: &str, conf: &str) -> Root {
    let location = root.path(name);
    root.file(&format!("{name}/profiles/repo_name"), &format!("{name}\n"))
        .file(
            &format!("{name}/metadata/layout.conf"),
            "masters = gentoo\n",
        )
        .file(
            &format!("{name}.conf"),
            &format!("[{name}]\nlocation = {}\n{conf}", location.display()),
        )
}

#[test]
fn repositories_are_ordered_by_priority() {
    let root = overlay(overlay(Root::new(), "zeta", "priority = -5\n"), "alpha", "");
    let text: String = ["etc/portage/repos.conf", "zeta.conf", "alpha.conf"]
        .map(|file| fs::read_to_string(root.path(file)).unwrap())
        .concat();
    let root = root.file("etc/portage/repos.conf", &text);
    assert_eq!(names(&root), ["gentoo", "zeta", "alpha"]);
    assert_eq!(
        root.load().get("PORTDIR").unwrap(),
        root.path("repo").to_str().unwrap()
    );
    let overlays = root.load().get("PORTDIR_OVERLAY").unwrap().to_owned();
    assert_eq!(
        overlays,
        format!(
            "{} {}",
            root.path("zeta").display(),
            root.path("alpha").display()
        )
    );
}

#[test]
fn the_command_line_adds_or_moves_repositories() {
    let mut root = overlay(Root::new(), "mine", "");
    root.options.extra_repos = vec![root.path("mine")];
    assert_eq!(names(&root), ["gentoo", "mine"]);
    let mut root = root
        .file("copy/profiles/repo_name", "gentoo\n")
        .file("copy/metadata/layout.conf", "masters =\n");
    root.options.extra_repos = vec![root.path("copy")];
    assert_eq!(
        root.load().repositories().main().unwrap().location(),
        root.path("copy")
    );
    root.options.extra_repos = vec![root.path("nowhere")];
    assert_eq!(
        root.error(),
        "--repo: /nowhere is not a directory; create it or correct the setting"
    );
}

#[test]
fn a_missing_directory_is_told_and_left_out() {
    let root = Root::new();
    let text = fs::read_to_string(root.path("etc/portage/repos.conf")).unwrap();
    let root = root.file(
        "etc/portage/repos.conf",
        &format!("{text}[gone]\nlocation = /nowhere/at/all\n"),
    );
    assert_eq!(names(&root), ["gentoo"]);
    let warning = root.load().warnings().join("\n");
    assert!(
        warning.contains("repos.conf:4: location of [gone]"),
        "{warning}"
    );
}

#[test]
fn the_environment_replaces_all_files() {
    let root = overlay(Root::new(), "mine", "");
    let text = format!(
        "[mine]\nlocation = {}\nmasters =\n",
        root.path("mine").display()
    );
    let root = root.env("PORTAGE_REPOSITORIES", &text);
    std::fs::remove_file(root.path("etc/portage/make.profile")).unwrap();
    assert_eq!(names(&root), ["mine"]);
}

#[test]
fn quoted_overlays() {
    assert_eq!(
        split_quoted("/a '/b c' \"/d\\\"e\" /f\\ g").unwrap(),
        ["/a", "/b c", "/d\"e", "/f g"]
    );
    assert!(split_quoted("'/a").is_err());
}

#[test]
fn mistakes_are_named() {
    let root = Root::new().file("etc/portage/repos.conf", "[DEFAULT]\nmain-repo = other\n");
    assert!(root.error().contains("other"), "{}", root.error());
    let root = Root::new();
    let text = fs::read_to_string(root.path("etc/portage/repos.conf")).unwrap();
    let root = root.file(
        "etc/portage/repos.conf",
        &format!("{text}priority = high\n"),
    );
    assert_eq!(
        root.error(),
        "/etc/portage/repos.conf:3: priority of [gentoo] is `high`; write a number"
    );
}

#[test]
fn errors_name_the_file_that_has_the_repository() {
    let mut root = Root::new()
        .file("over/profiles/repo_name", "over\n")
        .file("over/metadata/layout.conf", "masters = nobody\n");
    let location = root.path("over");
    let of_option = |root: &Root, begin: &str| {
        let told = root.error();
        assert!(told.starts_with(begin), "{told}");
    };
    root.options.extra_repos = vec![location.clone()];
    of_option(&root, "repositories: the repositories cannot be used");
    root.options.extra_repos.clear();
    let text = fs::read_to_string(root.path("etc/portage/repos.conf")).unwrap();
    let more = format!("{text}[over]\nlocation = {}\n", location.display());
    let root = root.file("etc/portage/repos.conf", &more);
    of_option(&root, "/etc/portage/repos.conf: the repositories");
    let toml = format!(
        "[repositories.over]\nlocation = \"{}\"\n",
        location.display()
    );
    let root = root
        .file("etc/portage/repos.conf", &text)
        .file("etc/portage/ebd.toml", &toml);
    of_option(&root, "/etc/portage/ebd.toml: the repositories");
}
