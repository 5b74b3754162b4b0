//! What the Package Manager Specification defines, as data and pure functions.
