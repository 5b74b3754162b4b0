# What the cases check with.

# check ROW COMMAND…: the command must succeed.
check() {
	local row=$1
	shift
	"$@" || die "row ${row}: $*"
}

# check_not ROW COMMAND…: the command must fail.
check_not() {
	local row=$1
	shift
	! "$@" || die "row ${row}: not $*"
}

# equal ROW WANTED FOUND
equal() {
	[[ $2 == "$3" ]] || die "row $1: wanted '$2', found '$3'"
}
