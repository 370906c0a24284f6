# completes.zsh FOLDER LINE: prints what zsh completes at the end of LINE, one
# word a line, with the function _kedge of FOLDER. Completion wants a terminal,
# so that a shell on a pseudo-terminal is asked.
zmodload zsh/zpty
zpty asked zsh -f -i
# What the shell echoes of these lines comes before the first mark.
zpty -w asked "source ${(q)0:A:h}/completes-setup.zsh ${(q)1}"
zpty -r asked _ $'*the shell is ready\r\n' || exit 1
zpty -n -w asked "$2"$'\t'
zpty -r asked answer $'*completed\r\n' || exit 1
zpty -d asked
answer=${answer#*$'completes\r\n'}
print -rn -- "${${answer%completed*}//$'\r'/}"
