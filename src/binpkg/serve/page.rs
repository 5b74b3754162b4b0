//! The page for people: packages, their builds, and how these differ.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::binpkg::index::{Entry, Index};
use crate::binpkg::pkgdir::Format;
use crate::binpkg::selection::{Selection, flags};
use crate::util::date::minute;

/// Of more builds than this only categories are shown until something is asked for.
const MOST_SHOWN: usize = 2000;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:light-dark(#d8d8e0,#3a3a46);--soft:light-dark(#5c5c6b,#a2a2b3);\
--on:light-dark(#1a6b3c,#7fd6a2);--off:light-dark(#8a8a97,#7d7d8b);--new:light-dark(#fff3c4,#4a3f10)}\
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:1.5rem;max-width:72rem;\
color:light-dark(#1c1c28,#e6e6ee);background:light-dark(#fff,#17171d)}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:1.6rem 0 .3rem;overflow-wrap:anywhere}\
p{color:var(--soft);margin:.2rem 0 1rem}form{display:flex;gap:.5rem;margin:1rem 0}\
input{font:inherit;flex:1;min-width:0;padding:.35rem .6rem}button{font:inherit;padding:.35rem .9rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}\
th{font-weight:600;color:var(--soft);font-size:.85rem}td.n{text-align:right;white-space:nowrap}\
th.n{text-align:right}td.t{white-space:nowrap}\
.on{color:var(--on)}.off{color:var(--off)}.new{background:var(--new);border-radius:.2rem;padding:0 .2rem}\
ul{columns:16rem;padding-left:1.2rem}";

/// What is asked for in the query of an address: the value of `q`.
pub(super) fn question(query: &str) -> String {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("q="))
        .unwrap_or_default()
        .replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The page about the packages of an index whose names contain what is asked for.
pub(super) fn page(index: &Index, question: &str) -> String {
    let all = Selection::default();
    let wanted = question.to_lowercase();
    let found: Vec<&Entry> = all
        .of(index)
        .into_iter()
        .filter(|entry| entry.cpv().to_lowercase().contains(&wanted))
        .collect();
    let mut versions: Vec<(&str, Vec<&Entry>)> = Vec::new();
    for entry in &found {
        match versions.last_mut() {
            Some((cpv, builds)) if *cpv == entry.cpv() => builds.push(entry),
            _ => versions.push((entry.cpv(), vec![entry])),
        }
    }
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Binary packages</title><style>",
    );
    html.push_str(STYLE);
    html.push_str("</style></head><body>\n<h1>Binary packages</h1>\n");
    let time = index
        .header("TIMESTAMP")
        .and_then(|time| time.parse().ok())
        .map(|time| format!(", last changed {} UTC", minute(time)))
        .unwrap_or_default();
    let arch = index
        .header("CHOST")
        .map(|chost| format!(" for {}", escaped(chost)))
        .unwrap_or_default();
    let _ = write!(
        html,
        "<p id=\"summary\">{} in {}{arch}{time}. <a href=\"Packages\">Packages</a></p>\n\
         <form role=\"search\"><input type=\"search\" name=\"q\" value=\"{}\" \
         aria-label=\"Name of a package\" placeholder=\"Name of a package\">\
         <button>Search</button></form>\n",
        counted(found.len(), "build"),
        counted(versions.len(), "version"),
        escaped(question)
    );
    if found.is_empty() {
        let why = match question {
            "" => "There are no packages yet.",
            _ => "No package has this in its name.",
        };
        let _ = writeln!(html, "<p>{why}</p>");
    } else if found.len() > MOST_SHOWN {
        categories(&mut html, &found);
    } else {
        for (cpv, builds) in versions {
            version(&mut html, cpv, &builds);
        }
    }
    html.push_str("</body></html>\n");
    html
}

fn categories(html: &mut String, found: &[&Entry]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in found {
        let name = entry.cpv();
        // Within a category the packages, without their versions.
        let category = name.split_once('/').map_or(name, |(category, _)| category);
        *counts.entry(category).or_default() += 1;
    }
    html.push_str("<p>These are many; choose a category, or search.</p>\n<ul>");
    for (category, count) in counts {
        let _ = write!(
            html,
            "<li><a href=\"?q={0}%2F\">{0}</a> ({count})</li>",
            escaped(category)
        );
    }
    html.push_str("</ul>\n");
}

fn version(html: &mut String, cpv: &str, builds: &[&Entry]) {
    let _ = write!(
        html,
        "<section><h2>{}</h2>\n<div class=\"wide\"><table><thead><tr><th class=\"n\">Build</th>\
         <th>Built</th><th class=\"n\">Size</th><th>Format</th><th>USE</th></tr></thead><tbody>\n",
        escaped(cpv)
    );
    let mut before: Option<Vec<(&str, bool)>> = None;
    for entry in builds {
        let path = entry.path();
        let id = entry
            .build_id()
            .map_or_else(|| "–".to_owned(), |id| id.to_string());
        let time = entry.build_time().or(entry.mtime()).unwrap_or(0);
        let format = Format::of_name(Path::new(path.as_ref())).map_or("?", Format::name);
        let own = flags(entry);
        let _ = write!(
            html,
            "<tr><td class=\"n\"><a href=\"{}\">{id}</a></td><td class=\"t\">{}</td>\
             <td class=\"n\">{}</td><td>{format}</td><td>",
            address(&path),
            minute(u64::try_from(time).unwrap_or(0)),
            size(entry.size().unwrap_or(0))
        );
        for (flag, on) in &own {
            let changed = before
                .as_ref()
                .is_some_and(|before| !before.contains(&(*flag, *on)));
            let (class, sign) = if *on { ("on", "") } else { ("off", "-") };
            let marked = if changed { " new" } else { "" };
            let _ = write!(
                html,
                "<span class=\"{class}{marked}\">{sign}{}</span> ",
                escaped(flag)
            );
        }
        html.push_str("</td></tr>\n");
        before = Some(own);
    }
    html.push_str("</tbody></table></div></section>\n");
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Text that means nothing else in HTML, in attributes neither.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

/// A path as a relative address that leads nowhere else.
fn address(path: &str) -> String {
    let mut out = String::from("./");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(cpv: &str, id: u64, uses: &str) -> Entry {
        let mut entry = Entry::default();
        entry.set("CPV", cpv);
        entry.set("PATH", &format!("{cpv}-{id}.gpkg.tar"));
        entry.set("BUILD_ID", &id.to_string());
        entry.set("IUSE", "a b");
        entry.set("USE", uses);
        entry
    }

    #[test]
    fn builds_are_shown_with_what_differs() {
        let mut index = Index::default();
        index.insert(entry("x/foo-1", 2, "a"));
        index.insert(entry("x/foo-1", 1, "b"));
        index.insert(entry("x/bar-1", 1, ""));
        let html = page(&index, "FOO");
        assert!(html.contains("2 builds in 1 version"), "{html}");
        assert!(html.contains("href=\"./x/foo-1-1.gpkg.tar\">1<"), "{html}");
        assert!(html.contains("<span class=\"off\">-a</span> <span class=\"on\">b</span>"));
        assert!(html.contains("<span class=\"on new\">a</span> <span class=\"off new\">-b</span>"));
        assert!(!html.contains("bar"), "{html}");
    }

    #[test]
    fn nothing_that_the_index_or_an_address_says_becomes_markup() {
        let mut index = Index::default();
        let mut evil = entry("x/<script>alert(1)</script>-1", 1, "");
        evil.set("PATH", "javascript:alert(1)//\"><b>.gpkg.tar");
        evil.set("IUSE", "<i>");
        index.insert(evil);
        index.set_header("CHOST", "<u>");
        for html in [page(&index, ""), page(&index, "\"><script>")] {
            for part in ["<script>", "<b>", "<i>", "<u>", "\"javascript:"] {
                assert!(!html.contains(part), "{part}: {html}");
            }
        }
    }

    #[test]
    fn many_packages_are_shown_by_category() {
        let mut index = Index::default();
        let entries = (0..=MOST_SHOWN).map(|number| entry(&format!("x/p{number}-1"), 1, ""));
        index.replace_entries(entries.collect());
        let html = page(&index, "");
        assert!(
            html.contains("<a href=\"?q=x%2F\">x</a> (2001)"),
            "{html:.2000}"
        );
        assert!(page(&index, "p77-").contains("x/p77-1"));
    }

    #[test]
    fn questions_are_decoded() {
        assert_eq!(question("a=1&q=x%2Ffoo+bar%"), "x/foo bar%");
        assert_eq!(question(""), "");
    }
}
