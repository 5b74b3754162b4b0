//! Which sources a distfile has, in the order in which they are tried.
//!
//! The order is Portage's: directories of the user, the user's `local` mirrors, the mirrors of `GENTOO_MIRRORS`, the
//! mirrors that `mirror://` names, and the addresses in `SRC_URI` at last, the last one first. `RESTRICT` takes
//! some away or turns the order round (PMS: `SRC_URI`, `RESTRICT`).

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::path::PathBuf;

use crate::fetch::mirrors::Mirrors;
use crate::pms::src_uri::{SrcUri, UriRestriction};

/// What the evaluated `RESTRICT` says of fetching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restriction {
    /// `fetch`: the user has to get the files.
    pub fetch: bool,
    /// `mirror`, or `nomirror` as it was once written: no mirror carries the files.
    pub mirror: bool,
    /// `primaryuri`: the addresses in `SRC_URI` come first.
    pub primary_uri: bool,
}

impl Restriction {
    /// Picks what concerns fetching from the tokens of an evaluated `RESTRICT`.
    pub fn from_tokens(tokens: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut restriction = Self::default();
        for token in tokens {
            match token.as_ref() {
                "fetch" => restriction.fetch = true,
                "mirror" | "nomirror" => restriction.mirror = true,
                "primaryuri" => restriction.primary_uri = true,
                _ => {}
            }
        }
        restriction
    }
}

/// A place from which a distfile may come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// The full address of the file.
    Uri(String),
    /// The address of a mirror; the file lies below its `distfiles/`, where its `layout.conf` says.
    Mirror(String),
    /// A local directory of distfiles, which may have a `layout.conf`, too.
    Directory(PathBuf),
    /// A `mirror://` address that leads nowhere.
    UnknownMirror(String),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(address) | Self::Mirror(address) | Self::UnknownMirror(address) => {
                formatter.write_str(&without_password(address))
            }
            Self::Directory(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// The address with its password replaced, for messages.
pub fn without_password(address: &str) -> String {
    let hidden = || {
        let (scheme, rest) = address.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (user_info, host) = authority.rsplit_once('@')?;
        let (user, _) = user_info.split_once(':')?;
        Some(format!("{scheme}://{user}:*password*@{host}{path}"))
    };
    hidden().unwrap_or_else(|| address.to_owned())
}

/// The sources of one distfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The name of the distfile.
    pub file: String,
    /// The sources in the order in which they are tried, each once.
    pub sources: Vec<Source>,
    /// Those to go on with as soon as mirrors have delivered wrong content twice.
    pub primary: Vec<Source>,
    /// The user has to get the file when no mirror of his own has it.
    pub fetch_restricted: bool,
}

impl Plan {
    /// Takes up the sources that another package has for the same file.
    pub fn join(&mut self, other: Self) {
        for (mine, others) in [
            (&mut self.sources, other.sources),
            (&mut self.primary, other.primary),
        ] {
            for source in others {
                if !mine.contains(&source) {
                    mine.push(source);
                }
            }
        }
        self.fetch_restricted &= other.fetch_restricted;
    }

    /// Leaves out mirrors that carry everything, if the ebuild names any source: nothing tells yet whether what they
    /// have under that name is the file that is meant.
    pub fn from_its_author(&mut self) {
        if !self.primary.is_empty() {
            self.sources.clone_from(&self.primary);
        }
    }
}

/// In which order the mirrors of one name are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorOrder {
    /// As listed.
    Listed,
    /// Shuffled from this seed, so that the load spreads.
    Shuffled(u64),
}

impl MirrorOrder {
    /// Another order each time, as in Portage.
    pub fn random() -> Self {
        Self::Shuffled(RandomState::new().hash_one(0))
    }

    fn apply(self, list: &mut [Source]) {
        let Self::Shuffled(mut state) = self else {
            return;
        };
        for last in (1..list.len()).rev() {
            // SplitMix64: any generator is random enough here.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut value = state;
            value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            value ^= value >> 31;
            list.swap(last, (value % (last as u64 + 1)) as usize);
        }
    }
}

/// What is gathered for one file.
struct Gathered {
    file: String,
    directories: Vec<Source>,
    mirrors: Vec<Source>,
    third_party: Vec<Source>,
    uris: Vec<Source>,
    restricted: bool,
}

/// Makes the plans of all distfiles of a package, in the order in which `SRC_URI` names them first.
///
/// `force_mirror` is `FEATURES=force-mirror`: addresses in `SRC_URI` are not used, unless mirrors are restricted.
pub fn plan<'a>(
    uris: impl IntoIterator<Item = &'a SrcUri>,
    restriction: Restriction,
    mirrors: &Mirrors,
    force_mirror: bool,
    order: MirrorOrder,
) -> Vec<Plan> {
    let mut files: Vec<Gathered> = Vec::new();
    for item in uris {
        let position = files.iter().position(|known| known.file == item.filename());
        let index = position.unwrap_or(files.len());
        if position.is_none() {
            // The first address of a file decides whether it may come from mirrors.
            let mirrored = item.restriction == Some(UriRestriction::Mirror)
                || !(restriction.fetch || restriction.mirror);
            files.push(gather(
                item.filename(),
                mirrors,
                mirrored,
                restriction.fetch,
            ));
        }
        if let Some(gathered) = files.get_mut(index) {
            add_uri(gathered, item, restriction, mirrors, force_mirror, order);
        }
    }
    files
        .into_iter()
        .map(|gathered| finish(gathered, restriction.primary_uri))
        .collect()
}

/// Starts a file with the mirrors that carry everything.
fn gather(file: &str, mirrors: &Mirrors, mirrored: bool, fetch_restricted: bool) -> Gathered {
    let local = mirrors.custom.get("local").unwrap_or_default();
    let (local_directories, local_mirrors) = split_directories(local);
    let (directories, public_mirrors) = split_directories(&mirrors.gentoo);
    let mut gathered = Gathered {
        file: file.to_owned(),
        directories: [local_directories, directories].concat(),
        mirrors: local_mirrors,
        third_party: Vec::new(),
        uris: Vec::new(),
        restricted: fetch_restricted,
    };
    if mirrored {
        gathered.mirrors.extend(public_mirrors);
    }
    gathered
}

fn split_directories(words: &[String]) -> (Vec<Source>, Vec<Source>) {
    let mut directories = Vec::new();
    let mut mirrors = Vec::new();
    for word in words {
        if word.starts_with('/') {
            directories.push(Source::Directory(PathBuf::from(word)));
        } else {
            mirrors.push(Source::Mirror(word.trim_end_matches('/').to_owned()));
        }
    }
    (directories, mirrors)
}

fn add_uri(
    gathered: &mut Gathered,
    item: &SrcUri,
    restriction: Restriction,
    mirrors: &Mirrors,
    force_mirror: bool,
    order: MirrorOrder,
) {
    if item.restriction.is_some() {
        gathered.restricted = false;
    }
    if let Some(rest) = item.uri.strip_prefix("mirror://") {
        let found = rest.split_once('/').and_then(|(name, path)| {
            let join =
                |address: &String| Source::Uri(format!("{}/{path}", address.trim_end_matches('/')));
            let custom = mirrors.custom.get(name);
            let third_party = mirrors.third_party.get(name);
            if custom.is_none() && third_party.is_none() {
                return None;
            }
            let custom: Vec<Source> = custom.unwrap_or_default().iter().map(join).collect();
            let mut shuffled: Vec<Source> =
                third_party.unwrap_or_default().iter().map(join).collect();
            order.apply(&mut shuffled);
            Some((custom, shuffled))
        });
        match found {
            Some((custom, third_party)) => {
                gathered.mirrors.extend(custom);
                gathered.mirrors.extend_from_slice(&third_party);
                gathered.third_party.extend(third_party);
            }
            None => gathered
                .mirrors
                .push(Source::UnknownMirror(item.uri.clone())),
        }
    } else if !item.is_plain() {
        let forbidden = restriction.fetch && item.restriction.is_none();
        let forced = force_mirror && !restriction.mirror;
        if !forbidden && !forced {
            gathered.uris.push(Source::Uri(item.uri.clone()));
        }
    }
}

fn finish(gathered: Gathered, primary_first: bool) -> Plan {
    let mut primary = gathered.uris;
    primary.reverse();
    primary.extend(gathered.third_party);
    let mut sources = gathered.directories;
    if primary_first {
        sources.extend_from_slice(&primary);
        sources.extend(gathered.mirrors);
    } else {
        sources.extend(gathered.mirrors);
        sources.extend_from_slice(&primary);
    }
    let mut seen = HashSet::new();
    sources.retain(|source| seen.insert(source.clone()));
    Plan {
        file: gathered.file,
        sources,
        primary,
        fetch_restricted: gathered.restricted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use crate::fetch::mirrors::MirrorMap;
    use crate::pms::eapi::Eapi;

    fn mirrors() -> Mirrors {
        Mirrors {
            custom: MirrorMap::parse("local /srv/local http://lan/\ngnu http://own/gnu/\n"),
            third_party: MirrorMap::parse("gnu http://g1/ http://g2\ncpan http://c\n"),
            gentoo: vec!["http://gentoo/".to_owned(), "/srv/gentoo".to_owned()],
        }
    }

    fn uri(text: &str) -> SrcUri {
        SrcUri::parse(text, Eapi::LATEST).unwrap()
    }

    fn plans(restrict: &str, uris: &[&str]) -> Vec<Plan> {
        plan(
            &uris.iter().map(|text| uri(text)).collect::<Vec<_>>(),
            Restriction::from_tokens(restrict.split(' ')),
            &mirrors(),
            false,
            MirrorOrder::Listed,
        )
    }

    fn order(restrict: &str, uris: &[&str]) -> String {
        let plans = plans(restrict, uris);
        assert_eq!(plans.len(), 1);
        let sources: Vec<String> = plans[0].sources.iter().map(Source::to_string).collect();
        sources.join(" ")
    }

    const URIS: [&str; 3] = ["https://one/a", "https://two/a", "mirror://gnu/x/a"];

    #[test]
    fn mirrors_come_first() {
        let _rows = rows(&[204]);
        assert_eq!(
            order("", &URIS),
            "/srv/local /srv/gentoo http://lan http://gentoo \
             http://own/gnu/x/a http://g1/x/a http://g2/x/a https://two/a https://one/a"
        );
    }

    #[test]
    fn primaryuri_turns_the_order() {
        assert_eq!(
            order("test primaryuri", &URIS),
            "/srv/local /srv/gentoo https://two/a https://one/a http://g1/x/a http://g2/x/a \
             http://lan http://gentoo http://own/gnu/x/a"
        );
    }

    #[test]
    fn mirror_restriction_leaves_the_users_own() {
        let _rows = rows(&[203]);
        for restrict in ["mirror", "nomirror"] {
            assert_eq!(
                order(restrict, &["https://one/a"]),
                "/srv/local /srv/gentoo http://lan https://one/a"
            );
        }
        assert_eq!(
            order("mirror", &["mirror+https://one/a"]),
            "/srv/local /srv/gentoo http://lan http://gentoo https://one/a"
        );
        assert_eq!(
            order("mirror", &["fetch+https://one/a"]),
            "/srv/local /srv/gentoo http://lan https://one/a"
        );
    }

    #[test]
    fn fetch_restriction_and_what_lifts_it() {
        let _rows = rows(&[203]);
        let own = "/srv/local /srv/gentoo http://lan";
        assert_eq!(order("fetch", &["https://one/a"]), own);
        assert_eq!(order("fetch", &["a"]), own);
        assert!(plans("fetch", &["https://one/a"])[0].fetch_restricted);
        assert_eq!(
            order("fetch", &["https://one/a", "fetch+https://two/a"]),
            format!("{own} https://two/a")
        );
        assert!(!plans("fetch", &["https://one/a", "fetch+https://two/a"])[0].fetch_restricted);
        assert_eq!(
            order("fetch", &["mirror+https://one/a"]),
            format!("{own} http://gentoo https://one/a")
        );
        // The mirrors an ebuild names itself are no breach of the restriction.
        assert_eq!(
            order("fetch", &["mirror://cpan/a"]),
            format!("{own} http://c/a")
        );
        assert!(!plans("", &["https://one/a"])[0].fetch_restricted);
    }

    #[test]
    fn files_keep_their_order_and_names() {
        let _rows = rows(&[43, 202]);
        let mut items = [
            uri("https://one/b"),
            uri("https://one/a"),
            uri("https://two/b"),
        ];
        items[1].rename = Some("renamed".to_owned());
        let plans = plan(
            &items,
            Restriction::default(),
            &Mirrors::default(),
            false,
            MirrorOrder::random(),
        );
        let names: Vec<&str> = plans.iter().map(|plan| plan.file.as_str()).collect();
        assert_eq!(names, ["b", "renamed"]);
        assert_eq!(
            plans[0].sources,
            [
                Source::Uri("https://two/b".to_owned()),
                Source::Uri("https://one/b".to_owned())
            ]
        );
    }

    #[test]
    fn one_file_of_two_packages() {
        let mut plan = plans("", &["https://one/a"]).remove(0);
        let other = plans("", &["https://two/a", "https://one/a"]).remove(0);
        plan.join(other);
        let last: Vec<String> = plan
            .sources
            .iter()
            .rev()
            .take(2)
            .map(Source::to_string)
            .collect();
        assert_eq!(last, ["https://two/a", "https://one/a"]);
        plan.from_its_author();
        let sources: Vec<String> = plan.sources.iter().map(Source::to_string).collect();
        assert_eq!(sources, ["https://one/a", "https://two/a"]);
        let mut mirrored = plans("fetch", &["a"]).remove(0);
        mirrored.from_its_author();
        assert_eq!(mirrored.sources.len(), 3);
    }

    #[test]
    fn force_mirror_spares_upstream() {
        let force = |restrict: &str| {
            plan(
                &[uri("https://one/a")],
                Restriction::from_tokens([restrict]),
                &mirrors(),
                true,
                MirrorOrder::Listed,
            )[0]
            .sources
            .contains(&Source::Uri("https://one/a".to_owned()))
        };
        assert!(!force(""));
        assert!(force("mirror"));
    }

    #[test]
    fn unknown_mirrors_are_kept_to_be_named() {
        for address in ["mirror://nobody/a", "mirror://gnu"] {
            let plans = plans("", &[address]);
            assert!(
                plans[0]
                    .sources
                    .contains(&Source::UnknownMirror(address.to_owned()))
            );
        }
    }

    #[test]
    fn shuffling_loses_nothing() {
        let listed: Vec<Source> = (0..20)
            .map(|number| Source::Uri(number.to_string()))
            .collect();
        let mut shuffled = listed.clone();
        MirrorOrder::Shuffled(1).apply(&mut shuffled);
        assert_ne!(shuffled, listed);
        let set: HashSet<&Source> = shuffled.iter().collect();
        assert_eq!(set.len(), 20);
    }

    #[test]
    fn passwords_are_not_shown() {
        let hidden = without_password;
        assert_eq!(
            hidden("https://me:s@cret@host/a@b:c"),
            "https://me:*password*@host/a@b:c"
        );
        assert_eq!(hidden("https://me@host/a"), "https://me@host/a");
        assert_eq!(hidden("https://host:80/a:b@c"), "https://host:80/a:b@c");
        assert_eq!(hidden("plain"), "plain");
    }
}
