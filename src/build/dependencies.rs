//! What a build needs: whether it is there, and which of the packages of one call come first.

use super::candidate::{Candidate, CandidateError};
use super::host::{Host, Place};
use crate::pms::atom::{Atom, Blocker, PackageFacts};
use crate::pms::dependency::{DepSpec, Node};
use crate::repo::installed::InstalledError;

/// Why dependencies could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DependenciesError {
    /// A dependency is not valid.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// The database of installed packages cannot be read.
    #[error(transparent)]
    Installed(#[from] InstalledError),
}

/// A dependency that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The variable it stands in.
    pub key: &'static str,
    /// The atom or group.
    pub dependency: String,
    /// Where it would have to be.
    pub place: Place,
}

/// The dependencies of a build that are not met by what is installed.
///
/// # Errors
/// A [`DependenciesError`].
pub fn missing(candidate: &Candidate, host: &Host) -> Result<Vec<Missing>, DependenciesError> {
    let mut all = Vec::new();
    // Before there was BDEPEND, DEPEND was for programs (PMS 8.1).
    let for_sysroot = if candidate.eapi.bdepend() {
        Place::Sysroot
    } else {
        Place::Running
    };
    for (key, place) in [("DEPEND", for_sysroot), ("BDEPEND", Place::Running)] {
        let spec = candidate.evaluated(key, DepSpec::parse_dependencies)?;
        for node in &spec.nodes {
            if !met(node, place, host)? {
                all.push(Missing {
                    key,
                    dependency: shown(node),
                    place,
                });
            }
        }
    }
    Ok(all)
}

/// A node as text.
fn shown(node: &Node<Atom>) -> String {
    let children = |mark: &str, nodes: &[Node<Atom>]| {
        let inner: Vec<String> = nodes.iter().map(shown).collect();
        format!("{mark}( {} )", inner.join(" "))
    };
    match node {
        Node::Leaf(atom) => atom.to_string(),
        Node::AllOf(nodes) => children("", nodes),
        Node::AnyOf(nodes) => children("|| ", nodes),
        Node::ExactlyOne(nodes) => children("^^ ", nodes),
        Node::AtMostOne(nodes) => children("?? ", nodes),
        Node::Use {
            flag,
            negated,
            children: nodes,
        } => {
            let mark = if *negated { "!" } else { "" };
            children(&format!("{mark}{flag}? "), nodes)
        }
    }
}

/// Whether what is installed there meets a node whose conditionals are resolved.
fn met(node: &Node<Atom>, place: Place, host: &Host) -> Result<bool, InstalledError> {
    let count = |nodes: &[Node<Atom>]| -> Result<usize, InstalledError> {
        let mut count = 0;
        for node in nodes {
            count += usize::from(met(node, place, host)?);
        }
        Ok(count)
    };
    Ok(match node {
        Node::Leaf(atom) => match atom.blocker() {
            None => host.has(place, atom)?,
            // A weak block concerns installing, not building (PMS 8.3.2).
            Some(Blocker::Weak) => true,
            Some(Blocker::Strong) => !host.has(place, &atom.without_blocker())?,
        },
        Node::AllOf(nodes) => count(nodes)? == nodes.len(),
        Node::AnyOf(nodes) => nodes.is_empty() || count(nodes)? > 0,
        Node::ExactlyOne(nodes) => count(nodes)? == 1,
        Node::AtMostOne(nodes) => count(nodes)? <= 1,
        Node::Use { children, .. } => count(children)? == children.len(),
    })
}

/// For each candidate, which of the others its dependencies name: those are to be built first.
///
/// # Errors
/// A dependency is not valid.
pub fn order(candidates: &[Candidate]) -> Result<Vec<Vec<usize>>, CandidateError> {
    let mut needs = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let mut atoms = Vec::new();
        for key in candidate.eapi.dependency_variables() {
            // PDEPEND may come later (PMS 8.1).
            if *key != "PDEPEND" {
                let spec = candidate.evaluated(key, DepSpec::parse_dependencies)?;
                atoms.extend(spec.leaves().filter(|a| a.blocker().is_none()).cloned());
            }
        }
        needs.push(
            (0..candidates.len())
                .filter(|&other| other != at)
                .filter(|&other| {
                    candidates
                        .get(other)
                        .is_some_and(|c| atoms.iter().any(|atom| atom.names(c.cpv())))
                })
                .collect(),
        );
    }
    Ok(needs)
}

/// The order in which to build so that what is needed comes first, otherwise as given. Packages
/// that need one another come in the order given; the second part of the result names them.
#[must_use]
pub fn sequence(needs: &[Vec<usize>]) -> (Vec<usize>, Vec<usize>) {
    let mut done = Vec::new();
    let mut circular = Vec::new();
    while done.len() < needs.len() {
        let next = (0..needs.len()).filter(|at| !done.contains(at)).find(|at| {
            needs
                .get(*at)
                .is_some_and(|all| all.iter().all(|need| done.contains(need)))
        });
        match next {
            Some(at) => done.push(at),
            None => {
                // Nobody can go first: the first that is left does.
                let Some(at) = (0..needs.len()).find(|at| !done.contains(at)) else {
                    break;
                };
                circular.push(at);
                done.push(at);
            }
        }
    }
    (done, circular)
}

#[cfg(test)]
mod tests {
    use super::sequence;

    #[test]
    fn what_is_needed_comes_first() {
        assert_eq!(
            sequence(&[vec![1], vec![2], vec![]]),
            (vec![2, 1, 0], vec![])
        );
        assert_eq!(
            sequence(&[vec![], vec![], vec![0]]),
            (vec![0, 1, 2], vec![])
        );
        assert_eq!(sequence(&[vec![1], vec![0]]), (vec![0, 1], vec![0]));
    }
}
