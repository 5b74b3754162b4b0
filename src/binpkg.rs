//! Binary packages: the xpak format, PKGDIR and its index.
