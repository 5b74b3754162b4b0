//! The variables of builds.

use super::*;

fn with_sources<T>(eapi: &str, configured: &[(&str, &str)], test: impl Fn(&Sources<'_>) -> T) -> T {
    let cpv = Cpv::parse("app-misc/foo-1.0-r0").unwrap();
    let dirs = Directories::new(Path::new("/var/tmp"), "app-misc", "foo-1.0");
    let configured = configured
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    test(&Sources {
        cpv: &cpv,
        eapi: Eapi::parse(eapi).unwrap(),
        slot: "0",
        directories: &dirs,
        ebuild: Path::new("/repo/app-misc/foo/foo-1.0.ebuild"),
        repository: "repo",
        master_path: Path::new("/repo"),
        configured: &configured,
        use_flags: &[],
        iuse_effective: &[],
        distfiles: &["b.tar".into(), "a.tar".into()],
        all_distfiles: &[],
        restrict: "",
        properties: "",
        features: "",
        root: Path::new("/"),
        config_root: Path::new("/"),
        distdir: Path::new("/distfiles"),
        tmpdir: Path::new("/var/tmp"),
        helpers: Path::new("/helpers"),
        user: ("portage", "portage"),
        installed_ids: (0, 0),
        kernel: "6.1.0",
        replacing_versions: &["0.9".into()],
    })
}

#[test]
fn slashes_end_paths_up_to_eapi_6_only() {
    with_sources("6", &[], |s| {
        let vars = s.for_phase(Phase::Install);
        assert_eq!(vars.get("ROOT"), Some(&b"/"[..]));
        assert!(vars.get("ED").unwrap().ends_with(b"/image/"));
        assert_eq!(vars.get("SYSROOT"), None);
    });
    with_sources("7", &[], |s| {
        let vars = s.for_phase(Phase::Install);
        assert_eq!(vars.get("ROOT"), Some(&b""[..]));
        assert!(vars.get("ED").unwrap().ends_with(b"/image"));
        assert_eq!(vars.get("SYSROOT"), Some(&b""[..]));
        assert_eq!(s.initial(false).get("PORTDIR"), None);
    });
}

#[test]
fn a_configuration_cannot_set_what_the_specification_defines() {
    with_sources(
        "8",
        &[
            ("D", "/"),
            ("A", "x"),
            ("__EBD_TOKEN", "x"),
            ("a-b", "x"),
            ("CFLAGS", "-O2"),
            ("GZIP", "-1"),
            ("GLOBIGNORE", "*"),
            ("SHELLOPTS", "noglob"),
            ("FOO", "x"),
            ("ENV_UNSET", "FOO"),
        ],
        |s| {
            let vars = s.initial(false);
            for name in ["GZIP", "GLOBIGNORE", "SHELLOPTS", "FOO"] {
                assert_eq!(vars.get(name), None, "{name}");
            }
            assert_eq!(s.initial(true).get("CFLAGS"), None);
            assert!(vars.get("D").unwrap().ends_with(b"/image"));
            assert_eq!(vars.get("A"), Some(&b"b.tar a.tar"[..]));
            assert_eq!(vars.get("__EBD_TOKEN"), None);
            assert_eq!(vars.get("a-b"), None);
            assert_eq!(vars.get("CFLAGS"), Some(&b"-O2"[..]));
        },
    );
}

#[test]
fn the_locale_leaves_letters_as_they_are() {
    with_sources("8", &[("LC_ALL", "tr_TR.UTF-8")], |s| {
        let vars = s.initial(false);
        assert_eq!(vars.get("LC_ALL"), None);
        assert_eq!(vars.get("LC_COLLATE"), Some(&b"C"[..]));
        assert_eq!(vars.get("LC_CTYPE"), Some(&b"C.UTF-8"[..]));
        assert_eq!(vars.get("LANG"), Some(&b"tr_TR.UTF-8"[..]));
    });
}

#[test]
fn the_kernel_is_told_up_to_eapi_3_and_an_ebuild_may_change_it() {
    with_sources("3", &[], |s| {
        assert_eq!(s.initial(false).get("KV"), Some(&b"6.1.0"[..]));
        assert_eq!(s.initial(true).get("KV"), None);
    });
    with_sources("4", &[], |s| assert_eq!(s.initial(false).get("KV"), None));
}

#[test]
fn replaced_versions_are_told_in_two_phases() {
    with_sources("8", &[], |s| {
        let setup = s.for_phase(Phase::Setup);
        assert_eq!(setup.get("REPLACING_VERSIONS"), Some(&b"0.9"[..]));
        assert_eq!(setup.get("MERGE_TYPE"), Some(&b"buildonly"[..]));
        assert_eq!(s.for_phase(Phase::Compile).get("REPLACING_VERSIONS"), None);
        assert!(s.absent_in(Phase::Compile).contains(&"REPLACING_VERSIONS"));
    });
}
