EAPI=8

DESCRIPTION="A greeting, to see a package being built"
HOMEPAGE="https://example.org/"
S=${WORKDIR}

LICENSE="MIT"
SLOT="0"
KEYWORDS="~amd64 ~arm64 ~riscv"
IUSE="+polite"

src_prepare() {
	default
	cp "${FILESDIR}"/hello-ebd "${FILESDIR}"/hello-ebd.1 "${FILESDIR}"/README . || die
}

src_configure() {
	local greeting
	greeting=$(usex polite "How do you do, world?" "Hello, world")
	sed -i -e "s/@GREETING@/${greeting}/" hello-ebd || die
}

src_test() {
	[[ $(bash ./hello-ebd) == *world* ]] || die "the greeting does not greet"
}

src_install() {
	dobin hello-ebd
	doman hello-ebd.1
	einstalldocs
}
