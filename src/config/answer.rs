//! The configuration of one package: its USE flags, its environment, whether it is masked.

mod expressions;
mod layers;

use std::collections::{BTreeMap, BTreeSet};

use self::expressions::{Expression, Expressions, Iuse, evaluate, join, words};
use self::layers::single;
use super::Config;
use super::environment;
use super::license;
use super::package::{MaskReason, PackageConfig, PackageQuery};
use super::shell_vars::Variables;
use super::stack::{self, Layers};
use super::table::Table;
use super::trail::{Steps, Subject, Trail};
use super::use_expand::expand_variables;
use super::word::Word;
use crate::pms::eapi::Eapi;

impl Config {
    /// What the configuration says about one package.
    pub fn package(&self, query: &PackageQuery<'_>) -> PackageConfig {
        self.answer(query, &mut Trail::Off)
    }

    /// The same, and what led to it.
    pub fn explain_package(&self, query: &PackageQuery<'_>) -> (PackageConfig, Steps) {
        let mut steps = Steps::default();
        let answer = self.answer(query, &mut Trail::On(&mut steps));
        (answer, steps)
    }

    fn answer(&self, query: &PackageQuery<'_>, trail: &mut Trail<'_>) -> PackageConfig {
        let iuse = Iuse::new(query.iuse);
        let expressions = Expressions::new(query);
        let environment_keywords = self
            .env
            .get("ACCEPT_KEYWORDS")
            .map_or("", |s| s.value.as_str());
        let accepted = self.get("ACCEPT_KEYWORDS").unwrap_or_default();
        let global = self.layers();
        for (word, origin) in global.words("ACCEPT_KEYWORDS") {
            license::note(&[Word::new(word, origin)], &Subject::AcceptKeywords, trail);
        }
        let verdict =
            self.keywords
                .judge(query, query.keywords, accepted, environment_keywords, trail);
        let stable = verdict.as_ref().is_ok_and(|verdict| verdict.stable);

        let lineage = self.lineage(query.repository);
        let use_mask = self.use_files.mask(query, &lineage, stable, trail);
        let use_force = self.use_files.force(query, &lineage, stable, trail);

        let repo = self.repository_layer(query, &lineage, stable);
        let mut defaults = self.defaults.clone();
        defaults.insert("USE".to_owned(), self.profile_use_setting(query, stable));
        let pkg = self.package_layer(query);
        let mut pkginternal = single("USE", iuse.defaults.join(" "), "<IUSE>");
        let mut features_layer = Variables::new();
        let mut layers = Layers {
            repo: &repo,
            defaults: &defaults,
            pkg: &pkg,
            ..self.layers()
        };
        let incrementals = layers.incrementals(trail);
        let features = self.feature_set(&incrementals);
        if features.contains("test") {
            features_layer = single("USE", "test".to_owned(), "<FEATURES>");
        }
        layers.features = &features_layer;
        layers.pkginternal = &pkginternal;

        let names = stack::ExpandNames::new(&incrementals);
        let in_iuse = |flag: &str| iuse.names.contains(&flag) || self.is_implicit(query.eapi, flag);
        let arch = self
            .defaults
            .get("ARCH")
            .map(|setting| setting.value.clone());
        let flags_of = |layers: &Layers<'_>, trail: &mut Trail<'_>| {
            let mut flags = layers.use_flags(&names, Some(&iuse.names), trail);
            flags.extend(use_force.iter().cloned());
            flags.extend(arch.clone());
            flags.retain(|flag| !use_mask.contains(flag));
            flags
        };
        let mut flags = flags_of(&layers, trail);
        let allow_test = layers.value("ALLOW_TEST").to_owned();
        if features.contains("test")
            && expressions
                .restricts_tests(&allow_test, |flag| flags.contains(flag) && in_iuse(flag))
        {
            // As if IUSE had `-test`: FEATURES=test is the weaker wish.
            let mut words = iuse.defaults.clone();
            words.push("-test".to_owned());
            pkginternal = single("USE", words.join(" "), "<IUSE>");
            layers = Layers {
                repo: &repo,
                defaults: &defaults,
                pkg: &pkg,
                features: &features_layer,
                pkginternal: &pkginternal,
                ..self.layers()
            };
            flags = flags_of(&layers, trail);
        }

        let (iuse_effective, iuse_prefixes) =
            self.effective_iuse(query.eapi, &iuse.names, &use_mask, &use_force);
        flags.retain(|flag| flag.ends_with("_*") || in_iuse(flag));
        let expanded = expand_variables(&names, &layers, &mut flags, &iuse_effective, &use_mask);
        let mut overlay = incrementals;
        overlay.extend(expanded);
        let use_flags: BTreeSet<String> = flags
            .into_iter()
            .filter(|flag| !flag.ends_with("_*"))
            .collect();
        overlay.insert("USE".to_owned(), join(use_flags.iter().map(String::as_str)));
        let value = join(features.iter().map(String::as_str));
        overlay.insert("PORTAGE_FEATURES".to_owned(), value.clone());
        overlay.insert("FEATURES".to_owned(), value);
        if query.eapi.iuse_effective() {
            overlay.insert(
                "IUSE_EFFECTIVE".to_owned(),
                join(iuse_effective.iter().map(String::as_str)),
            );
        }

        let enabled = |flag: &str| use_flags.contains(flag);
        let license_here = evaluate(&expressions.license, enabled);
        let accept_license = layers.accept("ACCEPT_LICENSE");
        let tokens = self.licenses.accepted(query, &accept_license, trail);
        let occurring = words(&license_here);
        let accepted_licenses = license::acceptable(&tokens, &occurring);
        let pruned = join(accepted_licenses.intersection(&occurring).copied());

        let mut masks = Vec::new();
        if let Some(line) = self.masks.mask(query, trail) {
            masks.push(MaskReason::PackageMask {
                atom: line.text.clone(),
                origin: line.origin.clone(),
                comment: line.comment.clone(),
            });
        }
        match verdict {
            Ok(verdict) if verdict.missing.is_empty() => {}
            Ok(verdict) => {
                let needed = self.needed_keyword(&verdict.missing);
                masks.push(MaskReason::Keyword {
                    keywords: verdict.missing,
                    needed,
                });
            }
            Err(error) => {
                let problem = error.to_string();
                masks.push(MaskReason::Invalid {
                    variable: "KEYWORDS",
                    problem,
                });
            }
        }
        let all_licenses = words(&expressions.license);
        let acceptable = license::acceptable(&tokens, &all_licenses);
        let missing = license_here
            .as_ref()
            .map(|spec| license::missing(spec, &acceptable))
            .unwrap_or_default();
        if !missing.is_empty() {
            masks.push(MaskReason::License { missing });
        }
        let properties = evaluate(&expressions.properties, enabled);
        let missing = self.missing_words(
            query,
            ("ACCEPT_PROPERTIES", Subject::AcceptProperties),
            &self.properties,
            &expressions.properties,
            &properties,
            trail,
        );
        if !missing.is_empty() {
            masks.push(MaskReason::Properties { missing });
        }
        let restrict = evaluate(&expressions.restrict, enabled);
        let missing = self.missing_words(
            query,
            ("ACCEPT_RESTRICT", Subject::AcceptRestrict),
            &self.restricts,
            &expressions.restrict,
            &restrict,
            trail,
        );
        if !missing.is_empty() {
            masks.push(MaskReason::Restrict { missing });
        }
        overlay.insert("ACCEPT_LICENSE".to_owned(), pruned);
        overlay.insert("PORTAGE_PROPERTIES".to_owned(), join(words(&properties)));
        overlay.insert("PORTAGE_RESTRICT".to_owned(), join(words(&restrict)));
        // With the flags as they are in the end; those above were without what FEATURES=test may have lost.
        let tests_restricted = expressions.restricts_tests(&allow_test, enabled);
        masks.extend(expressions.invalid);

        layers.note_values(trail);
        let mut variables: BTreeMap<String, String> = layers
            .names()
            .into_iter()
            .map(|name| (name.to_owned(), layers.value(name).to_owned()))
            .collect();
        variables.extend(overlay);
        variables.retain(|name, _| !environment::is_filtered(name));

        PackageConfig {
            use_flags,
            iuse_effective,
            iuse_prefixes,
            use_mask,
            use_force,
            variables,
            masks,
            bashrcs: self.bashrcs(query),
            features,
            stable,
            tests_restricted,
        }
    }

    fn missing_words(
        &self,
        query: &PackageQuery<'_>,
        (variable, subject): (&str, Subject),
        table: &Table,
        all: &Expression,
        here: &Expression,
        trail: &mut Trail<'_>,
    ) -> Vec<String> {
        let mut tokens = self.layers().accept(variable);
        for entry in table.matching(query) {
            tokens.extend(entry.words.iter().cloned());
        }
        license::note(&tokens, &subject, trail);
        let accepted = license::acceptable(&tokens, &words(all))
            .into_iter()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>();
        words(here)
            .into_iter()
            .filter(|word| !accepted.contains(*word))
            .map(str::to_owned)
            .collect()
    }

    /// The keyword that package.accept_keywords would have to name.
    fn needed_keyword(&self, keywords: &[String]) -> String {
        let arch = self.arch();
        let testing = format!("~{arch}");
        for wanted in [arch, testing.as_str()] {
            if keywords.iter().any(|keyword| keyword == wanted) {
                return wanted.to_owned();
            }
        }
        "**".to_owned()
    }

    /// Whether a flag is in IUSE_EFFECTIVE without standing in IUSE.
    fn is_implicit(&self, eapi: Eapi, flag: &str) -> bool {
        if eapi.iuse_effective() {
            return self.iuse_effective.contains(flag);
        }
        self.implicit_before_5.contains(flag)
            || self
                .implicit_prefixes
                .iter()
                .any(|prefix| flag.starts_with(prefix))
    }

    /// IUSE_EFFECTIVE of a package, and before EAPI 5 the prefixes of further members.
    fn effective_iuse(
        &self,
        eapi: Eapi,
        iuse: &[&str],
        use_mask: &BTreeSet<String>,
        use_force: &BTreeSet<String>,
    ) -> (BTreeSet<String>, Vec<String>) {
        let mut result: BTreeSet<String> = iuse.iter().map(|flag| (*flag).to_owned()).collect();
        if eapi.iuse_effective() {
            result.extend(self.iuse_effective.iter().cloned());
            return (result, Vec::new());
        }
        result.extend(self.arch_flags());
        result.extend(use_mask.iter().chain(use_force).cloned());
        result.extend(["bootstrap".to_owned(), "build".to_owned()]);
        (result, self.implicit_prefixes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Ebuild, Root};
    use crate::claim::rows;

    fn join(words: impl IntoIterator<Item = String>) -> String {
        words.into_iter().collect::<Vec<_>>().join(" ")
    }

    fn conf(root: Root, text: &str) -> Root {
        root.file("etc/portage/make.conf", text)
    }

    #[test]
    fn use_comes_from_all_places_in_their_order() {
        let package = Ebuild::new("a/b-1").iuse("+on -off acl conf pkg env");
        assert_eq!(package.flags(&Root::new().load()), "acl on");
        let root = conf(Root::new(), "USE=\"-acl -on conf off\"\n");
        assert_eq!(package.flags(&root.load()), "conf off");
        let root = root.file("etc/portage/package.use", "a/b pkg -conf acl\n");
        assert_eq!(package.flags(&root.load()), "acl off pkg");
        let root = root.env("USE", "env -pkg");
        assert_eq!(package.flags(&root.load()), "acl env off");
        assert_eq!(package.flags(&root.env("USE", "-* env").load()), "env");
    }

    #[test]
    fn iuse_defaults_rank_below_the_profile() {
        let root = Root::new().file("repo/profiles/default/package.use", "a/b -on\n");
        assert_eq!(Ebuild::new("a/b-1").iuse("+on").flags(&root.load()), "");
        let root = conf(root, "USE_ORDER=\"env:pkg:conf:pkginternal:defaults\"\n");
        assert_eq!(Ebuild::new("a/b-1").iuse("+on").flags(&root.load()), "on");
    }

    // PMS 11.1.1.
    #[test]
    fn effective_iuse_has_implicit_flags_since_eapi_5() {
        let _rows = rows(&[63]);
        let config = conf(Root::new(), "USE=\"unknown x86 prefix\"\n").load();
        let answer = Ebuild::new("a/b-1").iuse("+a b").ask(&config);
        assert_eq!(
            join(answer.iuse_effective),
            "a amd64 b elibc_glibc elibc_musl prefix x86"
        );
        assert_eq!(join(answer.use_flags), "a amd64 elibc_glibc prefix x86");
        assert_eq!(answer.variables["USE"], "a amd64 elibc_glibc prefix x86");
        assert_eq!(
            answer.variables["IUSE_EFFECTIVE"],
            "a amd64 b elibc_glibc elibc_musl prefix x86"
        );

        let answer = Ebuild::new("a/b-1").eapi("4").iuse("+a b").ask(&config);
        assert_eq!(join(answer.iuse_effective), "a amd64 b bootstrap build x86");
        assert_eq!(answer.iuse_prefixes, ["elibc_", "l10n_", "python_targets_"]);
        assert_eq!(
            join(answer.use_flags),
            "a amd64 elibc_glibc python_targets_py12 x86"
        );
        assert_eq!(answer.variables.get("IUSE_EFFECTIVE"), None);
    }

    // PMS 11.1.1: only values that the package knows are left.
    #[test]
    fn use_expand_variables_are_reduced() {
        let _rows = rows(&[62]);
        let root = conf(Root::new(), "L10N=\"fr en de\"\nPYTHON_TARGETS=\"py13\"\n");
        let package =
            Ebuild::new("a/b-1").iuse("l10n_de l10n_fr python_targets_py12 python_targets_py13");
        let answer = package.ask(&root.load());
        assert_eq!(answer.variables["L10N"], "fr de");
        // make.conf replaces the profile's value.
        assert_eq!(answer.variables["PYTHON_TARGETS"], "py13");
        assert_eq!(answer.variables["ELIBC"], "glibc");
        assert_eq!(answer.variables["ARCH"], "amd64");
        let none = Ebuild::new("a/c-1").ask(&root.load());
        assert_eq!(
            (
                none.variables["L10N"].as_str(),
                none.variables["PYTHON_TARGETS"].as_str()
            ),
            ("", "")
        );
    }

    #[test]
    fn wildcards_stand_for_what_the_package_has() {
        let package = Ebuild::new("a/b-1").iuse("l10n_de l10n_en l10n_fr");
        assert_eq!(
            package.flags(&conf(Root::new(), "L10N=\"*\"\n").load()),
            "l10n_de l10n_en l10n_fr"
        );
        let root = conf(Root::new(), "USE=\"l10n_* -l10n_en\"\n");
        assert_eq!(package.flags(&root.load()), "l10n_de l10n_fr");
        let root = root.file("repo/profiles/default/use.mask", "l10n_fr\n");
        assert_eq!(package.flags(&root.load()), "l10n_de");
        assert_eq!(package.ask(&root.load()).variables["L10N"], "de");
        assert!(
            !Ebuild::new("a/c-1")
                .ask(&root.load())
                .use_flags
                .contains("l10n_*")
        );
    }

    #[test]
    fn the_user_cannot_set_what_only_profiles_may() {
        let root = Root::new()
            .file(
                "repo/profiles/default/make.defaults",
                "PROFILE_ONLY_VARIABLES=\"ELIBC\"\n",
            )
            .env("ELIBC", "musl")
            .env("SLOT", "7");
        let root = conf(root, "ELIBC=\"musl\"\n");
        let answer = Ebuild::new("a/b-1").ask(&root.load());
        assert_eq!(answer.variables["ELIBC"], "glibc");
        assert_eq!(answer.variables.get("SLOT"), None);
    }

    #[test]
    fn package_env_changes_one_package() {
        let root = conf(Root::new(), "CFLAGS=\"-O2\"\nFEATURES=\"strict\"\n")
            .file(
                "etc/portage/package.env",
                "a/b debug more\n*/* all\na/c gone\n",
            )
            .file(
                "etc/portage/env/debug",
                "CFLAGS=\"${CFLAGS} -g\"\nFEATURES=\"-strict\"\nUSE=\"x y\"\n",
            )
            .file(
                "etc/portage/env/more",
                "FEATURES=\"splitdebug\"\nCONFIG_PROTECT=\"/x\"\n",
            )
            .file("etc/portage/env/all", "MAKEOPTS=\"-j3\"\n")
            .file("etc/portage/package.use", "a/b -y\n");
        let config = root.load();
        let package = Ebuild::new("a/b-1").iuse("x y");
        let answer = package.ask(&config);
        assert_eq!(answer.variables["CFLAGS"], "-O2 -g");
        assert_eq!(answer.variables["MAKEOPTS"], "-j3");
        assert!(!answer.features.contains("strict") && answer.features.contains("splitdebug"));
        assert_eq!(package.flags(&config), "x");
        let other = Ebuild::new("a/c-1").ask(&config);
        assert_eq!(other.variables["CFLAGS"], "-O2");
        assert!(other.features.contains("strict"));
        let warnings = config.warnings().join("\n");
        assert!(
            warnings.contains("env/more:2: CONFIG_PROTECT cannot be set for single packages"),
            "{warnings}"
        );
        assert!(warnings.contains("package.env:3: names"), "{warnings}");
    }

    #[test]
    fn features_test_enables_the_flag_unless_restricted() {
        let config = conf(Root::new(), "FEATURES=\"test\"\n").load();
        let package = Ebuild::new("a/b-1").iuse("test doc");
        assert_eq!(package.flags(&config), "test");
        assert_eq!(package.clone().restrict("test").flags(&config), "");
        assert_eq!(
            package.clone().restrict("doc? ( test )").flags(&config),
            "test"
        );
        assert_eq!(
            package.clone().restrict("!test? ( test )").flags(&config),
            "test"
        );
        let config = conf(Root::new(), "FEATURES=\"test\"\nALLOW_TEST=\"network\"\n").load();
        let network = package.restrict("test").properties("test_network");
        assert_eq!(network.flags(&config), "test");
    }

    #[test]
    fn restricted_tests_are_run_for_those_who_allow_them() {
        let restricted = |allowed: &str, package: Ebuild| {
            let text = format!("FEATURES=\"test\"\nALLOW_TEST=\"{allowed}\"\n");
            package
                .ask(&conf(Root::new(), &text).load())
                .tests_restricted
        };
        let package = || Ebuild::new("a/b-1").iuse("test");
        let network = || package().restrict("test").properties("test_network");
        let privileged = || package().restrict("test").properties("test_privileged");
        assert!(!restricted("", package()));
        assert!(!restricted("", package().properties("test_network")));
        assert!(restricted("network privileged", package().restrict("test")));
        assert!(!restricted("all", package().restrict("test")));
        assert!(restricted("", network()) && restricted("privileged", network()));
        assert!(!restricted("network", network()));
        assert!(restricted("", privileged()) && restricted("network", privileged()));
        assert!(!restricted("privileged", privileged()));
        // The flags are those that the build has.
        let package = || Ebuild::new("a/b-1").iuse("test doc");
        assert!(restricted("", package().restrict("!doc? ( test )")));
        assert!(!restricted("", package().restrict("doc? ( test )")));
    }

    #[test]
    fn conditional_restrict_and_properties_are_resolved() {
        let package = Ebuild::new("a/b-1")
            .iuse("+x y")
            .restrict("strip x? ( mirror ) y? ( fetch )");
        let answer = package.properties("live").ask(&Root::new().load());
        assert_eq!(answer.variables["PORTAGE_RESTRICT"], "mirror strip");
        assert_eq!(answer.variables["PORTAGE_PROPERTIES"], "live");
    }

    #[test]
    fn bashrcs_in_the_order_of_sourcing() {
        let root = Root::new()
            .file(
                "repo/metadata/layout.conf",
                "masters =\nprofile-formats = portage-2 profile-bashrcs\n",
            )
            .file("repo/profiles/base/profile.bashrc", "")
            .file(
                "repo/profiles/default/package.bashrc",
                "a/b one.sh\n*/* two.sh\n",
            )
            .file("repo/profiles/default/bashrc/one.sh", "")
            .file("repo/profiles/default/bashrc/two.sh", "")
            .file("etc/portage/bashrc", "")
            .file("etc/portage/env/a/b", "")
            .file("etc/portage/env/a/b:0", "")
            .file("etc/portage/env/a/b-1-r2", "")
            .file("etc/portage/env/a/b-2", "");
        let answer = Ebuild::new("a/b-1-r2").ask(&root.load());
        let base = root.path("");
        let seen: Vec<_> = answer
            .bashrcs
            .iter()
            .map(|p| p.strip_prefix(&base).unwrap().to_str().unwrap())
            .collect();
        let expected = [
            "repo/profiles/base/profile.bashrc",
            "repo/profiles/default/bashrc/two.sh",
            "repo/profiles/default/bashrc/one.sh",
            "etc/portage/bashrc",
            "etc/portage/env/a/b",
            "etc/portage/env/a/b:0",
            "etc/portage/env/a/b-1-r2",
        ];
        assert_eq!(seen, expected);
    }
}
