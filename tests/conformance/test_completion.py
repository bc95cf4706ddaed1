"""Completion in the shells themselves: bash, zsh and fish each load their script and complete lines.

Goal: what the shell offers is what `davit __complete` says: commands, flags' values, a daemon's names.
"""

import os
import subprocess
import tempfile

from harness import DAVIT, case, equal, main

BASH = r"""
source <(davit completion bash)
compopt() { :; }
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE}
    _davit
    (IFS='|'; echo "${COMPREPLY[*]}")
done
"""

FISH = r"""
davit completion fish | source
while read --line line
    string join -- '|' (complete -C "$line" | string replace -r -- '\t.*' '')
end
"""

# The line editor works on a terminal only: what Tab makes of a line is read back from one.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "autoload -Uz compinit; compinit -D; source <(davit completion zsh); bindkey '^I' complete-word"
zpty -w shell "took() { print -r -- \"<\"\"<\$BUFFER>>\"; BUFFER=; }; zle -N took; bindkey '^X' took; echo set''up"
zpty -r shell out '*setup*'
while IFS= read -r line; do
    zpty -w -n shell "$line"$'\t\x18'
    zpty -r shell out $'*<<*>>*'
    print -r -- "${${out##*<<}%%>>*}"
done
"""


def completed(engine, shell, script, lines):
    """Each line's answer of the shell."""
    with tempfile.TemporaryDirectory() as directory:
        os.symlink(DAVIT, os.path.join(directory, "davit"))
        environment = {**os.environ, "PATH": directory + ":" + os.environ["PATH"], "DOCKER_HOST": "unix://" + engine.socket,
                       "HOME": directory, "XDG_CONFIG_HOME": directory, "TERM": "dumb"}
        done = subprocess.run([*shell, script], input="\n".join(lines) + "\n", env=environment, text=True,
                              capture_output=True, timeout=60)
    equal(done.returncode, 0, f"{shell[0]}: {done.stderr}")
    return done.stdout.splitlines()


def create(engine):
    for name in ("first", "second"):
        engine.docker("create", "--name", name, "--network", "none", "bb", "true")


@case()
def bash(engine):
    create(engine)
    equal(completed(engine, ["bash", "--norc", "-c"], BASH,
                    ["davit ren", "davit run --log-driver j", "davit run --restart=un", "davit rm "]),
          ["rename", "journald|json-file", "unless-stopped", "first|second"], "bash")


@case()
def fish(engine):
    create(engine)
    equal(completed(engine, ["fish", "--no-config", "-c"], FISH,
                    ["davit ren", "davit run --log-driver j", "davit run --restart=un", "davit rm "]),
          ["rename", "journald|json-file", "--restart=unless-stopped", "first|second"], "fish")


@case()
def zsh(engine):
    create(engine)
    equal(completed(engine, ["zsh", "-f", "-c"], ZSH,
                    ["davit ren", "davit run --log-driver jo", "davit run --restart=un", "davit rm sec"]),
          ["davit rename ", "davit run --log-driver journald ", "davit run --restart=unless-stopped ",
           "davit rm second "], "zsh")


if __name__ == "__main__":
    main()
