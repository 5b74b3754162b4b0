# shellcheck shell=bash
# einstalldocs (PMS, misc commands).

# __ebd_declared NAME
#
# True if there is such a variable, with a value or without.
__ebd_declared() {
	builtin declare -p "$1" &>/dev/null
}

# __ebd_default_docs
#
# Sets __EBD_DOCS to the documentation that is installed when an ebuild names none.
__ebd_default_docs() {
	builtin local file
	builtin local -a readmes
	__EBD_DOCS=()
	__ebd_glob readmes README
	for file in "${readmes[@]}" ChangeLog AUTHORS NEWS TODO CHANGES THANKS BUGS FAQ CREDITS \
		CHANGELOG
	do
		[[ ! -f ${file} || ! -s ${file} ]] || __EBD_DOCS+=( "${file}" )
	done
}

# __ebd_install_docs NAME
#
# Installs what the variable NAME lists: an array word by word, a scalar after splitting and
# globbing. An empty one of either kind, or an associative array, installs nothing.
__ebd_install_docs() {
	builtin local -
	builtin local IFS=$' \t\n'
	builtin local -n __ebd_docs_list="$1"
	builtin set +f
	if [[ ${__ebd_docs_list@a} == *a* ]]; then
		(( ! ${#__ebd_docs_list[@]} )) || dodoc -r "${__ebd_docs_list[@]}"
	elif [[ ${__ebd_docs_list@a} != *A* && -n ${__ebd_docs_list} ]]; then
		# shellcheck disable=SC2086,SC2128
		dodoc -r ${__ebd_docs_list}
	fi
}

# Does the work of einstalldocs, which restores the destination afterwards.
__ebd_einstalldocs() {
	builtin local file
	builtin local -a __EBD_DOCS
	builtin declare -gx __EBD_DOCDESTTREE=''
	if __ebd_declared DOCS; then
		__ebd_install_docs DOCS || return
	else
		__ebd_default_docs
		for file in "${__EBD_DOCS[@]}"; do
			dodoc "${file}" || return
		done
	fi
	__EBD_DOCDESTTREE=html
	__ebd_install_docs HTML_DOCS
}

einstalldocs() {
	builtin local directory="${__EBD_DOCDESTTREE}" status
	__ebd_scope einstalldocs src_install
	__ebd_einstalldocs
	status=$?
	__EBD_DOCDESTTREE=${directory}
	return "${status}"
}
