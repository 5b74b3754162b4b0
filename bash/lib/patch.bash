# shellcheck shell=bash
# Patch commands (PMS, patch commands).

# __ebd_patch INDENT FILE [OPTION…]
#
# Applies one patch. Its output is shown if it fails or if it had to guess.
__ebd_patch() {
	builtin local IFS=' ' indent="$1" file="$2" output program=patch status
	shift 2
	! builtin type -P gpatch >/dev/null || program=gpatch
	ebegin "${indent:-Applying }${file##*/}"
	output=$(
		LC_ALL='' LC_MESSAGES=C builtin command "${program}" -p1 -f -g0 --no-backup-if-mismatch "$@" \
			< "${file}" 2>&1
	)
	status=$?
	if (( status == 0 )); then
		if [[ ${output} == *[0-9]' with fuzz '[0-9]* ]]; then
			builtin printf '%s\n' "${output}" >&2
		fi
		eend 0
		return 0
	fi
	builtin printf '%s\n' "${output}" >&2
	eend "${status}"
	__ebd_helper_fail "eapply: ${file}: ${program}${*:+ $*} failed with status ${status}"
	return "${status}"
}

# eapply [OPTION…] [--] FILE…
eapply() {
	builtin local IFS=' ' argument file indent found=
	builtin local -a options files entries
	options=()
	files=()

	__ebd_scope eapply src_unpack src_prepare src_configure src_compile
	if [[ ${__EBD_PHASE_FUNC} != src_prepare ]]; then
		# The specification knows it in src_prepare alone, yet overlays have built with it in these.
		__ebd_qa_notice "eapply called in ${__EBD_PHASE_FUNC} instead of src_prepare"
	fi

	if has -- "$@"; then
		while [[ $1 != -- ]]; do
			options+=( "$1" )
			shift
		done
		shift
		files=( "$@" )
	else
		for argument; do
			if [[ ${argument} != -* ]]; then
				files+=( "${argument}" )
			elif (( ${#files[@]} )); then
				die "eapply: option ${argument} follows a file; options come first"
			else
				options+=( "${argument}" )
			fi
		done
	fi
	(( ${#files[@]} )) || die "eapply: no patches were named"

	for file in "${files[@]}"; do
		if [[ ! -d ${file} ]]; then
			__ebd_patch '' "${file}" "${options[@]}" || return
			continue
		fi
		found=
		__ebd_glob entries "${file}/"
		for argument in "${entries[@]}"; do
			[[ ${argument%.diff} != "${argument}" || ${argument%.patch} != "${argument}" ]] || continue
			[[ -n ${found} ]] || einfo "Applying patches from ${file} ..."
			found=1
			__ebd_patch '  ' "${argument}" "${options[@]}" || return
		done
		[[ -n ${found} ]] || die "eapply: no *.patch or *.diff in directory ${file}"
	done
}

# eapply_user
#
# Applies the user's patches from ${PORTAGE_CONFIGROOT}/etc/portage/patches, once. Looked up under
# CATEGORY in PN, P and P with revision, each also with :SLOT; a file in a later one replaces the
# file of the same name in an earlier one, and an empty file takes it away. Applied in the order
# of the file names, whatever directory each is from.
#
# What was applied is told in build-info, as the package is another by it: `user_patch.digests` has the
# SHA-256 and the name of each, both ended by NUL, `USER_PATCHES` the SHA-256 of all these SHA-256.
#
# The mark is a file, so that a call in a subshell counts.
eapply_user() {
	builtin local LC_ALL=C IFS=' ' base directory file name rule i info digest total=''
	builtin local -a entries order digests
	builtin local -A patches
	order=()
	digests=()
	patches=()

	__ebd_scope eapply_user src_prepare
	[[ ! -e ${T}/.portage_user_patches_applied ]] || return 0
	builtin : > "${T}/.portage_user_patches_applied" \
		|| die "eapply_user: cannot write to ${T}"

	base=${PORTAGE_CONFIGROOT%/}/etc/portage/patches
	for directory in "${base}/${CATEGORY}"/{"${PN}","${P}","${P}-${PR}"}{,":${SLOT%%/*}"}; do
		[[ -e ${directory} || -L ${directory} ]] || continue
		if [[ ! -d ${directory} || ! -r ${directory} || ! -x ${directory} ]]; then
			__ebd_helper_fail "eapply_user: ${directory}: not a directory that can be read"
			return 1
		fi
		__ebd_glob entries "${directory}/"
		for file in "${entries[@]}"; do
			[[ ${file%.diff} != "${file}" || ${file%.patch} != "${file}" ]] || continue
			patches["${file##*/}"]=''
			[[ ! -s ${file} ]] || patches["${file##*/}"]=${file}
		done
	done

	for name in "${!patches[@]}"; do
		[[ -n ${patches["${name}"]} ]] || continue
		for (( i = ${#order[@]}; i > 0; i-- )); do
			[[ ${name} < ${order[i - 1]} ]] || break
			order[i]=${order[i - 1]}
		done
		order[i]=${name}
	done
	(( ${#order[@]} )) || return 0

	builtin printf -v rule '%*s' "$(( ${__EBD_COLUMNS:-80} - 3 ))" ''
	rule=${rule// /=}
	einfo "${__EBD_COLOR_INFO}${rule}${__EBD_COLOR_NORMAL}"
	einfo "Applying user patches from ${base} ..."
	for name in "${order[@]}"; do
		file=${patches["${name}"]}
		eapply -- "${file}" || return
		digest=$(builtin command sha256sum <"${file}") || die "eapply_user: sha256sum failed on ${file}"
		total+=${digest%% *}
		digests+=( "${digest%% *}" "${name}" )
	done
	info=${PORTAGE_BUILDDIR}/build-info
	digest=$(builtin printf '%s' "${total}" | builtin command sha256sum) || die "eapply_user: sha256sum failed"
	{
		builtin printf '%s\0' "${digests[@]}" >| "${info}/user_patch.digests" &&
			builtin printf '%s\n' "${digest%% *}" >| "${info}/USER_PATCHES"
	} || die "eapply_user: cannot write to ${info}"
	einfo "User patches applied."
	einfo "${__EBD_COLOR_INFO}${rule}${__EBD_COLOR_NORMAL}"
}
