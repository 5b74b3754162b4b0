//! Scripts and their outlines.

use super::*;

fn told(text: &str) -> String {
    let outline = match Outline::of(text.as_bytes()) {
        Ok(outline) => outline,
        Err(Strange(at)) => return format!("strange at {at}"),
    };
    let cut = |range: &Range<usize>| text[range.clone()].trim().replace('\n', "/");
    let mut all = Vec::new();
    for each in &outline.ifs {
        let or_else = each.or_else.as_ref().map_or("-".to_owned(), cut);
        all.push(format!(
            "if[{}|{}|{or_else}]",
            cut(&each.condition),
            cut(&each.then)
        ));
    }
    for each in &outline.functions {
        all.push(format!("fn[{}|{}]", cut(&each.name), cut(&each.body)));
    }
    for each in &outline.documents {
        all.push(format!("doc[{}|{}]", cut(&each.text), each.expands));
    }
    all.join(" ")
}

#[test]
fn what_autoconf_writes_is_understood() {
    assert_eq!(told("if a; then b; else c; fi"), "if[a;|b;|c;]");
    assert_eq!(
        told("if a\nthen :\n  x\nelse case e in #(\n  e) y ;;\nesac\nfi\n"),
        "if[a|:/  x|case e in #(/  e) y ;;/esac]"
    );
    assert_eq!(
        told("if a; then b; elif c; then d; else e; fi; if x; then y; fi"),
        ""
    );
    assert_eq!(
        told("f ()\n{\n  if a; then b; else c; fi\n} # f\n"),
        "if[a;|b;|c;] fn[f|{/  if a; then b; else c; fi/}]"
    );
    assert_eq!(
        told("cat - <<_A >x; if a; then\nfi if\n_A\nb; else c <<\\_B\n$x\n_B\nfi"),
        "if[a;|fi if/_A/b;|c <<\\_B/$x/_B] doc[fi if|true] doc[$x|false]"
    );
    assert_eq!(
        told("case \"$x\" in #(\n  a|b) if a; then b; else c; fi;; #(\n  *) ;; esac"),
        "if[a;|b;|c;]"
    );
    assert_eq!(
        told("x=`echo 'if' \\`fi\\``; y=$(case a in a) echo fi;; esac); if a; then b; else c; fi"),
        "if[a;|b;|c;]"
    );
    assert_eq!(
        told(
            "for ac_x in if fi\ndo :; done; while if a; then b; else c; fi; do echo if; done >&2 2>/dev/null"
        ),
        "if[a;|b;|c;]"
    );
    assert_eq!(
        told("echo \"it's ${x-'} if\" if; { if a; then b; else c; fi; } 2>&1"),
        "if[a;|b;|c;]"
    );
    assert_eq!(
        told("test ${x+y} && (exit 1) || $as_nop; echo $((1+(2)))"),
        ""
    );
}

#[test]
fn what_is_not_understood_is_an_error() {
    for text in [
        "if",
        "if a; then b",
        "fi",
        "else",
        "case x in a) b",
        "esac",
        "echo `",
        "echo '",
        "echo \"",
        "echo ${",
        "echo $(",
        "cat <<E\nx\n",
        "}",
        ")",
        "done",
        "f () if a; then b; fi",
        "a (b",
        ";;",
        "x\\",
        "case x y in esac",
    ] {
        assert!(
            told(text).starts_with("strange"),
            "{text:?}: {}",
            told(text)
        );
    }
    for piece in ["(", "$(", "${", "if ", "{ ", "\"${"] {
        assert!(
            told(&piece.repeat(100_000)).starts_with("strange"),
            "{piece}"
        );
    }
}

#[test]
fn patterns_are_found() {
    let text = "rm -f conftest* 'a*' \"b*\" c\\* $? $* ${x%?} `ls *.c` `ls` $(ls *.d) x[12] case_*; case x in *) e? ;; esac";
    let outline = Outline::of(text.as_bytes()).unwrap();
    let all: Vec<&str> = outline
        .patterns
        .iter()
        .map(|each| &text[each.clone()])
        .collect();
    assert_eq!(
        all,
        ["conftest*", "`ls *.c`", "*.d", "x[12]", "case_*", "e?"]
    );
}

#[test]
fn assignments_know_what_they_depend_on() {
    let text = "a=1 b=2; if c=3; then d=4; else e=5; fi; f=6 && g=7; h=8; { i=9; }; (j=10); for k in 1; do l=11; done; case x in x) m=12;; esac; n=13; $(o=14)";
    let outline = Outline::of(text.as_bytes()).unwrap();
    let always: Vec<&str> = outline
        .assignments
        .iter()
        .filter(|each| each.within == 0)
        .map(|each| &text[each.name.clone()])
        .collect();
    assert_eq!(always, ["a", "b", "c", "f", "h", "i", "k", "n"]);
    assert_eq!(outline.assignments.len(), 15);
}
