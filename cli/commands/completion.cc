// davit completion
#include "cli/commands/commands.h"

namespace davit::cli {

namespace {

struct CompletionOptions {};

/// Readline completes only what follows the last ':' or '=' of a word.
constexpr std::string_view bash_script =
    R"sh(# bash completion for davit; use:  source <(davit completion bash)
_davit() {
    local before="${COMP_LINE:0:COMP_POINT}" strip="" word sign
    local -a words
    read -ra words <<<"$before"
    [[ "$before" != *[[:space:]] ]] || words+=("")
    word="${words[${#words[@]} - 1]}"
    for sign in : =; do
        if [[ "$COMP_WORDBREAKS" == *"$sign"* && "${word#"$strip"}" == *"$sign"* ]]; then
            strip="${word%"${word##*"$sign"}"}"
        fi
    done
    COMPREPLY=()
    while IFS= read -r word; do
        if [[ "$word" == ":files" ]]; then
            compopt -o default
        else
            word="${word%%$'\t'*}"
            COMPREPLY+=("${word#"$strip"}")
        fi
    done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
    [[ "${COMPREPLY[*]}" != *[:=] ]] || compopt -o nospace
}
complete -F _davit davit
)sh";

constexpr std::string_view zsh_script = R"sh(#compdef davit
# zsh completion for davit; use:  source <(davit completion zsh)
_davit() {
    local -a candidates
    local line files=""
    for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ "$line" == ":files" ]]; then
            files=1
        elif [[ -n "$line" ]]; then
            candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        fi
    done
    (( ${#candidates} )) && _describe davit candidates
    [[ -z "$files" ]] || _files
}
(( $+functions[compdef] )) && compdef _davit davit
)sh";

constexpr std::string_view fish_script =
    R"sh(# fish completion for davit; use:  davit completion fish | source
function __davit_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    for line in (davit __complete $words "$current" 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c davit -f -a '(__davit_complete)'
)sh";

struct Shell {
    std::string_view name;
    std::string_view script;
};

constexpr Shell shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

Task<int> completion(Context& context, CompletionOptions, Arguments arguments) {
    for (const Shell& shell : shells) {
        if (shell.name == arguments[0]) {
            context.out.write(shell.script);
            co_return 0;
        }
    }
    co_return Error(ErrorKind::invalid_argument,
                    "no completion for \"" + arguments[0] + "\": use bash, zsh or fish");
}

}  // namespace

constexpr Command completion_command{
    .name = "completion",
    .usage = "bash|zsh|fish",
    .summary = "Print the shell's script that completes davit's command lines",
    .count = {.min = 1, .max = 1},
    .body = command_body<CompletionOptions, completion>,
};

}  // namespace davit::cli
