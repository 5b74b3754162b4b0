//! The command lines of `ebd query` and `ebd search`.

use clap::Args;

use super::{Display, Places};
use crate::query::Attribute;

const QUERY_EXAMPLES: &str = "Examples:
  ebd query 'category:dev-util & iuse:test & !keyword:~amd64'
      Packages for which all of this holds.
  ebd query '>=dev-lang/python-3.12 & !slot:3.12'
      An atom is a query like any other.
  ebd query 'dev-libs/* & (license:MIT | license:BSD*)'
      * stands for anything.
  ebd query \"description~'text.*editor'\" --visible --best
      A regular expression; only what is not masked; of each package the best version.
  ebd query 'rdepend:dev-libs/openssl & version>=2' --format '{cpv} {slot} {keyword}'
      What depends on a package, with attributes.
  ebd query --json 'live and eclass:cmake' | jq -r .cpv
      The same for scripts: an object per line.

A query has attributes with `:` (is, or has the word), `~` (matches the regular
expression), `!=`, and for versions `<`, `<=`, `=`, `>=`, `>`; atoms; names of packages; and
`&`, `|`, `!` (or and, or, not) and parentheses between them. What stands side by side must
all hold. Values with blanks or signs in them are quoted.

Exit status: 0 something was found, 1 nothing, or some metadata is missing, 2 wrong usage.";

/// List the ebuilds that are as a query wants them.
#[derive(Debug, Args)]
#[command(after_help = QUERY_EXAMPLES, after_long_help = query_help())]
pub(in crate::cli) struct Query {
    /// The query; of several, all must hold [default: everything]
    #[arg(value_name = "QUERY")]
    pub(in crate::cli) queries: Vec<String>,

    /// Print this for each, with the names of attributes in braces, such as '{cpv} {slot}'
    #[arg(short, long, value_name = "TEXT", conflicts_with = "json")]
    pub(in crate::cli) format: Option<String>,

    /// Only what is not masked, as configured here
    #[arg(long)]
    pub(in crate::cli) visible: bool,

    /// Only the best version of each package among those found
    #[arg(short, long)]
    pub(in crate::cli) best: bool,

    /// Where things are.
    #[command(flatten)]
    pub(in crate::cli) places: Places,

    /// What is shown.
    #[command(flatten)]
    pub(in crate::cli) display: Display,
}

fn query_help() -> String {
    let mut text = format!("{QUERY_EXAMPLES}\n\nAttributes:");
    for attribute in Attribute::all() {
        text.push_str(&format!("\n  {:<13} {}", attribute.name, attribute.help));
    }
    text
}

const SEARCH_EXAMPLES: &str = "Examples:
  ebd search editor
      Packages with this in their names or descriptions, names first.
  ebd search json parser
      Both words.
  ebd search --regex '^lib.*ssl$'
      A regular expression.
  ebd search --json gtk+ | jq -r .package
      The same for scripts: an object per line.

Small and capital letters do not differ.

Exit status: 0 something was found, 1 nothing, or some metadata is missing, 2 wrong usage.";

/// Search names and descriptions of packages.
#[derive(Debug, Args)]
#[command(after_help = SEARCH_EXAMPLES)]
pub(in crate::cli) struct Search {
    /// What to look for; of several words, each must be found
    #[arg(required = true, value_name = "WORD|REGEX")]
    pub(in crate::cli) words: Vec<String>,

    /// The words are regular expressions
    #[arg(short = 'e', long)]
    pub(in crate::cli) regex: bool,

    /// Where things are.
    #[command(flatten)]
    pub(in crate::cli) places: Places,

    /// What is shown.
    #[command(flatten)]
    pub(in crate::cli) display: Display,
}
