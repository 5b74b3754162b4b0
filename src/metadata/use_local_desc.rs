//! `profiles/use.local.desc`, made of the packages' `metadata.xml` (GLEP 56).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use roxmltree::{Document, Node, ParsingOptions};

use super::MetadataError;
use crate::pms::atom::{Atom, Operator};
use crate::repo::RepoSet;
use crate::util::regular;

/// What Portage puts at the head of the file.
const HEAD: &str = "\
# This file is deprecated as per GLEP 56 in favor of metadata.xml. Please add
# your descriptions to your package's metadata.xml ONLY.
# * generated automatically using egencache *

";

/// The text of a `use.local.desc` and what could not be read for it.
#[derive(Debug)]
pub struct UseLocalDesc {
    /// The text.
    pub text: String,
    /// The files at fault and why. A package without `metadata.xml` is none.
    pub faults: Vec<(PathBuf, MetadataXmlError)>,
}

/// What is wrong with a `metadata.xml`.
#[derive(Debug, thiserror::Error)]
pub enum MetadataXmlError {
    /// It cannot be read.
    #[error("metadata.xml: cannot be read")]
    Read(#[source] std::io::Error),
    /// It is not XML.
    #[error("metadata.xml: not XML")]
    Xml(#[from] roxmltree::Error),
    /// A flag's description is for versions that are no atom. The first description was taken.
    #[error("metadata.xml: flag {flag}: restrict=\"{restrict}\" is no atom")]
    Restrict {
        /// The flag.
        flag: String,
        /// The attribute.
        restrict: String,
        /// What is wrong with it.
        source: Box<crate::pms::atom::AtomError>,
    },
}

/// Makes the text of a repository's `use.local.desc`, byte for byte as `egencache
/// --update-use-local-desc` does. With the text of the file so far in `keep_comments_of`, the
/// comments at its head stay (`--preserve-comments`).
///
/// # Errors
/// The repository is unknown or a directory cannot be read. Faulty files are in the answer.
pub fn use_local_desc(
    repositories: &RepoSet,
    repository: &str,
    keep_comments_of: Option<&str>,
) -> Result<UseLocalDesc, MetadataError> {
    let mut text = match keep_comments_of {
        None => HEAD.to_owned(),
        Some(old) => {
            let comments = old.split_inclusive('\n').take_while(|l| l.starts_with('#'));
            let mut head: String = comments.collect();
            head.push('\n');
            head
        }
    };
    let mut faults = Vec::new();
    for (cp, directory) in super::packages::directories(repositories, repository)? {
        let path = directory.join("metadata.xml");
        let xml = match regular::open(&path).and_then(std::io::read_to_string) {
            Ok(xml) => xml,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound) => continue,
            Err(error) => {
                faults.push((path, MetadataXmlError::Read(error)));
                continue;
            }
        };
        let flags = match flags(&xml) {
            Ok(flags) => flags,
            Err(error) => {
                faults.push((path, error));
                continue;
            }
        };
        for (flag, descriptions) in flags {
            let description = match best(&flag, &descriptions) {
                Ok(description) => description,
                Err(error) => {
                    faults.push((path.clone(), error));
                    descriptions.values().next().map_or("", String::as_str)
                }
            };
            text.push_str(&format!("{cp}:{flag} - {description}\n"));
        }
    }
    Ok(UseLocalDesc { text, faults })
}

/// The descriptions of a flag by what they are restricted to, in the order of the file.
type Descriptions = IndexMap<Option<String>, String>;

/// The flags that a `metadata.xml` describes.
fn flags(xml: &str) -> Result<BTreeMap<String, Descriptions>, MetadataXmlError> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(xml, options)?;
    let mut lists: Vec<Node<'_, '_>> = elements(document.root_element(), "use").collect();
    // English first, and no language as good as English but behind it.
    lists.sort_by_key(|list| match list.attribute("lang") {
        Some("en") => 0,
        None | Some("") => 1,
        Some(_) => 2,
    });
    let mut flags: BTreeMap<String, Descriptions> = BTreeMap::new();
    for list in lists {
        for flag in elements(list, "flag") {
            let Some(name) = flag.attribute("name") else {
                continue;
            };
            let restrict = flag.attribute("restrict").map(str::to_owned);
            let descriptions = flags.entry(name.to_owned()).or_default();
            descriptions.entry(restrict).or_insert_with(|| {
                let words: Vec<String> = text(flag).split_whitespace().map(str::to_owned).collect();
                words.join(" ")
            });
        }
    }
    Ok(flags)
}

fn elements<'a, 'b>(parent: Node<'a, 'b>, name: &str) -> impl Iterator<Item = Node<'a, 'b>> {
    parent.children().filter(move |n| n.has_tag_name(name))
}

/// All text within an element, and what stands between it and the next one: Portage takes that
/// for the description too.
fn text(element: Node<'_, '_>) -> String {
    let inner = element.descendants().filter(Node::is_text);
    let behind = element
        .next_siblings()
        .skip(1)
        .take_while(|node| !node.is_element())
        .filter(Node::is_text);
    inner.chain(behind).filter_map(|node| node.text()).collect()
}

/// The description to take of several: the unrestricted one, else that of a name without
/// version, else that of the highest version.
fn best<'a>(flag: &str, descriptions: &'a Descriptions) -> Result<&'a str, MetadataXmlError> {
    let mut best: Option<(Option<Atom>, &str)> = None;
    if descriptions.len() == 1 {
        return Ok(descriptions.values().next().map_or("", String::as_str));
    }
    for (restrict, description) in descriptions {
        let atom = match restrict {
            None => None,
            Some(restrict) => Some(
                Atom::parse(restrict, crate::pms::eapi::Eapi::LATEST).map_err(|source| {
                    MetadataXmlError::Restrict {
                        flag: flag.to_owned(),
                        restrict: restrict.clone(),
                        source: Box::new(source),
                    }
                })?,
            ),
        };
        let better = match &best {
            None => true,
            Some((known, _)) => compare(atom.as_ref(), known.as_ref()) != Ordering::Less,
        };
        if better {
            best = Some((atom, description));
        }
    }
    Ok(best.map_or("", |(_, description)| description))
}

fn compare(a: Option<&Atom>, b: Option<&Atom>) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else {
        return b.is_some().cmp(&a.is_some());
    };
    let (Some(left), Some(right)) = (a.version(), b.version()) else {
        return b.version().is_some().cmp(&a.version().is_some());
    };
    let rank = |atom: &Atom| match atom.operator() {
        Some(Operator::Less) => 0,
        Some(Operator::LessOrEqual) => 1,
        Some(Operator::Equal) => 2,
        Some(Operator::GreaterOrEqual) => 3,
        Some(Operator::Greater) => 4,
        _ => -1,
    };
    left.cmp(right).then_with(|| rank(a).cmp(&rank(b)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::repo::RepoSettings;

    fn written(xml: &str, keep: Option<&str>) -> UseLocalDesc {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("profiles/repo_name", "x\n");
        put("profiles/categories", "a-a\n");
        put("metadata/layout.conf", "masters =\n");
        put("a-a/m/metadata.xml", xml);
        put("a-a/n/n-1.ebuild", "");
        let settings = RepoSettings {
            name: "x".to_owned(),
            location: directory.path().to_owned(),
            ..RepoSettings::default()
        };
        let set = RepoSet::new(&[settings], None).unwrap();
        use_local_desc(&set, "x", keep).unwrap()
    }

    fn lines(xml: &str) -> Vec<String> {
        let desc = written(&format!("<pkgmetadata>{xml}</pkgmetadata>"), None);
        assert!(desc.faults.is_empty(), "{:?}", desc.faults);
        let body = desc.text.strip_prefix(HEAD).unwrap();
        body.lines()
            .map(|line| line.strip_prefix("a-a/m:").unwrap().to_owned())
            .collect()
    }

    #[test]
    fn flags_are_sorted_and_their_text_joined() {
        let xml = "<use>\n<flag name=\"b\">Use <pkg>c/d</pkg>,\n\t<b>x<i>y</i></b> z<!-- no -->!\
                   </flag>\n<flag name=\"B\">&lt;1</flag>\n<flag>none</flag></use>\
                   <flag name=\"out\">x</flag>";
        assert_eq!(lines(xml), ["B - <1", "b - Use c/d, xy z!"]);
        assert_eq!(
            lines("<use><flag name=\"a\">x</flag> y <flag name=\"b\"/></use>"),
            ["a - x y", "b - "]
        );
        assert_eq!(lines("<use/>"), [""; 0]);
    }

    #[test]
    fn languages_and_versions_are_chosen() {
        let xml = "<use lang=\"de\"><flag name=\"a\">de</flag><flag name=\"c\">de</flag></use>\
                   <use><flag name=\"a\">none</flag></use>\
                   <use lang=\"en\"><flag name=\"a\">en</flag></use>";
        assert_eq!(lines(xml), ["a - en", "c - de"]);
        let flag = |restricts: &[&str]| {
            let flags: Vec<String> = restricts
                .iter()
                .map(|r| match *r {
                    "" => "<flag name=\"a\">all</flag>".to_owned(),
                    r => format!("<flag name=\"a\" restrict=\"{r}\">{r}</flag>"),
                })
                .collect();
            lines(&format!("<use>{}</use>", flags.concat())).remove(0)
        };
        assert_eq!(flag(&["&lt;a/m-2", "", "a/m"]), "a - all");
        assert_eq!(flag(&["a/m", "&gt;=a/m-2"]), "a - a/m");
        assert_eq!(flag(&["&gt;=a/m-10", "&lt;a/m-9"]), "a - >=a/m-10");
        assert_eq!(flag(&["&lt;a/m-2", "&gt;=a/m-2", "=a/m-2"]), "a - >=a/m-2");
    }

    #[test]
    fn faults_are_told() {
        let desc = written("<pkgmetadata>", None);
        assert_eq!((desc.text.as_str(), desc.faults.len()), (HEAD, 1));
        let xml = "<!DOCTYPE pkgmetadata SYSTEM \"https://x/m.dtd\"><pkgmetadata><use>\
                   <flag name=\"a\" restrict=\"&lt;x\">one</flag><flag name=\"a\">two</flag>\
                   </use></pkgmetadata>";
        let desc = written(xml, Some("# a\n#b\nold\n# c\n"));
        assert_eq!(desc.text, "# a\n#b\n\na-a/m:a - one\n");
        let (path, error) = &desc.faults[0];
        assert!(path.ends_with("a-a/m/metadata.xml"));
        assert_eq!(
            error.to_string(),
            "metadata.xml: flag a: restrict=\"<x\" is no atom"
        );
    }
}
