use super::*;
use crate::pms::cpv::Cpv;

const ENTRY: &str = "DEFINED_PHASES=compile install\nDEPEND=>=dev-libs/b-2:= x? ( dev-libs/c[y] )\n\
    DESCRIPTION=A small text editor\nEAPI=8\nIUSE=+test doc\nKEYWORDS=amd64 ~arm64\n\
    LICENSE=|| ( GPL-2+ MIT )\nPROPERTIES=live\nSLOT=3/4\n_eclasses_=a\t0\tb-r1\t1\n";

fn holds(query: &str) -> bool {
    let cpv = Cpv::parse("dev-util/foo-bar-1.10-r2").unwrap();
    let subject = Subject::new(&cpv, "gentoo", ENTRY, None);
    query
        .parse::<Restriction>()
        .unwrap_or_else(|error| panic!("{error}"))
        .matches(&subject)
}

#[test]
fn attributes_atoms_and_names() {
    for query in [
        "category:dev-util & iuse:test & !keyword:~amd64",
        "category:dev-*",
        "foo-bar",
        "foo*",
        "*bar",
        "cp:dev-util/*-bar",
        "version>=1.9",
        "version<1.10-r10 & version!=1.10",
        "version=1.10-r2",
        "version:1.*",
        ">=dev-util/foo-bar-1.2",
        "dev-util/foo-bar:3/4::gentoo",
        "dev-util/*",
        "slot:3 & subslot:4 & slot<10",
        "keyword:~arm64",
        "eapi>=7",
        "license:MIT",
        "license:GPL-*",
        "depend:dev-libs/b & depend:dev-libs/c & depend:'>=dev-libs/b-2:='",
        "dep:dev-libs/*",
        "phase:compile",
        "eclass:b-r1",
        "live",
        "live:true",
        "description~'TEXT.*editor' & description:*small*",
        "(foo | bar) | (dev-util/foo-bar & not dev-util/foo-bar:5)",
        "repo!=guru",
        "revision:r2 & revision=2 & revision:2 & revision=r2 & revision:r*",
        "revision>=0 & revision<10 & revision>r1 & revision!=0",
    ] {
        assert!(holds(query), "{query}");
    }
    for query in [
        "keyword:arm64",
        "version>1.10-r2",
        "iuse:x",
        "eapi<8",
        "license:GPL",
        "!live",
        "dev-util/foo",
        "visible",
        "eclass:b",
        "depend:dev-libs/b-2",
        "revision<2",
        "revision:r20",
    ] {
        assert!(!holds(query), "{query}");
    }
}

#[test]
fn errors_say_where_and_what_was_meant() {
    for (query, wanted) in [
        (
            "a & catgory:x",
            "no attribute `catgory`, at character 5; did you mean category?\n  a & catgory:x\n      ^",
        ),
        (
            "iuse>=x",
            "`iuse` cannot be tested with `>=`, at character 5",
        ),
        ("version>=1.x", "`1.x` is no version, at character 10"),
        (
            "description~'('",
            "is no regular expression, at character 13",
        ),
        (
            "x & >=dev-lang/python",
            "what begins at character 5 is no atom",
        ),
        ("visible:yes", "write true or false"),
        ("revision>=1.2", "write a number"),
        (
            "f{oo",
            "expected the name of a package or an attribute at character 2",
        ),
    ] {
        let message = query.parse::<Restriction>().unwrap_err().to_string();
        assert!(message.contains(wanted), "{query}: {message}");
    }
}

#[test]
fn packages_are_told_where_that_is_possible() {
    let packages = |query: &str| {
        let restriction: Restriction = query.parse().unwrap();
        restriction
            .packages()
            .map(|all| all.into_iter().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(packages("a/b & iuse:x").unwrap(), "a/b");
    assert_eq!(packages("=a/b-1 | a/c").unwrap(), "a/b a/c");
    assert_eq!(packages("a/b | live"), None);
    assert_eq!(packages("!a/b"), None);
    assert_eq!(packages("a/*"), None);
}

#[test]
fn patterns() {
    for (pattern, text, fits) in [
        ("a", "a", true),
        ("*", "", true),
        ("a*a", "a", false),
        ("a*b*c", "axbxbc", true),
        ("a*b*c", "axcxb", false),
        ("*b", "ab", true),
    ] {
        assert_eq!(is_like(pattern, text), fits, "{pattern} {text}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(text in r#"[a-z:~<>=!&|()\[\]"'/* .-]{0,24}|\PC{0,10}"#) {
        let _ = text.parse::<Restriction>();
    }
}
