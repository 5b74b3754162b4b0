//! What holds in which EAPI: one row per EAPI, each built from the one before.

use super::{BashVersion, Eapi};
use crate::pms::phase::DefaultPhase::{self, Absent, Format, NoOp};

/// A fact as bash gets it.
trait BashValue {
    fn bash_value(&self) -> String;
}

impl BashValue for bool {
    fn bash_value(&self) -> String {
        if *self { "1".to_owned() } else { String::new() }
    }
}

impl BashValue for &'static str {
    fn bash_value(&self) -> String {
        (*self).to_owned()
    }
}

impl BashValue for &'static [&'static str] {
    fn bash_value(&self) -> String {
        self.join(" ")
    }
}

impl BashValue for BashVersion {
    fn bash_value(&self) -> String {
        self.to_string()
    }
}

impl BashValue for DefaultPhase {
    fn bash_value(&self) -> String {
        self.to_string()
    }
}

/// Declares the facts with their value in EAPI 0: the struct of a row, the first row, a method
/// of [`Eapi`] for each, and their listing for bash.
macro_rules! facts {
    ($( $(#[$doc:meta])* $name:ident: $type:ty = $first:expr; )*) => {
        /// One row of the table.
        #[derive(Clone, Copy)]
        struct Facts {
            name: &'static str,
            $( $name: $type, )*
        }

        const EAPI_0: Facts = Facts {
            name: "0",
            $( $name: $first, )*
        };

        impl Eapi {
            $( $(#[$doc])* pub fn $name(self) -> $type { self.facts().$name } )*

            /// The facts by name, as bash gets them.
            pub(super) fn fact_fields(self) -> impl Iterator<Item = (&'static str, String)> {
                let facts = self.facts();
                [ $( (stringify!($name), facts.$name.bash_value()), )* ].into_iter()
            }
        }
    };
}

impl Eapi {
    /// The EAPI's name, such as `8`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    fn facts(self) -> &'static Facts {
        match self.0 {
            0 => &EAPI_0,
            1 => &EAPI_1,
            2 => &EAPI_2,
            3 => &EAPI_3,
            4 => &EAPI_4,
            5 => &EAPI_5,
            6 => &EAPI_6,
            7 => &EAPI_7,
            8 => &EAPI_8,
            _ => &EAPI_9,
        }
    }
}

facts! {
    // The shell (PMS 6, 11.1)

    /// The bash an ebuild may rely on, to be set as the compatibility level (PMS 6).
    bash_version: BashVersion = BashVersion::new(3, 2);
    /// Whether an unmatched pattern in global scope is an error (PMS 6).
    failglob: bool = false;
    /// Whether `LC_CTYPE` and `LC_COLLATE` must behave as in the POSIX locale for ASCII (PMS 11.1).
    posix_locale: bool = false;
    /// Whether `find` is GNU find (PMS 11.3.1).
    gnu_find: bool = false;
    /// The GNU patch that `patch` must be compatible with, empty if any will do (PMS 11.3.1).
    gnu_patch: &'static str = "";

    // Metadata (PMS 7, 8, 10)

    /// Whether IUSE entries may begin with `+` or `-` (PMS 7.2).
    iuse_defaults: bool = false;
    /// Whether there is REQUIRED_USE (PMS 7.2).
    required_use: bool = false;
    /// Whether REQUIRED_USE may hold `?? ( )` (PMS 8.2).
    at_most_one_of: bool = false;
    /// Whether PROPERTIES must be understood (PMS 7.2).
    properties: bool = false;
    /// Whether DEFINED_PHASES must be supported (PMS 7.4).
    defined_phases: bool = false;
    /// Whether an ebuild's unset RDEPEND takes the value of DEPEND (PMS 7.3.6).
    rdepend_from_depend: bool = true;
    /// Whether there is BDEPEND (PMS 8.1).
    bdepend: bool = false;
    /// Whether there is IDEPEND (PMS 8.1).
    idepend: bool = false;
    /// The variables whose values add up over eclasses (PMS 10.2).
    accumulated_variables: &'static [&'static str] = &["IUSE", "DEPEND", "RDEPEND", "PDEPEND"];
    /// The dependency variables (PMS 8.1).
    dependency_variables: &'static [&'static str] = &["DEPEND", "RDEPEND", "PDEPEND"];
    /// The variables that make up an ebuild's metadata (PMS 7).
    metadata_variables: &'static [&'static str] = &[
        "DEPEND", "RDEPEND", "SLOT", "SRC_URI", "RESTRICT", "HOMEPAGE", "LICENSE", "DESCRIPTION",
        "KEYWORDS", "INHERITED", "IUSE", "PDEPEND", "EAPI", "PROPERTIES", "DEFINED_PHASES",
    ];
    /// Whether SRC_URI may rename with `->` (PMS 7.3.2).
    src_uri_arrows: bool = false;
    /// Whether URIs may begin with `fetch+` or `mirror+` (PMS 7.3.2).
    selective_uri_restrictions: bool = false;
    /// Whether an any-of or exactly-one-of group left empty counts as matched (PMS 8.2).
    empty_groups_match: bool = true;
    /// Whether `:slot` may follow a package (PMS 8.3).
    slot_deps: bool = false;
    /// Whether `:*`, `:=` and `:slot=` may follow a package (PMS 8.3).
    slot_operators: bool = false;
    /// Whether slots may have a sub-slot (PMS 8.3).
    subslots: bool = false;
    /// Whether `[use]` may follow a package (PMS 8.3).
    use_deps: bool = false;
    /// Whether flags in `[use]` may have a default, `(+)` or `(-)` (PMS 8.3.4).
    use_dep_defaults: bool = false;
    /// Whether there is `!!` (PMS 8.3.2).
    strong_blockers: bool = false;

    // Profiles and repositories (PMS 4, 5)

    /// Whether `profiles/package.mask` may be a directory (PMS 4.4).
    package_mask_directory: bool = false;
    /// Whether a profile's other files may be directories (PMS 5.2.5).
    profile_file_directories: bool = false;
    /// Whether a profile may have `package.provided` (PMS 5.2.8).
    package_provided: bool = true;
    /// Whether a profile may have `use.stable` and `package.use.stable` (PMS 5.2.11).
    use_stable: bool = false;
    /// Whether a profile may mask and force flags for stable packages only (PMS 5.2.12).
    stable_masking: bool = false;
    /// Whether profiles without `eapi` take that of the top-level directory (PMS 5.2.2).
    profile_eapi_from_top_level: bool = false;
    /// Whether files in `profiles/updates` are named after quarters (PMS 4.4.4).
    updates_by_quarter: bool = true;
    /// Whether profiles decide which flags are implicitly in IUSE (PMS 11.1.1).
    iuse_effective: bool = false;

    // Phases (PMS 9)

    /// What runs for an undefined `pkg_pretend` (PMS 9.1.2).
    pkg_pretend: DefaultPhase = Absent;
    /// What runs for an undefined `pkg_nofetch` (PMS 9.1.16).
    pkg_nofetch: DefaultPhase = NoOp;
    /// What runs for an undefined `src_unpack` (PMS 9.1.4).
    src_unpack: DefaultPhase = Format(0);
    /// What runs for an undefined `src_prepare` (PMS 9.1.5).
    src_prepare: DefaultPhase = Absent;
    /// What runs for an undefined `src_configure` (PMS 9.1.6).
    src_configure: DefaultPhase = Absent;
    /// What runs for an undefined `src_compile` (PMS 9.1.7).
    src_compile: DefaultPhase = Format(0);
    /// What runs for an undefined `src_test` (PMS 9.1.8).
    src_test: DefaultPhase = Format(0);
    /// What runs for an undefined `src_install` (PMS 9.1.9).
    src_install: DefaultPhase = NoOp;
    /// The phases with a `default_` function (PMS 9.1.17).
    default_functions: &'static [&'static str] = &[];
    /// Whether the default `src_test` runs make in parallel (PMS 9.1.8).
    parallel_tests: bool = false;
    /// Whether `pkg_info` may run for packages that are not installed (PMS 9.1.15).
    pkg_info_uninstalled: bool = false;
    /// Whether a missing S always means WORKDIR, or is an error unless the build has nothing to
    /// do with it (PMS 9.1.1).
    s_always_falls_back: bool = true;
    /// Whether `pkg_*` phases begin in an empty directory of their own (PMS 9.1.1).
    pkg_phases_in_empty_directory: bool = false;

    // Variables (PMS 11.1), beside the table of variables

    /// Whether the variables of PMS 11.1 are exported, apart from TMPDIR and HOME which always
    /// are.
    exports_variables: bool = true;
    /// Whether D, ED, ROOT and EROOT always, or never, end with a slash (PMS 11.1.4).
    trailing_slash: bool = true;
    /// Whether there is an offset prefix (PMS 11.1.3).
    prefix: bool = false;
    /// Whether what ENV_UNSET names is unset (PMS 5.3.2, 11.1).
    env_unset: bool = false;

    // Commands (PMS 11.3), beside the table of commands

    /// Whether a helper that fails ends the build (PMS 11.3.3.1).
    helpers_die: bool = false;
    /// Whether there is `nonfatal` (PMS 11.3.3.1).
    nonfatal: bool = false;
    /// Whether `nonfatal` is a program too (PMS 11.3.3.1).
    nonfatal_external: bool = false;
    /// Whether `die` and `assert` take `-n` (PMS 11.3.3.6).
    die_nonfatal_option: bool = false;
    /// Whether `die` must work in a subshell (PMS 11.3.3.6).
    die_in_subshell: bool = false;
    /// Whether messages may go to standard output (PMS 11.3.3.5).
    messages_on_stdout: bool = true;
    /// Whether queries take `--host-root` (PMS 11.3.3.4).
    query_host_root: bool = false;
    /// Whether queries take `-b`, `-d` and `-r` (PMS 11.3.3.4).
    query_root_options: bool = false;
    /// Whether econf passes `--datarootdir` (PMS 11.3.3.8).
    econf_datarootdir: bool = false;
    /// Whether econf passes `--docdir` and `--htmldir` (PMS 11.3.3.8).
    econf_docdir: bool = false;
    /// Whether econf passes `--with-sysroot` (PMS 11.3.3.8).
    econf_sysroot: bool = false;
    /// Whether econf passes `--disable-dependency-tracking` (PMS 11.3.3.8).
    econf_disable_dependency_tracking: bool = false;
    /// Whether econf passes `--disable-silent-rules` (PMS 11.3.3.8).
    econf_disable_silent_rules: bool = false;
    /// Whether econf passes `--disable-static` (PMS 11.3.3.8).
    econf_disable_static: bool = false;
    /// Whether `dodoc` takes `-r` (PMS 11.3.3.9).
    dodoc_recursive: bool = false;
    /// Whether `doins` must install symlinks as such (PMS 11.3.3.9).
    doins_symlinks: bool = false;
    /// Whether `doman` finds the language in the file name (PMS 11.3.3.9).
    doman_languages: bool = false;
    /// Whether `doman -i18n` prevails over the file name (PMS 11.3.3.9).
    doman_i18n_prevails: bool = false;
    /// Whether the `new*` helpers read standard input for `-` (PMS 11.3.3.9).
    new_from_stdin: bool = false;
    /// Whether `domo` installs below `/usr` whatever `into` says (PMS 11.3.3.9).
    domo_in_usr: bool = false;
    /// Whether `dosym` takes `-r` (PMS 11.3.3.9).
    dosym_relative: bool = false;
    /// The helpers that respect `insopts` (PMS 11.3.3.10).
    insopts_respected_by: &'static [&'static str] = &["doins", "doconfd", "doenvd", "doheader"];
    /// The helpers that respect `exeopts` (PMS 11.3.3.10).
    exeopts_respected_by: &'static [&'static str] = &["doexe", "doinitd"];
    /// Whether compression is controlled by `docompress` (PMS 11.3.3.11).
    docompress: bool = false;
    /// Whether stripping is controlled by `dostrip` (PMS 11.3.3.11).
    dostrip: bool = false;
    /// Whether asking for a flag outside of IUSE_EFFECTIVE is an error (PMS 11.3.3.12).
    use_is_strict: bool = false;
    /// Whether `usev` takes a second argument (PMS 11.3.3.12).
    usev_second_argument: bool = false;
    /// Whether an empty third argument of `use_with` and `use_enable` counts (PMS 11.3.3.12).
    use_with_empty_value: bool = false;
    /// The file name extensions `unpack` knows, in the spellings it takes (PMS 11.3.3.15).
    unpack_extensions: &'static [&'static str] = &[
        "tar", "tar.gz", "tgz", "tar.Z", "tar.z", "tar.bz2", "tbz2", "tar.bz", "tbz", "zip", "ZIP",
        "jar", "gz", "Z", "z", "bz2", "bz", "7z", "7Z", "rar", "RAR", "LHA", "LHa", "lha", "lzh",
        "a", "deb", "tar.lzma", "lzma",
    ];
    /// Whether `unpack` takes absolute paths, and relative ones without `./` (PMS 11.3.3.15).
    unpack_any_path: bool = false;
    /// Whether `unpack` does not mind the case of extensions (PMS 11.3.3.15).
    unpack_ignores_case: bool = false;

    // Merging (PMS 13)

    /// Whether modification times are kept (PMS 13.2.3).
    mtimes_preserved: bool = false;
    /// Whether absolute symlinks into D lose that part (PMS 13.4).
    symlinks_rewritten: bool = true;
    /// Whether empty directories that nothing keeps are left out of the image, as Portage does.
    strict_keepdir: bool = false;
}

const EAPI_1: Facts = Facts {
    name: "1",
    iuse_defaults: true,
    slot_deps: true,
    src_compile: Format(1),
    ..EAPI_0
};

const EAPI_2: Facts = Facts {
    name: "2",
    src_uri_arrows: true,
    use_deps: true,
    strong_blockers: true,
    src_prepare: NoOp,
    src_configure: Format(2),
    src_compile: Format(2),
    default_functions: &[
        "pkg_nofetch",
        "src_unpack",
        "src_prepare",
        "src_configure",
        "src_compile",
        "src_test",
    ],
    doman_languages: true,
    ..EAPI_1
};

const EAPI_3: Facts = Facts {
    name: "3",
    prefix: true,
    unpack_extensions: &[
        "tar", "tar.gz", "tgz", "tar.Z", "tar.z", "tar.bz2", "tbz2", "tar.bz", "tbz", "zip", "ZIP",
        "jar", "gz", "Z", "z", "bz2", "bz", "7z", "7Z", "rar", "RAR", "LHA", "LHa", "lha", "lzh",
        "a", "deb", "tar.lzma", "lzma", "tar.xz", "xz",
    ],
    mtimes_preserved: true,
    ..EAPI_2
};

const EAPI_4: Facts = Facts {
    name: "4",
    required_use: true,
    properties: true,
    defined_phases: true,
    rdepend_from_depend: false,
    accumulated_variables: &["IUSE", "REQUIRED_USE", "DEPEND", "RDEPEND", "PDEPEND"],
    metadata_variables: &[
        "DEPEND",
        "RDEPEND",
        "SLOT",
        "SRC_URI",
        "RESTRICT",
        "HOMEPAGE",
        "LICENSE",
        "DESCRIPTION",
        "KEYWORDS",
        "INHERITED",
        "IUSE",
        "REQUIRED_USE",
        "PDEPEND",
        "EAPI",
        "PROPERTIES",
        "DEFINED_PHASES",
    ],
    use_dep_defaults: true,
    s_always_falls_back: false,
    pkg_pretend: NoOp,
    src_install: Format(4),
    default_functions: &[
        "pkg_nofetch",
        "src_unpack",
        "src_prepare",
        "src_configure",
        "src_compile",
        "src_test",
        "src_install",
    ],
    pkg_info_uninstalled: true,
    helpers_die: true,
    nonfatal: true,
    econf_disable_dependency_tracking: true,
    dodoc_recursive: true,
    doins_symlinks: true,
    doman_i18n_prevails: true,
    docompress: true,
    use_is_strict: true,
    use_with_empty_value: true,
    ..EAPI_3
};

const EAPI_5: Facts = Facts {
    name: "5",
    stable_masking: true,
    at_most_one_of: true,
    slot_operators: true,
    subslots: true,
    parallel_tests: true,
    iuse_effective: true,
    gnu_find: true,
    query_host_root: true,
    econf_disable_silent_rules: true,
    new_from_stdin: true,
    ..EAPI_4
};

const EAPI_6: Facts = Facts {
    name: "6",
    bash_version: BashVersion::new(4, 2),
    failglob: true,
    src_prepare: Format(6),
    src_install: Format(6),
    posix_locale: true,
    die_nonfatal_option: true,
    econf_docdir: true,
    unpack_extensions: &[
        "tar", "tar.gz", "tgz", "tar.Z", "tar.z", "tar.bz2", "tbz2", "tar.bz", "tbz", "zip", "ZIP",
        "jar", "gz", "Z", "z", "bz2", "bz", "7z", "7Z", "rar", "RAR", "LHA", "LHa", "lha", "lzh",
        "a", "deb", "tar.lzma", "lzma", "tar.xz", "txz", "xz",
    ],
    unpack_any_path: true,
    unpack_ignores_case: true,
    ..EAPI_5
};

const EAPI_7: Facts = Facts {
    name: "7",
    package_mask_directory: true,
    profile_file_directories: true,
    package_provided: false,
    empty_groups_match: false,
    trailing_slash: false,
    econf_sysroot: true,
    bdepend: true,
    accumulated_variables: &[
        "IUSE",
        "REQUIRED_USE",
        "DEPEND",
        "BDEPEND",
        "RDEPEND",
        "PDEPEND",
    ],
    dependency_variables: &["DEPEND", "RDEPEND", "PDEPEND", "BDEPEND"],
    metadata_variables: &[
        "DEPEND",
        "RDEPEND",
        "SLOT",
        "SRC_URI",
        "RESTRICT",
        "HOMEPAGE",
        "LICENSE",
        "DESCRIPTION",
        "KEYWORDS",
        "INHERITED",
        "IUSE",
        "REQUIRED_USE",
        "PDEPEND",
        "BDEPEND",
        "EAPI",
        "PROPERTIES",
        "DEFINED_PHASES",
    ],
    query_host_root: false,
    query_root_options: true,
    env_unset: true,
    gnu_patch: "2.7",
    nonfatal_external: true,
    messages_on_stdout: false,
    die_in_subshell: true,
    domo_in_usr: true,
    dostrip: true,
    ..EAPI_6
};

const EAPI_8: Facts = Facts {
    name: "8",
    updates_by_quarter: false,
    bash_version: BashVersion::new(5, 0),
    selective_uri_restrictions: true,
    idepend: true,
    pkg_phases_in_empty_directory: true,
    strict_keepdir: true,
    src_prepare: Format(8),
    accumulated_variables: &[
        "IUSE",
        "REQUIRED_USE",
        "DEPEND",
        "BDEPEND",
        "RDEPEND",
        "PDEPEND",
        "IDEPEND",
        "PROPERTIES",
        "RESTRICT",
    ],
    dependency_variables: &["DEPEND", "RDEPEND", "PDEPEND", "BDEPEND", "IDEPEND"],
    metadata_variables: &[
        "DEPEND",
        "RDEPEND",
        "SLOT",
        "SRC_URI",
        "RESTRICT",
        "HOMEPAGE",
        "LICENSE",
        "DESCRIPTION",
        "KEYWORDS",
        "INHERITED",
        "IUSE",
        "REQUIRED_USE",
        "PDEPEND",
        "BDEPEND",
        "EAPI",
        "PROPERTIES",
        "DEFINED_PHASES",
        "IDEPEND",
    ],
    econf_datarootdir: true,
    econf_disable_static: true,
    dosym_relative: true,
    insopts_respected_by: &["doins"],
    exeopts_respected_by: &["doexe"],
    usev_second_argument: true,
    unpack_extensions: &[
        "tar", "tar.gz", "tgz", "tar.Z", "tar.z", "tar.bz2", "tbz2", "tar.bz", "tbz", "zip", "ZIP",
        "jar", "gz", "Z", "z", "bz2", "bz", "a", "deb", "tar.lzma", "lzma", "tar.xz", "txz", "xz",
    ],
    ..EAPI_7
};

const EAPI_9: Facts = Facts {
    name: "9",
    profile_eapi_from_top_level: true,
    use_stable: true,
    bash_version: BashVersion::new(5, 3),
    exports_variables: false,
    symlinks_rewritten: false,
    ..EAPI_8
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The EAPIs in which a fact holds, one digit each.
    fn holds(fact: fn(Eapi) -> bool) -> String {
        Eapi::all()
            .filter(|eapi| fact(*eapi))
            .map(Eapi::name)
            .collect()
    }

    #[test]
    fn as_the_specification_lists_them() {
        for (fact, name, eapis) in [
            (
                Eapi::iuse_defaults as fn(Eapi) -> bool,
                "iuse_defaults",
                "123456789",
            ),
            (Eapi::use_deps, "use_deps", "23456789"),
            (Eapi::src_uri_arrows, "src_uri_arrows", "23456789"),
            (Eapi::mtimes_preserved, "mtimes_preserved", "3456789"),
            (Eapi::rdepend_from_depend, "rdepend_from_depend", "0123"),
            (Eapi::s_always_falls_back, "s_always_falls_back", "0123"),
            (Eapi::helpers_die, "helpers_die", "456789"),
            (Eapi::slot_operators, "slot_operators", "56789"),
            (Eapi::query_host_root, "query_host_root", "56"),
            (Eapi::failglob, "failglob", "6789"),
            (Eapi::trailing_slash, "trailing_slash", "0123456"),
            (Eapi::empty_groups_match, "empty_groups_match", "0123456"),
            (Eapi::package_provided, "package_provided", "0123456"),
            (Eapi::messages_on_stdout, "messages_on_stdout", "0123456"),
            (Eapi::bdepend, "bdepend", "789"),
            (Eapi::query_root_options, "query_root_options", "789"),
            (Eapi::idepend, "idepend", "89"),
            (Eapi::dosym_relative, "dosym_relative", "89"),
            (Eapi::updates_by_quarter, "updates_by_quarter", "01234567"),
            (Eapi::exports_variables, "exports_variables", "012345678"),
            (Eapi::symlinks_rewritten, "symlinks_rewritten", "012345678"),
            (Eapi::use_stable, "use_stable", "9"),
        ] {
            assert_eq!(holds(fact), eapis, "{name}");
        }
        assert_eq!(holds(|eapi| eapi.accumulates("RESTRICT")), "89");
        assert_eq!(holds(|eapi| eapi.accumulates("BDEPEND")), "789");
        assert_eq!(holds(|eapi| eapi.accumulates("REQUIRED_USE")), "456789");
        assert_eq!(
            holds(|eapi| eapi.unpack_extensions().contains(&"tar.xz")),
            "3456789"
        );
        assert_eq!(
            holds(|eapi| eapi.unpack_extensions().contains(&"txz")),
            "6789"
        );
        assert_eq!(
            holds(|eapi| eapi.unpack_extensions().contains(&"7z")),
            "01234567"
        );
        assert_eq!(
            holds(|eapi| eapi.metadata_variables().contains(&"IDEPEND")),
            "89"
        );
    }
}
