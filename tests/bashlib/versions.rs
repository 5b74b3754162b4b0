//! Version commands.

use crate::stage::Stage;

#[test]
fn ver_cut() {
    let stage = Stage::new("7");
    for (arguments, expected) in [
        ("1", "1"),
        ("1-2", "1.2"),
        ("2-", "2.3"),
        ("2-9", "2.3"),
        ("0", ""),
        ("9", ""),
        ("9-12", ""),
        ("1-2 .1.2.3", "1.2"),
        ("0-2 .1.2.3", ".1.2"),
        ("2-3 1.2.3.", "2.3"),
        ("2-4 1.2.3.", "2.3."),
        ("2-3 1a02.4", "a02"),
        ("1-3 '1 *'", "1 *"),
        ("08-010 1.2.3.4.5.6.7.8.9.10", "8.9.10"),
        ("1-99999999999999999999 1.2", "1.2"),
        ("0- -n", "-n"),
        ("1 ''", "1"),
    ] {
        let code = format!("ver_cut {arguments}");
        assert_eq!(stage.prints(&code), format!("{expected}\n"), "{arguments}");
        let code = format!("IFS=.12; shopt -s nullglob nocasematch; set -f; ver_cut {arguments}");
        assert_eq!(stage.prints(&code), format!("{expected}\n"), "{code}");
    }
    for wrong in ["a", "2-1", "1-2-3", "-1", "''"] {
        stage.dies(&format!("ver_cut {wrong}"));
    }
}

#[test]
fn ver_rs() {
    let stage = Stage::new("7");
    for (arguments, expected) in [
        ("1 -", "1-2.3"),
        ("1- _", "1_2_3"),
        ("2 '' 1.2.3.4", "1.23.4"),
        ("1 - 3 '&' 1.2.3.4", "1-2.3&4"),
        ("0 x 1.2", "1.2"),
        ("0 x .1.2", "x1.2"),
        ("2 x 1.2.", "1.2x"),
        ("2- . 1.2b3-r4", "1.2.b.3.r.4"),
        ("1 . 1a", "1.a"),
        ("5 x 1.2", "1.2"),
    ] {
        let code = format!("ver_rs {arguments}");
        assert_eq!(stage.prints(&code), format!("{expected}\n"), "{arguments}");
    }
    for wrong in ["", "1", "x y"] {
        stage.dies(&format!("ver_rs {wrong}"));
    }
}

#[test]
fn ver_test_orders_versions() {
    let forty = "1".repeat(40);
    let forty_more = format!("{}2", "1".repeat(39));
    let long = format!("1{}", ".1".repeat(999));
    let longer = format!("1{}.2", ".1".repeat(998));
    let mut code = String::new();
    for (left, order, right) in [
        ("", "-eq", "1.2.3-r1"),
        ("1", "-lt", "2"),
        ("01", "-eq", "1"),
        ("1.01", "-lt", "1.1"),
        ("1.010", "-eq", "1.01"),
        ("1.0", "-eq", "1.00"),
        ("1.0", "-lt", "1.1"),
        ("1.9", "-lt", "1.10"),
        ("1.09", "-lt", "1.1"),
        ("1.2", "-lt", "1.2.0"),
        ("1.2a", "-gt", "1.2"),
        ("1.2a", "-lt", "1.2b"),
        ("1_alpha", "-lt", "1_beta"),
        ("1_beta", "-lt", "1_pre"),
        ("1_pre", "-lt", "1_rc"),
        ("1_rc", "-lt", "1"),
        ("1", "-lt", "1_p"),
        ("1_p", "-eq", "1_p0"),
        ("1_p1", "-lt", "1_p02"),
        ("1_alpha_p", "-gt", "1_alpha"),
        ("1_alpha_beta", "-lt", "1_alpha"),
        ("1-r0", "-eq", "1"),
        ("1-r00", "-eq", "1-r0"),
        ("1-r1", "-gt", "1"),
        ("1-r010", "-eq", "1-r10"),
        (&forty, "-lt", &forty_more),
        (&long, "-lt", &longer),
    ] {
        let holds = match order {
            "-eq" => ["-eq", "-le", "-ge"],
            "-lt" => ["-lt", "-le", "-ne"],
            _ => ["-gt", "-ge", "-ne"],
        };
        for operator in ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"] {
            let expected = i32::from(!holds.contains(&operator));
            code.push_str(&format!(
                "ver_test {left} {operator} {right}\n\
                 [[ $? == {expected} ]] || echo '{left} {operator} {right}'\n"
            ));
        }
    }
    assert_eq!(Stage::new("8").prints(&code), "");
    assert_eq!(Stage::new("8").prints(&format!("IFS=.1; {code}")), "");
}

#[test]
fn ver_test_refuses_what_is_no_version() {
    for wrong in [
        "1 -eq",
        "1 == 2",
        "'' -eq 1",
        "1. -eq 1",
        ".1 -eq 1",
        "1..2 -eq 1",
        "1ab -eq 1",
        "1A -eq 1",
        "1_ -eq 1",
        "1__p -eq 1",
        "1_P -eq 1",
        "1_foo -eq 1",
        "1_p1a -eq 1",
        "1-r -eq 1",
        "1-r1a -eq 1",
        "1-1 -eq 1",
        "'1*' -eq 1",
        "'1 2' -eq 1",
        "'1_p*' -eq 1",
    ] {
        Stage::new("8").dies(&format!("ver_test {wrong}"));
        Stage::new("8").dies(&format!("shopt -s nocasematch; ver_test {wrong}"));
    }
}

#[test]
fn ver_replacing_looks_at_every_replaced_version() {
    let stage = |versions: &str| {
        Stage::new("9")
            .phase("pkg_postinst")
            .set(&format!("REPLACING_VERSIONS='{versions}'"))
    };
    assert_eq!(stage("").prints("ver_replacing -lt 2 || echo no"), "no\n");
    assert_eq!(
        stage("3 1-r1").prints("ver_replacing -lt 2 && echo yes"),
        "yes\n"
    );
    assert_eq!(
        stage("3 2").prints("IFS=; ver_replacing -lt 2 || echo no"),
        "no\n"
    );
    Stage::install("9").dies("ver_replacing -lt 2");
}
