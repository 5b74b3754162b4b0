//! `ebd config`: values, and the files and lines that set them.

use std::fs;

use serde_json::Value;

use crate::support::{Outcome, Trial, ebuild};

/// A configuration in which each layer has its say.
fn trial() -> Trial {
    Trial::new()
        .gentoo()
        .package(
            "app-misc/foo-1",
            "IUSE=\"+on off static doc forced masked\"",
        )
        .package("app-misc/foo-2", "IUSE=\"x\"\nLICENSE=\"Closed\"")
        .ebuild("app-misc/bar-1", ebuild("").replace("amd64", "~amd64"))
        .file("repo/profiles/default/use.mask", "masked\n")
        .file("repo/profiles/default/use.force", "# nothing\nforced\n")
        .make_conf("CFLAGS=\"-O2\"\nUSE=\"doc -off\"\nACCEPT_LICENSE=\"-* MIT\"\n")
        .conf("package.use/mine", "# comment\napp-misc/foo static -on\n")
        .conf("package.mask", "# It is\n# broken\n=app-misc/foo-1\n")
        .conf("package.unmask", "app-misc/foo\n")
        .conf("package.env", "app-misc/foo fast\n")
        .conf("env/fast", "\nCFLAGS=\"${CFLAGS} -fast\"\n")
        .conf("bashrc", "")
}

fn config(trial: &Trial, arguments: &[&str]) -> Outcome {
    trial.run_configured("config", arguments)
}

#[track_caller]
fn line(outcome: &Outcome, begin: &str) -> String {
    let found = outcome
        .stdout
        .lines()
        .find(|line| line.trim_start().starts_with(begin));
    found
        .unwrap_or_else(|| panic!("{begin:?} is not in:\n{outcome}"))
        .trim_start()
        .to_owned()
}

fn json(trial: &Trial, arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    serde_json::from_str(&config(trial, &all).succeeds().stdout).unwrap()
}

#[test]
fn values_are_shown_alone_and_together() {
    let trial = trial();
    assert_eq!(config(&trial, &["CFLAGS"]).succeeds().stdout, "-O2\n");
    assert_eq!(
        config(&trial, &["CFLAGS", "app-misc/foo"])
            .succeeds()
            .stdout,
        "-O2 -fast\n"
    );
    let all = config(&trial, &[]);
    assert_eq!(line(all.succeeds(), "CFLAGS="), "CFLAGS=\"-O2\"");
    config(&trial, &["CFLAG"]).fails(&["CFLAG: nothing sets this variable; did you mean CFLAGS?"]);
    config(&trial, &["app-misc/fooo"]).fails(&[
        "app-misc/fooo: no such package",
        "did you mean app-misc/foo?",
    ]);
}

#[test]
fn a_name_is_that_of_a_variable_if_there_is_one_else_that_of_a_package() {
    let trial = trial()
        .package("dev-lang/R-1", "")
        .package("net-misc/proxies-1", "")
        .conf("env/fast", "CFLAGS=\"-fast\"\nsmall=\"yes\"\nBIG=\"yes\"\n")
        .variable("http_proxy", "http://proxy.example.org:3128");
    let shown = |arguments: &[&str]| config(&trial, arguments).succeeds().stdout.clone();
    assert_eq!(shown(&["http_proxy"]), "http://proxy.example.org:3128\n");
    assert_eq!(
        shown(&["http_proxy", "proxies"]),
        "http://proxy.example.org:3128\n"
    );
    assert!(shown(&["R"]).starts_with("dev-lang/R-1::trial\n"));
    assert_eq!(shown(&["CFLAGS", "R"]), "-O2\n");
    // Of a package alone.
    for name in ["small", "BIG"] {
        assert_eq!(shown(&[name, "app-misc/foo"]), "yes\n");
        config(&trial, &[name]).fails(&["is set for some packages only; name one of them, too"]);
    }
    config(&trial, &["NONE"]).fails(&["NONE: nothing sets this variable"]);
    config(&trial, &["http_prox"]).fails(&["http_prox: no such package"]);
}

#[test]
fn each_flag_tells_what_turned_it() {
    let trial = trial();
    let outcome = config(&trial, &["--why", "USE", "=app-misc/foo-1"]);
    outcome.succeeds();
    let place = |name: &str| trial.path(name).display().to_string();
    let package_use = place("conf/etc/portage/package.use/mine");
    let make_conf = place("conf/etc/portage/make.conf");
    for (flag, told) in [
        ("static", format!("`static` in {package_use}:2")),
        (
            "-on",
            format!("`-on` in {package_use}:2, over `on` in <IUSE>"),
        ),
        ("doc", format!("`doc` in {make_conf}:2")),
        ("-off", format!("`-off` in {make_conf}:2")),
        (
            "forced",
            format!(
                "forced: `forced` in {}:2",
                place("repo/profiles/default/use.force")
            ),
        ),
        (
            "-masked",
            format!(
                "masked: `masked` in {}:1",
                place("repo/profiles/default/use.mask")
            ),
        ),
    ] {
        assert_eq!(
            line(&outcome, &format!("{flag}  ")),
            format!("{flag}  {told}")
        );
    }
}

#[test]
fn each_variable_tells_all_places_that_set_it() {
    let trial = trial().variable("CXXFLAGS", "-O9");
    let outcome = config(&trial, &["--why", "CFLAGS", "CXXFLAGS", "=app-misc/foo-1"]);
    let shown = &outcome.succeeds().stdout;
    let at = |part: &str| {
        shown
            .find(part)
            .unwrap_or_else(|| panic!("{part} is not in:\n{shown}"))
    };
    assert!(at("make.conf:1  gave \"-O2\", which does not count") < at("env/fast:2\n"));
    assert!(at("CXXFLAGS=\"-O9\"") < at("<environment>\n"));
    let why = json(&trial, &["--why", "CFLAGS", "=app-misc/foo-1"]);
    let steps = why["why"]["CFLAGS"].as_array().unwrap();
    let last = steps.last().unwrap();
    assert_eq!(
        (&last["text"], &last["origin"]["line"]),
        (&Value::from("-O2 -fast"), &Value::from(2))
    );
}

#[test]
fn a_package_is_told_about_even_if_it_is_masked() {
    let trial = trial();
    // The best that may be built, though there is a newer one.
    let shown = config(&trial, &["app-misc/foo", "--why"]);
    assert!(
        shown
            .succeeds()
            .stdout
            .starts_with("app-misc/foo-1::trial\n"),
        "{shown}"
    );
    assert_eq!(line(&shown, "visible"), "visible     yes");
    let mask = format!(
        "`=app-misc/foo-1` in {}:3",
        trial.path("conf/etc/portage/package.mask").display()
    );
    let unmask = format!(
        "`app-misc/foo` in {}:1",
        trial.path("conf/etc/portage/package.unmask").display()
    );
    assert_eq!(
        (line(&shown, "`=app"), line(&shown, "`app-misc/foo`")),
        (mask, unmask)
    );
    assert_eq!(line(&shown, "differs"), "differs     CFLAGS=\"-O2 -fast\"");
    assert!(line(&shown, "bashrc").ends_with("conf/etc/portage/bashrc"));
    let two = json(&trial, &["=app-misc/foo-2"]);
    assert_eq!(
        (&two["visible"], &two["masks"][0]["kind"]),
        (&Value::from(false), &Value::from("license"))
    );
    assert_eq!(two["masks"][0]["missing"], serde_json::json!(["Closed"]));
    let bar = json(&trial, &["app-misc/bar"]);
    assert_eq!(bar["masks"][0]["needed"], "~amd64");
    let foo = json(&trial, &["=app-misc/foo-1"]);
    assert_eq!(foo["use"], serde_json::json!(["doc", "forced", "static"]));
}

#[test]
fn one_toml_file_is_a_whole_configuration() {
    let trial = Trial::new().package("app-misc/foo-1", "IUSE=\"a b\"").file(
        "repo/profiles/default/make.defaults",
        "ARCH=amd64\nACCEPT_KEYWORDS=amd64\n",
    );
    let file = format!(
        "profile = \"trial:default\"\nmain-repository = \"trial\"\n\n[variables]\nUSE = \"a\"\n\n\
         [repositories.trial]\nlocation = {:?}\n\n[[package]]\nmatch = \"app-misc/*\"\nuse = \"b\"\n",
        trial.path("repo")
    );
    let trial = trial.file("own.toml", file);
    let path = trial.path("own.toml").display().to_string();
    let outcome = config(&trial, &["--config", &path, "--why", "USE", "app-misc/foo"]);
    assert_eq!(
        line(outcome.succeeds(), "a  "),
        format!("a  `a` in {path}:5")
    );
    assert_eq!(line(&outcome, "b  "), format!("b  `b` in {path}:12"));
    fs::write(trial.path("own.toml"), "[variable]\nUSE = \"a\"\n").unwrap();
    config(&trial, &["--config", &path]).fails(&[
        "own.toml:1: unknown field `variable`",
        "did you mean variables?",
    ]);
}

#[test]
fn updates_keep_to_their_repositories() {
    let with = |options: &str, of: &str| {
        let over = Trial::new()
            .gentoo()
            .package("app-misc/foo-1", "")
            .file("over/profiles/repo_name", "over\n")
            .file("over/profiles/categories", "app-misc\n")
            .file(
                "over/metadata/layout.conf",
                "masters = trial\nthin-manifests = true\naliases = above\n",
            )
            .file("over/app-misc/foo/foo-2.ebuild", ebuild(""))
            .file("root/var/db/pkg/app-misc/foo-1/repository", "trial\n")
            .file("root/var/db/pkg/app-misc/foo-1/SLOT", "0\n")
            .file("root/var/db/pkg/app-misc/foo-1/EAPI", "8\n")
            .conf(
                &format!("{of}/repository.conf"),
                &format!("OPTIONS=\"{options}\"\n"),
            );
        let repos = format!(
            "[DEFAULT]\nmain-repo = trial\n[trial]\nlocation = {}\n[over]\nlocation = {}\n",
            over.path("repo").display(),
            over.path("over").display()
        );
        over.conf("repos.conf", &repos)
    };
    let planned = |trial: &Trial, atom: &str| {
        let outcome = trial.run(&["build", "--pretend", "--quiet", atom]);
        outcome
            .succeeds()
            .stdout
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(
        planned(&with("", "over"), "app-misc/foo"),
        "app-misc/foo-2::over"
    );
    for trial in [
        with("EXCLUDEUPDATE", "over"),
        with("EXCLUSIVEUPDATE", "trial"),
    ] {
        assert_eq!(planned(&trial, "app-misc/foo"), "app-misc/foo-1::trial");
        for name in ["app-misc/foo::over", "=app-misc/foo-2::above"] {
            assert_eq!(planned(&trial, name), "app-misc/foo-2::over");
        }
        // All that tell of it agree.
        for (query, expected) in [
            ("app-misc/foo", "app-misc/foo-1::trial\n"),
            ("app-misc/foo::above", ""),
        ] {
            let outcome = trial.run_configured("query", &["--visible", query]);
            assert_eq!(outcome.stdout, expected, "{outcome}");
        }
        let told = json(&trial, &["=app-misc/foo-2"]);
        assert_eq!(
            (&told["visible"], &told["masks"][0]["kind"]),
            (&false.into(), &"no update".into())
        );
        assert_eq!(json(&trial, &["app-misc/foo::above"])["visible"], true);
    }
    with("EXCLUDEUPDATE", "over")
        .run(&["build", "--pretend", "=app-misc/foo-2"])
        .fails(&["over is excluded from updates"]);
}

#[test]
fn a_repository_is_known_by_its_aliases_or_told() {
    let trial = Trial::new()
        .gentoo()
        .package("app-misc/foo-1", "IUSE=\"x\"")
        .file(
            "repo/metadata/layout.conf",
            "masters =\nthin-manifests = true\naliases = other\n",
        )
        .conf(
            "package.use",
            "app-misc/foo::other x\napp-misc/foo::trail y\n",
        );
    let warning = format!(
        "{}:2: `app-misc/foo::trail` matches nothing: no repository is called trail; did you mean trial?",
        trial.path("conf/etc/portage/package.use").display()
    );
    for command in [
        &["build", "--pretend"][..],
        &["fetch", "--pretend"],
        &["config"],
        &["query"],
        &["shell", "-c", "true"],
        &["env"],
        &["manifest"],
    ] {
        let with = |atom: &'static str| {
            let mut all = command.to_vec();
            all.insert(1, atom);
            match command[0] {
                "config" | "query" => trial.run_configured(all[0], &all[1..]),
                _ => trial.run(&all),
            }
        };
        let outcome = with("app-misc/foo::other");
        outcome.succeeds();
        if command[0] == "build" {
            assert!(outcome.stdout.contains("USE=\"x\""), "{outcome}");
            assert!(outcome.stderr.contains(&warning), "{outcome}");
        }
        if command[0] == "query" {
            let outcome = trial.run_configured("query", &["--visible", "app-misc/foo::other"]);
            assert!(outcome.succeeds().stderr.contains(&warning), "{outcome}");
            let outcome = trial.run_configured("query", &["repo:other"]);
            assert_eq!(outcome.succeeds().stdout, "app-misc/foo-1::trial\n");
            let outcome = trial.run_configured("query", &["!repo:trail"]);
            outcome.ends(
                1,
                &["repository trail: not configured; did you mean trial?"],
            );
            let outcome = trial.run_configured("query", &["repo:tri*"]);
            assert_eq!(outcome.succeeds().stdout, "app-misc/foo-1::trial\n");
        }
        with("app-misc/foo::nowhere")
            .ends(1, &["repository nowhere: not configured; there is trial"]);
        with("app-misc/foo::othre").ends(
            1,
            &["repository othre: not configured; did you mean other?"],
        );
    }
}

#[test]
fn repositories_that_share_an_alias_are_told() {
    let trial = Trial::new().package("app-misc/foo-1", "");
    let over = |trial: Trial, name: &str, more: &str| {
        let layout = format!("masters = trial\nthin-manifests = true\n{more}");
        trial
            .file(&format!("{name}/profiles/repo_name"), format!("{name}\n"))
            .file(&format!("{name}/profiles/categories"), "app-misc\n")
            .file(&format!("{name}/metadata/layout.conf"), layout)
            .file(&format!("{name}/app-misc/foo/foo-1.ebuild"), ebuild(""))
    };
    let trial = over(trial.gentoo(), "zoo", "aliases = extra\n");
    let trial = over(trial, "bar", "aliases = mine extra\n");
    let trial = over(trial, "mine", "");
    let section = |name: &str| format!("[{name}]\nlocation = {}\n", trial.path(name).display());
    let repos = format!(
        "[DEFAULT]\nmain-repo = trial\n[trial]\nlocation = {}\n{}aliases = own\n{}{}aliases = trial\n",
        trial.path("repo").display(),
        section("zoo"),
        section("bar"),
        section("mine"),
    );
    let trial = trial.conf("repos.conf", &repos);
    let conf = trial.path("conf/etc/portage/repos.conf");
    let (conf, zoo, bar) = (
        conf.display(),
        trial.path("zoo/metadata/layout.conf"),
        trial.path("bar/metadata/layout.conf"),
    );
    let outcome = trial.run_configured("query", &["app-misc/foo::extra"]);
    assert_eq!(outcome.succeeds().stdout, "app-misc/foo-1::zoo\n");
    assert_eq!(outcome.stderr.matches("stands for mine").count(), 1);
    for wanted in [
        format!(
            "{}:3: `mine`, an alias of repository bar, is also the name of repository mine; it stands for mine",
            bar.display()
        ),
        // The one whose section comes first has it, as in Portage.
        format!(
            "{}:3: `extra`, an alias of repository bar, is also an alias of repository zoo ({}:3); it stands for zoo",
            bar.display(),
            zoo.display()
        ),
        format!(
            "{conf}:12: `trial`, an alias of repository mine, is also the name of repository trial; it stands for trial"
        ),
    ] {
        assert!(outcome.stderr.contains(&wanted), "{wanted}\n{outcome}");
    }
    let outcome = trial.run(&["binpkg", "serve", "--listen", "192.0.2.1:1"]);
    assert!(outcome.stderr.contains("it stands for zoo"), "{outcome}");
    let outcome = trial.run_configured("query", &["app-misc/foo::mine | app-misc/foo::own"]);
    assert_eq!(
        outcome.succeeds().stdout,
        "app-misc/foo-1::mine\napp-misc/foo-1::zoo\n"
    );
}
