# Makes a shell print its completions in place of offering them; see
# completes.zsh.
PROMPT= RPROMPT=
fpath=($1 $fpath)
autoload -U compinit
compinit -u -D
bindkey '^I' complete-word
unsetopt zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste
begin-answer() { print completes }
end-answer() { print completed; exit }
compprefuncs=(begin-answer)
comppostfuncs=(end-answer)
# In place of adding words, say them: -O fills an array with what would match.
compadd() {
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
		builtin compadd "$@"
		return
	fi
	local -a said
	builtin compadd -O said "$@"
	print -rl -- $said
	builtin compadd "$@"
}
print the shell is ready
