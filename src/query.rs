//! Restrictions: boolean expressions over what is known of packages, and the index that answers them quickly.
//!
//! A [`Restriction`] is a test of one attribute, an atom, or several of them put together with and, or, not. An atom is
//! one among others, so that what a dependency asks and what a person asks are the same thing. Repositories are asked
//! through an [`Index`]: one file for each, in which all entries of the metadata cache stand, with what tells whether an
//! ebuild has changed since.

mod attribute;
mod error;
mod grammar;
mod index;
mod restriction;
mod search;
mod subject;
mod template;

pub use attribute::Attribute;
pub use error::QueryError;
pub use index::{Index, IndexError, Row, Unknown};
pub use restriction::Restriction;
pub use search::{Found, Pattern, search};
pub use subject::Subject;
pub use template::Template;
