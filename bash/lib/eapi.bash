# shellcheck shell=bash
# Turns the library, which has the commands of all EAPIs, into that of one.

# __ebd_select_eapi
#
# Called once, in the fork that works for one ebuild, with __EBD_EAPI set and before anything of
# the ebuild is read. A command the EAPI does not have yet is removed, as eclasses look for it and
# bring their own; one the EAPI bans is replaced by one that aborts.
__ebd_select_eapi() {
	builtin local fact command
	builtin local -a absent
	absent=()
	while builtin read -r fact command; do
		[[ -n ${__EBD_EAPI[${fact}]} ]] || absent+=( "${command}" )
	done <<-'FACTS'
		usex usex
		in_iuse in_iuse
		get_libdir get_libdir
		einstalldocs einstalldocs
		eapply eapply
		eapply_user eapply_user
		ver_functions ver_cut
		ver_functions ver_rs
		ver_functions ver_test
		ver_replacing ver_replacing
		edo edo
		pipestatus pipestatus
		docompress docompress
		dostrip dostrip
		eqawarn eqawarn
	FACTS
	(( ! ${#absent[@]} )) || builtin unset -f "${absent[@]}"

	while builtin read -r fact command; do
		[[ -z ${__EBD_EAPI[${fact}]} ]] || __ebd_ban "${command}"
	done <<-'FACTS'
		banned_einstall einstall
		banned_libopts libopts
		banned_useq useq
		banned_hasv hasv
		banned_hasq hasq
		banned_assert assert
	FACTS
}

# __ebd_ban COMMAND
__ebd_ban() {
	builtin eval "$1() { die \"$1: banned in EAPI \${EAPI:-0}\"; }"
}
