//! The supervised bash processors.
