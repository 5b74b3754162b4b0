//! Printing specifications.

use std::fmt;

use super::{DepSpec, Node};

impl<T: fmt::Display> fmt::Display for DepSpec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(&self.nodes, f)
    }
}

impl<T: fmt::Display> fmt::Display for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Leaf(leaf) => leaf.fmt(f),
            Node::AllOf(children) => group("", children, f),
            Node::AnyOf(children) => group("|| ", children, f),
            Node::ExactlyOne(children) => group("^^ ", children, f),
            Node::AtMostOne(children) => group("?? ", children, f),
            Node::Use {
                flag,
                negated,
                children,
            } => {
                let mark = if *negated { "!" } else { "" };
                write!(f, "{mark}{flag}? ")?;
                group("", children, f)
            }
        }
    }
}

fn group<T: fmt::Display>(
    operator: &str,
    children: &[Node<T>],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{operator}( ")?;
    list(children, f)?;
    f.write_str(if children.is_empty() { ")" } else { " )" })
}

fn list<T: fmt::Display>(nodes: &[Node<T>], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            f.write_str(" ")?;
        }
        write!(f, "{node}")?;
    }
    Ok(())
}
