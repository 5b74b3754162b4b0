# shellcheck shell=bash
# What a processor does once, to be able to source ebuilds of one EAPI for their metadata: all that
# its forks would do alike.
#
# Evaluated at top level, behind the assignment of __EBD_BUILD and the EAPI's facts.

# Here-documents, which are files under older compatibility levels, can be nowhere else.
TMPDIR=${__EBD_BUILD}
# shellcheck disable=SC2123 # that nothing is found is the point
PATH=/dev/null
command_not_found_handle() {
	die "$1: external commands may not be run in global scope"
}
BASH_COMPAT=${__EBD_EAPI[bash_version]}
__ebd_select_eapi
__ebd_before_source

# __ebd_write_metadata: the metadata keys, as NUL-terminated KEY=VALUE, with the functions that were
# entered (a question mark if the ebuild has lost them) and the versions that were compared, to be
# known to later forks too.
__EBD_WORDS=
for __EBD_WORD in ${__EBD_EAPI[metadata_variables]} INHERIT __EBD_NEW_VERSIONS; do
	__EBD_WORDS+=" ${__EBD_WORD} \"\${${__EBD_WORD}}\""
done
# shellcheck disable=SC2016 # evaluated below
__EBD_WORDS+=' __EBD_ENTERED "${__EBD_ENTERED-?}"'
__EBD_ENTERED=
eval "__ebd_write_metadata() { builtin printf '%s=%s\\0' ${__EBD_WORDS} >|\"\${__EBD_BUILD}/metadata\"; }"
unset -v __EBD_WORD __EBD_WORDS
