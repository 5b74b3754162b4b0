use super::*;

struct Trees(tempfile::TempDir);

impl Trees {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn repository(&self, name: &str, layout: &str) -> &Self {
        self.file(&format!("{name}/profiles/repo_name"), name)
            .file(&format!("{name}/metadata/layout.conf"), layout)
    }

    fn settings(&self, name: &str) -> RepoSettings {
        RepoSettings {
            name: name.to_owned(),
            location: self.0.path().join(name),
            ..RepoSettings::default()
        }
    }
}

fn names(repositories: Vec<&Repository>) -> Vec<&str> {
    repositories.into_iter().map(Repository::name).collect()
}

#[test]
fn masters_and_eclass_order() {
    let trees = Trees::new();
    trees
        .repository("gentoo", "masters =\n")
        .repository("middle", "masters = gentoo\naliases = centre\n")
        .repository("top", "masters = gentoo centre\n")
        .repository("plain", "")
        .file("gentoo/eclass/a.eclass", "gentoo\n")
        .file("middle/eclass/a.eclass", "middle\n")
        .file("gentoo/eclass/b.eclass", "gentoo b\n")
        .file("plain/eclass/b.eclass", "plain b\n");
    let all: Vec<_> = ["top", "plain", "middle", "gentoo"]
        .map(|n| trees.settings(n))
        .to_vec();
    let set = RepoSet::new(&all, Some("gentoo")).unwrap();
    let order: Vec<_> = set.repositories().map(Repository::name).collect();
    assert_eq!(order, ["gentoo", "middle", "plain", "top"]);
    assert_eq!(names(set.masters("top").unwrap()), ["gentoo", "middle"]);
    assert_eq!(names(set.masters("plain").unwrap()), ["gentoo"]);
    assert_eq!(
        names(set.eclass_order("top").unwrap()),
        ["top", "middle", "gentoo"]
    );
    assert_eq!(set.repository("centre").unwrap().name(), "middle");
    let found = set.eclass("top", "a").unwrap();
    assert!(found.path.ends_with("middle/eclass/a.eclass"));
    assert!(
        set.eclass("plain", "b")
            .unwrap()
            .path
            .ends_with("plain/eclass/b.eclass")
    );
    assert!(
        set.eclass("top", "b")
            .unwrap()
            .path
            .ends_with("gentoo/eclass/b.eclass")
    );
    assert!(matches!(
        set.eclass("top", "../a"),
        Err(RepoError::EclassName { .. })
    ));
    let error = set.eclass("top", "none").unwrap_err();
    assert!(matches!(&error, RepoError::MissingEclass { searched, .. } if searched.len() == 3));
}

#[test]
fn a_changed_eclass_is_hashed_again() {
    let trees = Trees::new();
    trees
        .repository("gentoo", "masters =\n")
        .file("gentoo/eclass/a.eclass", "a");
    let set = RepoSet::new(&[trees.settings("gentoo")], None).unwrap();
    let first = set.eclass("gentoo", "a").unwrap().md5;
    assert_eq!(first, "0cc175b9c0f1b6a831c399e269772661");
    trees.file("gentoo/eclass/a.eclass", "ab");
    assert_ne!(set.eclass("gentoo", "a").unwrap().md5, first);
}

#[test]
fn an_equal_mtime_hides_no_overlay_eclass() {
    let trees = Trees::new();
    trees
        .repository("gentoo", "masters =\n")
        .repository("over", "masters = gentoo\n")
        .file("gentoo/eclass/a.eclass", "1")
        .file("over/eclass/a.eclass", "2");
    let time = std::time::SystemTime::UNIX_EPOCH;
    for name in ["gentoo", "over"] {
        let path = trees.0.path().join(name).join("eclass/a.eclass");
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    let all = [trees.settings("gentoo"), trees.settings("over")];
    let set = RepoSet::new(&all, Some("gentoo")).unwrap();
    assert!(
        set.eclass("over", "a")
            .unwrap()
            .path
            .ends_with("over/eclass/a.eclass")
    );
}

#[test]
fn missing_masters_name_both_and_the_cure() {
    let trees = Trees::new();
    trees.repository("over", "masters = gentoo\n");
    let error = RepoSet::new(&[trees.settings("over")], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "repository over: its master gentoo is not configured (add gentoo to repos.conf, give its \
         folder with --repo PATH too, or set masters for over there)"
    );
    let mut settings = trees.settings("over");
    settings.masters = Some(Vec::new());
    RepoSet::new(&[settings], None).unwrap();
}

#[test]
fn names_must_agree() {
    let trees = Trees::new();
    trees.repository("own", "").file("nameless/x", "");
    let mut settings = trees.settings("own");
    settings.name = "other".to_owned();
    assert!(matches!(
        RepoSet::new(std::slice::from_ref(&settings), None),
        Err(RepoError::OtherName { .. })
    ));
    settings.aliases = vec!["other".to_owned()];
    let set = RepoSet::new(&[settings.clone()], None).unwrap();
    assert_eq!(set.repository("other").unwrap().name(), "own");
    let set = RepoSet::new(&[trees.settings("nameless")], None).unwrap();
    assert_eq!(set.repositories().next().unwrap().name(), "nameless");
    let twice = [settings.clone(), settings];
    assert!(matches!(
        RepoSet::new(&twice, None),
        Err(RepoError::SameName { .. })
    ));
}

#[test]
fn the_main_repository_comes_first_whatever_it_is_called() {
    let trees = Trees::new();
    trees
        .repository("zoo", "masters =\naliases = animals\n")
        .repository("ape", "masters = zoo\n")
        .repository("bee", "masters = zoo\naliases = zoo\n");
    let order = |main: &str, change: fn(&mut RepoSettings)| {
        let mut all = ["ape", "bee", "zoo"].map(|name| trees.settings(name));
        change(&mut all[2]);
        let set = RepoSet::new(&all, Some(main)).unwrap();
        assert_eq!(set.main().unwrap().name(), "zoo");
        let order: Vec<_> = set.repositories().map(Repository::name).collect();
        (order.join(" "), set.priority("zoo").unwrap())
    };
    let first = ("zoo ape bee".to_owned(), -1000);
    assert_eq!(order("zoo", |_| {}), first);
    assert_eq!(order("animals", |_| {}), first);
    assert_eq!(
        order("mine", |zoo| zoo.aliases = vec!["mine".to_owned()]),
        first
    );
    assert_eq!(
        order("animals", |zoo| zoo.priority = Some(3)),
        ("ape bee zoo".to_owned(), 3)
    );
}

#[test]
fn categories_are_those_of_all_and_of_the_user() {
    let trees = Trees::new();
    trees
        .repository("gentoo", "masters =\n")
        .repository("own", "masters = gentoo\n")
        .repository("sibling", "masters = gentoo\n")
        .file("gentoo/profiles/categories", "app-misc\nold\n")
        .file("own/profiles/categories", "-old\n.bad\nmine # ours\n")
        .file("sibling/profiles/categories", "other\n");
    let all = ["gentoo", "own", "sibling"].map(|name| trees.settings(name));
    let mut set = RepoSet::new(&all, Some("gentoo")).unwrap();
    assert_eq!(set.categories().unwrap(), ["app-misc", "mine", "other"]);
    set.add_categories(["-other", "users", "-none"].map(str::to_owned));
    assert_eq!(set.categories().unwrap(), ["app-misc", "mine", "users"]);
    set.add_categories(["-*", "last"].map(str::to_owned));
    assert_eq!(set.categories().unwrap(), ["last"]);
}

#[test]
fn the_higher_priority_comes_last_at_equal_versions() {
    let trees = Trees::new();
    trees
        .repository("gentoo", "masters =\n")
        .repository("a-over", "masters = gentoo\n")
        .file("gentoo/profiles/categories", "app-misc\napp-arch\n")
        .file("gentoo/app-misc/foo/foo-1.ebuild", "")
        .file("gentoo/app-misc/foo/foo-2.ebuild", "")
        .file("a-over/app-misc/foo/foo-2.ebuild", "")
        .file("a-over/app-arch/foo/foo-1.ebuild", "")
        .file("gentoo/app-misc/bar/bar-1.ebuild", "");
    let all = [trees.settings("gentoo"), trees.settings("a-over")];
    let set = RepoSet::new(&all, Some("gentoo")).unwrap();
    let found = set.ebuilds("app-misc/foo").unwrap();
    let found: Vec<_> = found.iter().map(|e| (e.cpv.pv(), &*e.repository)).collect();
    assert_eq!(found, [("1", "gentoo"), ("2", "gentoo"), ("2", "a-over")]);
    assert_eq!(
        set.package_named("bar").unwrap(),
        PackageName::One("app-misc/bar".into())
    );
    assert_eq!(
        set.package_named("foo").unwrap(),
        PackageName::Several(vec!["app-arch/foo".into(), "app-misc/foo".into()])
    );
    assert_eq!(set.package_named("none").unwrap(), PackageName::Unknown);

    let resolved = |atom: &str| set.resolve(Atom::parse_config(atom).unwrap());
    assert_eq!(resolved("a/b").unwrap().to_string(), "a/b");
    assert_eq!(
        resolved("=a/b-1::gentoo").unwrap().to_string(),
        "=a/b-1::gentoo"
    );
    assert!(matches!(
        resolved("app-misc/foo::none"),
        Err(RepoError::UnknownRepository { .. })
    ));
}
