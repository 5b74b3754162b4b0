use super::*;
use proptest::prelude::*;
use std::io::Write;
use std::process::Command;

/// Everything that has broken a line-based filter before, as a script that builds it.
const NASTY: &str = r##"
shopt -s extglob
hole=([0]=a [5]="b c") ; declare -a empty=() declared_only
declare -A map=(["a]b"]=1 ["x y"]=2 [$'n\nl']=3 ['q"uote']=4 ['$d']=5 ['b\s']=6 [x@]=7 [*]=8)
declare -A emptymap=()
declare -i number=42; word=abc; declare -i word; octal=010; declare -i octal
declare -l lower=abc; MIXED=AbC; declare -l MIXED
declare -u upper=ABC; declare -c capital=abc
declare -ai numbers=(1 2 3); declare -Ai counts=([a]=1); declare -ia mess; mess=(1 2)
declare -t traced=1
declare -n reference=number
declare -x exported_unset; export exported="x y"; declare -xr both=1; readonly ro="r"
declare -ar roarray=(1 2)
newline=$'a\nb'; tab=$'a\tb'; quote="it's"; double='say "hi"'; backslash='a\b\\'; dollar='$HOME `id` $(id)'
control=$'\001x\001'; invalid=$'\xff\xfe'; utf=$'h\xc3\xa9'; trailing=$'x\n\n'; bang='a!b'
empty_string=''; space=' '; looks=$'f () \n{ \n}\ndeclare -- evil="1"'; equals='a=b'; brace='}'
star='*'; tilde='~'; comment='#x'; cr=$'a\rb'; delete=$'\x7f'
f1() { cat <<EOF
}
declare -- fake="1"
EOF
}
f2() { cat <<'EOF' | sed s/a/b/
$(unclosed "
}
EOF
}
f3() { cat <<-EOF
	}
	EOF
}
f4() { cat <<A <<"B"; echo done
} a
A
} b
B
}
f5() { echo; } 1>&2
f6() { case x in @(a|b)) echo } ;; !(c)d) ;; *) ;; esac; }
f-7.a+b:c() { :; }
f8() { f8inner() { cat <<X
}
X
}; function f8other { echo "}"; }; }
f9() { x="a $(echo "b )") c"; y=${x//\}/\"}; z=${x:-"}"}; w=${x:-$(echo "}")}; echo ${x#"#"} ${#x} $# ${x#\#}; }
f10() { a[1<<2]=3; (( y = 1<<3 )); echo $((1<<2)) $(( (1) )); let "x=1<<2"; for ((i=0;i<1<<2;i++)); do :; done; }
f11() { x=$(cat <<EOF
foo ) }
EOF
); echo `cat <<EOF
bar }
EOF
`; }
f12() { [[ $x == @(a|b) && $x =~ ^(a|b})$ || ! ( -n $x ) ]]; [[ a < b ]]; }
f13() { coproc FOO { cat; }; while read x; do :; done < <(echo "}"); select x in a b; do :; done; time ls; ! true; }
f14() { local x; case $x in a|b) echo;; (c) echo;& *) echo;;& esac; { echo }; }; if a; then b; elif c; then d; else e; fi; }
f15() { cat 3<<<"here }" 4</dev/null; } 3<<<"here" 4</dev/null
f16() ( echo sub } )
f17() { <<EOF cat; }
x
EOF
f18() { cat <<"E O F"; }
}
E O F
f19() { echo $'a\'}b' $"loc }" "`echo "}"`" a#b \# \} '}' ; }
f20() { until false; do { ( echo ) }; done; x=(a b "c)" [5]=d '}' ); local -a y=(1 2); echo {a,b} {1..3}; }
f21() { for x; do echo; done; for x in a } b; do echo; done; }
f22() { echo "${x:-'}'}" "${x#'}'}" "${y:-{}" "${x/"}"/y}"; }
f23() { cat <<EOF
one \
EOF
EOF
}
f24() { if cat <<EOF
}
EOF
then :; fi; }
f25() { echo a && echo b || echo c & wait; echo x | cat |& cat; }
f26() { cat <<<"a" >/dev/null 2>&1 &>>/dev/null {fd}<&0 3>&- ; }
export -f f1
declare -ft f2
readonly -f f3
function if { :; }
function a=b { :; }
"##;

fn bash(script: &[u8]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script).unwrap();
    let out = Command::new("bash")
        .env_clear()
        .env("LC_ALL", "C")
        .args(["--norc", "--noprofile", "-O", "extglob"])
        .arg(file.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(errors.is_empty(), "{errors}");
    out.stdout
}

/// What bash dumps after running `script`, without the variables bash declares by itself.
fn dump(script: &[u8]) -> Vec<u8> {
    let mut script = script.to_vec();
    script.extend_from_slice(b"\ndeclare -p; declare -fp\n");
    bash(&script)
}

fn filter() -> Filter {
    let mut filter = Filter::new();
    filter
        .drop_variables(BASH_VARIABLES)
        .drop_variables(["LC_ALL", "PATH", "SHELL"]);
    filter
}

#[test]
fn a_nasty_environment_survives() {
    let first = dump(NASTY.as_bytes());
    let mut environment = Environment::parse(&first).unwrap();
    environment.filter(&filter());
    for name in ["f1", "f26", "f-7.a+b:c", "if", "a=b"] {
        assert!(environment.function(name.as_bytes()).is_some(), "{name}");
    }
    assert!(environment.variable("fake").is_none());
    assert!(environment.variable("evil").is_none());

    let printed = environment.to_bash();
    let mut again = Environment::parse(&dump(&printed)).unwrap();
    again.filter(&filter());
    let printed_again = again.to_bash();
    assert_eq!(
        String::from_utf8_lossy(&printed),
        String::from_utf8_lossy(&printed_again)
    );
}

#[test]
fn functions_are_the_ones_bash_lists() {
    let names = {
        let mut script = NASTY.as_bytes().to_vec();
        script.extend_from_slice(b"\ndeclare -F\n");
        String::from_utf8(bash(&script)).unwrap()
    };
    let names: Vec<_> = names
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    let environment = Environment::parse(&dump(NASTY.as_bytes())).unwrap();
    let found: Vec<_> = environment
        .functions()
        .map(|f| String::from_utf8_lossy(f.name()).into_owned())
        .collect();
    assert_eq!(found, names);
}

#[test]
fn attributes_and_values_are_read() {
    let environment = Environment::parse(&dump(NASTY.as_bytes())).unwrap();
    assert_eq!(environment.scalar("control").unwrap(), b"\x01x\x01");
    assert_eq!(environment.scalar("invalid").unwrap(), b"\xff\xfe");
    assert_eq!(environment.scalar("trailing").unwrap(), b"x\n\n");
    assert_eq!(environment.scalar("dollar").unwrap(), b"$HOME `id` $(id)");
    assert!(environment.scalar("hole").is_none());
    let hole = environment.variable("hole").unwrap();
    let elements = hole.value().unwrap().elements();
    assert_eq!(elements[1].subscript.as_deref(), Some(b"5".as_slice()));
    assert_eq!(elements[1].value, b"b c");
    assert!(hole.attributes().has(b'a'));
    let unset = environment.variable("exported_unset").unwrap();
    assert!(unset.value().is_none() && unset.attributes().is_exported());
    assert!(
        environment
            .variable("both")
            .unwrap()
            .attributes()
            .is_readonly()
    );
    assert!(
        environment
            .function(b"f1")
            .unwrap()
            .attributes()
            .is_exported()
    );
    let map = environment
        .variable("map")
        .unwrap()
        .value()
        .unwrap()
        .elements();
    assert!(
        map.iter()
            .any(|e| e.subscript.as_deref() == Some(b"n\nl") && e.value == b"3")
    );
}

#[test]
fn readonly_can_be_dropped() {
    let text = b"declare -r A=\"1\"\ndeclare -rx B=\"2\"\ndeclare -- C=\"3\"\nf () \n{ \n    :\n}\ndeclare -fr f\n";
    let mut environment = Environment::parse(text).unwrap();
    let mut filter = Filter::new();
    filter.drop_readonly(true);
    environment.filter(&filter);
    assert_eq!(
        String::from_utf8(environment.to_bash()).unwrap(),
        "declare A=\"1\"\ndeclare -x B=\"2\"\ndeclare -- C=\"3\"\nf () \n{ \n    :\n}\n"
    );
}

#[test]
fn values_keep_attributes_from_changing_them() {
    let text = b"declare -ir N=\"a[\\$(id)]\"\ndeclare -xl L=\"ABC\"\ndeclare -i M=\"-7\"\n";
    let printed = Environment::parse(text).unwrap().to_bash();
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        "declare -- N=\"a[\\$(id)]\"\ndeclare -ir N\ndeclare -x L=\"ABC\"\ndeclare -l L\ndeclare -i M=\"-7\"\n"
    );
}

#[test]
fn old_forms_are_read() {
    let text = b"# saved by hand\nA=1\nB='x y'\nexport A\nreadonly C=\"2\"\ntypeset -x D\n\
        declare -a E='([0]=\"a b\" [1]=\"c\")'\nfunction g {\n:\n}\ng2() ( : )\n";
    let environment = Environment::parse(text).unwrap();
    assert!(
        environment
            .variable("A")
            .unwrap()
            .attributes()
            .is_exported()
    );
    assert_eq!(environment.scalar("A").unwrap(), b"1");
    assert_eq!(
        environment
            .variable("E")
            .unwrap()
            .value()
            .unwrap()
            .elements()
            .len(),
        2
    );
    assert!(environment.function(b"g2").is_some());
    let printed = String::from_utf8(environment.to_bash()).unwrap();
    assert!(
        printed.contains("declare -a E=([0]=\"a b\" [1]=\"c\")\n"),
        "{printed}"
    );
    bash(printed.as_bytes());
}

#[test]
fn a_name_twice_keeps_its_last_value() {
    let environment =
        Environment::parse(b"A=1\ndeclare -x A=\"2\"\nf () \n{ \n a\n}\nf () \n{ \n b\n}\n")
            .unwrap();
    assert_eq!(environment.scalar("A").unwrap(), b"2");
    assert_eq!(environment.functions().count(), 1);
    assert!(
        environment
            .function(b"f")
            .unwrap()
            .body()
            .ends_with(b" b\n}")
    );
}

#[test]
fn code_is_refused_with_its_line() {
    for (text, line) in [
        ("A=1\nrm -rf /\n", 2),
        ("A=\"$(id)\"\n", 1),
        ("\n\nA=`id`\n", 3),
        ("A=1 id\n", 1),
        ("declare -a A=([x[\\$(id)]]=\"1\")\n", 1),
        ("f () \n{ \n    echo\n", 2),
        ("f () \n{ \n    cat <<EOF\n}\n", 3),
        // Bash takes the end of the file for that of the document, but not what is printed behind it.
        ("A=1\nf() { cat <<E;}", 2),
        ("f() { :;} <<E", 1),
        ("f () \n{ \n    :\n} ; id\n", 4),
        ("f () \n{ \n    :\n} && id\n", 4),
        ("declare -- \"A\"=1\n", 1),
        ("declare -Z A\n", 1),
        ("declare -x\n", 1),
        ("declare -fx nothing\n", 1),
        ("A+=1\n", 1),
        ("A=\"x\n", 1),
        ("A=1\0\n", 1),
        ("if true; then id; fi\n", 1),
    ] {
        let error = Environment::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.line, line, "{text:?}: {error}");
    }
}

#[test]
fn depth_is_bounded() {
    for open in [
        "$(",
        "${x:-",
        "\"$(",
        "$((",
        "{ ",
        "( ",
        "((",
        "$[",
        "@(",
        "case x in x) ",
        "[[ $(",
    ] {
        let text = format!("f () \n{{ \n echo {}", open.repeat(50_000));
        assert!(Environment::parse(text.as_bytes()).is_err(), "{open}");
        let text = format!("f () \n{{ \n {}", open.repeat(50_000));
        assert!(Environment::parse(text.as_bytes()).is_err(), "{open}");
    }
}

#[test]
fn long_text_takes_linear_time() {
    let mut text = Vec::new();
    for piece in [
        "((", "$((1)", "<<E\n", "`", "'", "\"", "x=(", "[[ a ", "<<E ",
    ] {
        text.clear();
        text.extend_from_slice(b"f () \n{ \n");
        while text.len() < 500_000 {
            text.extend_from_slice(piece.as_bytes());
        }
        // If it took the square of it, nobody would see the end of this.
        let _ = Environment::parse(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn hostile_text_never_panics(text in prop::collection::vec(prop::sample::select(vec![
        "declare ", "-x ", "-a ", "-A ", "-i ", "-fx ", "A", "=", "(", ")", "[0]", "\"", "'", "$'", "\\", "$(",
        "${", "}", "`", "\n", " ", "f () \n{ \n", "<<EOF", "<<-'E'", "EOF", "case ", " in ", "esac", ";;", ";",
        "[[ ", " ]]", "((", "))", "#", "|", "&", ">", "<", "@(", "\t", "\0", "\u{e9}", "if", "{ ", "function ",
    ]), 0..60)) {
        let text = text.concat();
        if let Ok(environment) = Environment::parse(text.as_bytes()) {
            let printed = environment.to_bash();
            let again = Environment::parse(&printed).unwrap();
            prop_assert_eq!(again.to_bash(), printed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_value_survives(value in prop::collection::vec(1u8..=255, 0..40)) {
        let quoted: String = value.iter().map(|b| format!("\\{b:03o}")).collect();
        let printed = dump(format!("v=$'{quoted}'; w=(\"$v\")").as_bytes());
        let environment = Environment::parse(&printed).unwrap();
        prop_assert_eq!(environment.scalar("v").unwrap(), value.clone());
        prop_assert_eq!(&environment.variable("w").unwrap().value().unwrap().elements()[0].value, &value);
    }
}

#[test]
fn functions_may_have_the_names_of_declaring_builtins() {
    let output = Command::new("bash")
        .args(["-c", "declare() { builtin declare -g \"$@\"; }; export() { :; }; readonly() { :; }; x=1; builtin declare -p x; builtin declare -fp declare export readonly"])
        .output()
        .unwrap();
    let environment = Environment::parse(&output.stdout).unwrap();
    assert_eq!(environment.functions().count(), 3);
    assert_eq!(environment.scalar("x"), Some(b"1".to_vec()));
}
