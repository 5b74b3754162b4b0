//! Confinement and process supervision for `ebd`: the only place for system-call work.
