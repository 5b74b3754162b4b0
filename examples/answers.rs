//! Answers questions about versions, atoms and dependency expressions, one a line: fields with tabs
//! between them on standard input, the answer on standard output. `tests/fidelity/library` asks Portage
//! the same.
//!
//! | question | answer |
//! |---|---|
//! | `version A B` | `<`, `=`, `>`, or `invalid` |
//! | `atom EAPI TEXT` | the atom, or `invalid` |
//! | `match EAPI ATOM CPV` | `yes`, `no` or `invalid` |
//! | `reduce KEY EAPI FLAGS TEXT` | what is left with these flags, or `invalid` |
//! | `required EAPI FLAGS TEXT` | `yes`, `no` or `invalid` |

use std::cmp::Ordering;
use std::collections::HashSet;
use std::io::{self, BufRead, Write};

use ebd::pms::atom::Atom;
use ebd::pms::cpv::Cpv;
use ebd::pms::dependency::DepSpec;
use ebd::pms::eapi::Eapi;
use ebd::pms::required_use;
use ebd::pms::version::Version;

/// The answer to a question; none if something in it is not valid.
fn answer(question: &[&str]) -> Option<String> {
    let yes = |is: bool| Some(if is { "yes" } else { "no" }.to_owned());
    match question {
        ["version", a, b] => {
            let (a, b): (Version, Version) = (a.parse().ok()?, b.parse().ok()?);
            Some(
                match a.cmp(&b) {
                    Ordering::Less => "<",
                    Ordering::Equal => "=",
                    Ordering::Greater => ">",
                }
                .to_owned(),
            )
        }
        ["atom", eapi, text] => {
            let atom = Atom::parse(text, Eapi::parse(eapi).ok()?).ok()?;
            Some(atom.to_string())
        }
        ["match", eapi, atom, cpv] => {
            let atom = Atom::parse(atom, Eapi::parse(eapi).ok()?).ok()?;
            yes(atom.names(&Cpv::parse(cpv).ok()?))
        }
        ["reduce", key, eapi, flags, text] => {
            let eapi = Eapi::parse(eapi).ok()?;
            let flags: HashSet<&str> = flags.split(' ').collect();
            let enabled = |flag: &str| flags.contains(flag);
            Some(match *key {
                "LICENSE" => DepSpec::parse_license(text, eapi)
                    .ok()?
                    .evaluate(enabled)
                    .to_string(),
                "PROPERTIES" | "RESTRICT" => DepSpec::parse_restrict(text, eapi)
                    .ok()?
                    .evaluate(enabled)
                    .to_string(),
                _ => DepSpec::parse_dependencies(text, eapi)
                    .ok()?
                    .evaluate(enabled)
                    .to_string(),
            })
        }
        ["required", eapi, flags, text] => {
            let eapi = Eapi::parse(eapi).ok()?;
            let flags: HashSet<&str> = flags.split(' ').collect();
            let spec = DepSpec::parse_required_use(text, eapi).ok()?;
            yes(required_use::check(&spec, |flag| flags.contains(flag), eapi).is_ok())
        }
        _ => None,
    }
}

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let question: Vec<&str> = line.split('\t').collect();
        let answer = answer(&question).unwrap_or_else(|| "invalid".to_owned());
        writeln!(out, "{answer}")?;
    }
    out.flush()
}
