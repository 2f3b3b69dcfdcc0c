/**
 * What bash needs to complete `offload`. It asks nothing of the bash-completion package, which small systems
 * lack. What is typed is not evaluated.
 */
export const BASH_COMPLETION = `# bash completion for offload
_offload_complete() {
    local line="\${COMP_LINE:0:COMP_POINT}" words=() offers=() offer cur kept
    read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=('')
    cur="\${words[-1]}"
    # The last line is a directive of the protocol, such as ":4".
    mapfile -t offers < <(offload complete -- "\${words[@]:1}" 2>/dev/null)
    # bash replaces what follows the last of its word breaks only.
    kept="\${cur%"\${cur##*[:=]}"}"
    COMPREPLY=()
    for offer in "\${offers[@]}"; do
        offer="\${offer%%$'\\t'*}"
        [[ -n "$offer" && "$offer" != :[0-9]* && "$offer" == "$cur"* ]] && COMPREPLY+=("\${offer#"$kept"}")
    done
}
complete -o default -F _offload_complete offload
`;
