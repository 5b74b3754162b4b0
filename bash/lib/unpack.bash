# shellcheck shell=bash
# unpack (PMS, misc commands).

# __ebd_unpack_suffixes
#
# Fills __EBD_SUFFIXES with the file name suffixes of this EAPI, in lower case where the EAPI
# ignores case.
__ebd_unpack_suffixes() {
	builtin local -
	builtin local IFS=' ' suffix
	builtin set -f
	__EBD_SUFFIXES=()
	for suffix in ${__EBD_EAPI[unpack_extensions]}; do
		[[ -z ${__EBD_EAPI[unpack_ignores_case]} ]] || suffix=${suffix,,}
		__EBD_SUFFIXES[${suffix}]=1
	done
}

# __ebd_unpack_suffix NAME
#
# Sets __EBD_SUFFIX to the longest supported suffix of the file name, as written there, and
# __EBD_FORMAT to the same in lower case; false if there is none.
__ebd_unpack_suffix() {
	builtin local name="$1" last inner lookup
	last=${name##*.}
	[[ ${last} != "${name}" ]] || return 1
	inner=${name%.*}
	inner=${inner##*.}
	for __EBD_SUFFIX in "${inner}.${last}" "${last}"; do
		lookup=${__EBD_SUFFIX}
		[[ -z ${__EBD_EAPI[unpack_ignores_case]} ]] || lookup=${lookup,,}
		if [[ -n ${lookup} && -n ${__EBD_SUFFIXES[${lookup}]} ]]; then
			__EBD_FORMAT=${lookup,,}
			return 0
		fi
	done
	return 1
}

# __ebd_unpack_run ARCHIVE PROGRAM [ARGUMENT…]
#
# Runs one program; a missing one is named.
__ebd_unpack_run() {
	builtin local archive="$1"
	shift
	if ! builtin type -P "$1" >/dev/null; then
		die "unpack: ${archive}: program '$1' is needed to unpack it, and is not installed"
	fi
	builtin command "$@" || die "unpack: ${archive}: ${1##*/} failed with status $?"
}

# __ebd_unpack_single ARCHIVE FILE PROGRAM [ARGUMENT…]
#
# As __ebd_unpack_run, with the output in FILE.
__ebd_unpack_single() {
	builtin local archive="$1" file="$2"
	shift 2
	[[ -n ${file} ]] || die "unpack: ${archive}: nothing is left of the name without its suffix"
	__ebd_unpack_run "${archive}" "$@" > "${file}" || die "unpack: ${archive}: cannot write ${file}"
}

# __ebd_unpack_modes
#
# Gives everything below the working directory, but not that itself, a+r,u+w,go-w, and directories
# a+x. One walk that changes only what is not right already. A directory its owner cannot enter
# has to be mended before find goes on.
__ebd_unpack_modes() {
	builtin command find . -mindepth 1 '(' \
		-type l -o \
		-type d ! -perm -0500 -exec chmod a+rx,u+w,go-w -- '{}' ';' -o \
		-type d '(' ! -perm -0755 -o -perm /0022 ')' -exec chmod a+rx,u+w,go-w -- '{}' + -o \
		! -type d '(' ! -perm -0644 -o -perm /0022 ')' -exec chmod a+r,u+w,go-w -- '{}' + \
		')' || die "unpack: cannot set the permissions in ${PWD}"
}

# unpack ARCHIVE…
unpack() {
	builtin local -
	builtin local IFS=$' \t\n'
	builtin local archive path name stem bzip2=bzip2 tar=tar
	builtin local __EBD_SUFFIX __EBD_FORMAT __EBD_JOBS
	builtin local -A __EBD_SUFFIXES
	builtin local -x XZ_OPT="${XZ_OPT}"
	__ebd_scope unpack
	(( $# )) || die "unpack: nothing to unpack was named"
	__ebd_unpack_suffixes

	for name in "${PORTAGE_BUNZIP2_COMMAND}" "${PORTAGE_BZIP2_COMMAND}"; do
		# Only a plain program: tar takes it as one word.
		if [[ -n ${name} && ${name} != *[[:space:]\"\']* ]]; then
			bzip2=${name}
			break
		fi
	done
	! builtin type -P gtar >/dev/null || tar=gtar
	__ebd_makeopts_jobs
	XZ_OPT="-T${__EBD_JOBS:-0}"

	for archive; do
		if [[ ${archive} != */* ]]; then
			path=${DISTDIR%/}/${archive}
		elif [[ ${archive} == ./* ]]; then
			path=${archive}
		elif [[ -z ${__EBD_EAPI[unpack_any_path]} ]]; then
			die "unpack: ${archive}: EAPI ${EAPI:-0} wants a plain name or a path that starts with ./"
		else
			path=${archive}
			if [[ ${path} == "${DISTDIR%/}"/* ]]; then
				__ebd_qa_notice "unpack called with a redundant \${DISTDIR} in ${archive}"
			fi
		fi

		name=${archive##*/}
		if ! __ebd_unpack_suffix "${name}"; then
			__ebd_say "=== Skipping unpack of '${archive}'"
			continue
		fi
		[[ -f ${path} ]] || die "unpack: ${archive}: not a file: ${path}"
		[[ -s ${path} ]] || die "unpack: ${archive}: empty file: ${path}"
		# A leading hyphen must not become an option.
		[[ ${path} == */* ]] || path=./${path}
		stem=${name%".${__EBD_SUFFIX}"}
		__ebd_say ">>> Unpacking '${archive}' to ${PWD}"

		case ${__EBD_FORMAT} in
			tar.bz2|tar.bz|tbz2|tbz)
				__ebd_unpack_run "${archive}" "${tar}" -I "${bzip2} -c" -xof "${path}"
				;;
			tar.lzma)
				# That format has no mark at its beginning that tar could be sure of, as xz is.
				__ebd_unpack_run "${archive}" "${tar}" -I xz -xof "${path}"
				;;
			tar|tar.*|tgz|txz)
				# GNU tar knows the compression by the archive's first bytes.
				__ebd_unpack_run "${archive}" "${tar}" --warning=decompress-program -xof "${path}"
				;;
			gz|z)
				__ebd_unpack_single "${archive}" "${stem}" gzip -dc -- "${path}"
				;;
			bz2|bz)
				__ebd_unpack_single "${archive}" "${stem}" "${bzip2}" -dc -- "${path}"
				;;
			xz)
				__ebd_unpack_single "${archive}" "${stem}" xz -dc -- "${path}"
				;;
			lzma)
				__ebd_unpack_single "${archive}" "${stem}" xz -F lzma -dc -- "${path}"
				;;
			zip|jar)
				# Without a standard input it cannot stop to ask.
				__ebd_unpack_run "${archive}" unzip -qo "${path}" </dev/null
				;;
			7z)
				__ebd_unpack_quietly "${archive}" 7z x -y "${path}"
				;;
			rar)
				__ebd_unpack_run "${archive}" unrar x -idq -o+ "${path}"
				;;
			lha|lzh)
				__ebd_unpack_run "${archive}" lha xfq "${path}"
				;;
			deb)
				__ebd_unpack_deb "${archive}" "${path}"
				;;
			a)
				__ebd_unpack_run "${archive}" ar x "${path}"
				;;
		esac
	done

	__ebd_unpack_modes
}

# As __ebd_unpack_run for a program that talks too much: its output is shown when it fails.
__ebd_unpack_quietly() {
	builtin local archive="$1" output status
	shift
	if ! builtin type -P "$1" >/dev/null; then
		die "unpack: ${archive}: program '$1' is needed to unpack it, and is not installed"
	fi
	output=$(builtin command "$@" 2>&1)
	status=$?
	if (( status != 0 )); then
		builtin printf '%s\n' "${output}" >&2
		die "unpack: ${archive}: ${1##*/} failed with status ${status}"
	fi
}

# __ebd_unpack_deb ARCHIVE PATH
#
# GNU ar where there is one; deb2targz, which writes beside its input, where only another ar is.
__ebd_unpack_deb() {
	builtin local name="${2##*/}" version linked=
	builtin local -a found
	if builtin type -P deb2targz >/dev/null; then
		version=$(builtin command ar --version 2>/dev/null)
		if [[ ${version} != 'GNU ar'* ]]; then
			if [[ ! $2 -ef ${name} ]]; then
				builtin command ln -sf -- "$2" "${name}" || die "unpack: $1: cannot link it here"
				linked=1
			fi
			__ebd_unpack_run "$1" deb2targz "./${name}"
			[[ -z ${linked} ]] || builtin command rm -f -- "${name}"
			__ebd_glob found "${name%.*}.tar."
			(( ${#found[@]} == 1 )) || die "unpack: $1: deb2targz left no archive"
			builtin command mv -f -- "${found[0]}" "data.tar.${found[0]##*.}" \
				|| die "unpack: $1: cannot rename ${found[0]}"
			return 0
		fi
	fi
	__ebd_unpack_run "$1" ar x "$2"
}
