# shellcheck shell=bash disable=SC2034
# Commands that tell the installing helpers where and how (PMS, commands affecting install
# destinations, and commands controlling manipulation of files in the staging area).
#
# shellcheck disable=SC2034
#
# The helpers are programs, so the state lives in exported variables. The lists of docompress and
# dostrip are arrays, read by the package manager when src_install has ended.

# __ebd_install_init
#
# Sets everything to its default. Needs PF, and __EBD_RESTRICT, the evaluated RESTRICT.
__ebd_install_init() {
	builtin declare -gx __EBD_DESTTREE=/usr __EBD_INSDESTTREE='' __EBD_EXEDESTTREE='' \
		__EBD_DOCDESTTREE='' __EBD_INSOPTIONS=-m0644 __EBD_EXEOPTIONS=-m0755 \
		__EBD_DIROPTIONS=-m0755 __EBD_LIBOPTIONS=-m0644
	builtin declare -g __EBD_HAS_DESTTREE=''
	if __ebd_contains_word DESTTREE "${__EBD_EAPI[variables]}"; then
		__EBD_HAS_DESTTREE=1
		builtin declare -gx DESTTREE=/usr INSDESTTREE=''
	fi
	builtin declare -ga __EBD_DOCOMPRESS __EBD_DOCOMPRESS_SKIP __EBD_DOSTRIP __EBD_DOSTRIP_SKIP
	__EBD_DOCOMPRESS=( /usr/share/doc /usr/share/info /usr/share/man )
	__EBD_DOCOMPRESS_SKIP=( "/usr/share/doc/${PF}/html" )
	__EBD_DOSTRIP=()
	__EBD_DOSTRIP_SKIP=()
	__ebd_contains_word strip "${__EBD_RESTRICT}" || __EBD_DOSTRIP=( / )
}

# __ebd_set_tree COMMAND VARIABLE BELOW ARGUMENT…
#
# Sets one destination and creates its directory below BELOW in the image. `/` is kept as empty.
__ebd_set_tree() {
	builtin local command="$1" variable="$2" below="$3" tree __EBD_IMAGE
	shift 3
	__ebd_scope "${command}"
	(( $# == 1 )) || __ebd_qa_notice "${command} takes exactly one argument, not $#"
	tree=$1
	[[ ${tree} != / ]] || tree=
	builtin declare -gx "${variable}=${tree}"
	[[ -n ${tree} ]] || return 0
	__ebd_image_root
	if [[ ! -d ${__EBD_IMAGE}${below}/${tree#/} ]]; then
		builtin command install -d "${__EBD_IMAGE}${below}/${tree#/}" || {
			__ebd_helper_fail "${command}: cannot create ${__EBD_IMAGE}${below}/${tree#/}"
			return 1
		}
	fi
}

into() {
	__ebd_set_tree into __EBD_DESTTREE '' "$@" || return
	[[ -z ${__EBD_HAS_DESTTREE} ]] || builtin declare -gx DESTTREE="${__EBD_DESTTREE}"
}

insinto() {
	__ebd_set_tree insinto __EBD_INSDESTTREE '' "$@" || return
	[[ -z ${__EBD_HAS_DESTTREE} ]] \
		|| builtin declare -gx INSDESTTREE="${__EBD_INSDESTTREE}"
}

exeinto() {
	__ebd_set_tree exeinto __EBD_EXEDESTTREE '' "$@"
}

docinto() {
	__ebd_set_tree docinto __EBD_DOCDESTTREE "/usr/share/doc/${PF}" "$@"
}

# __ebd_set_options COMMAND VARIABLE OPTION…
#
# `install -s` would strip behind the package manager's back.
__ebd_set_options() {
	builtin local command="$1" variable="$2" IFS=' '
	shift 2
	__ebd_scope "${command}"
	if [[ ${command} != diropts ]] && has -s "$@"; then
		die "${command}: option -s is not allowed"
	fi
	builtin declare -gx "${variable}=$*"
}

insopts() {
	__ebd_set_options insopts __EBD_INSOPTIONS "$@"
}

diropts() {
	__ebd_set_options diropts __EBD_DIROPTIONS "$@"
}

exeopts() {
	__ebd_set_options exeopts __EBD_EXEOPTIONS "$@"
}

libopts() {
	__ebd_set_options libopts __EBD_LIBOPTIONS "$@"
}

# __ebd_add_paths ARRAY PATH…
#
# Adds absolute, slash-clean paths that are not in the array yet.
__ebd_add_paths() {
	builtin local -n __ebd_add_list="$1"
	builtin local path __EBD_PATH
	shift
	for path; do
		__ebd_squeeze_slashes "/${path}"
		[[ ${__EBD_PATH} == / ]] || __EBD_PATH=${__EBD_PATH%/}
		has "${__EBD_PATH}" "${__ebd_add_list[@]}" || __ebd_add_list+=( "${__EBD_PATH}" )
	done
}

# docompress [-x] PATH…
docompress() {
	__ebd_scope docompress src_install
	if [[ $1 == -x ]]; then
		shift
		__ebd_add_paths __EBD_DOCOMPRESS_SKIP "$@"
	else
		__ebd_add_paths __EBD_DOCOMPRESS "$@"
	fi
}

# dostrip [-x] PATH…
dostrip() {
	__ebd_scope dostrip src_install
	if [[ $1 == -x ]]; then
		shift
		__ebd_add_paths __EBD_DOSTRIP_SKIP "$@"
	else
		__ebd_add_paths __EBD_DOSTRIP "$@"
	fi
}
