# Short names for the usual commands; each calls the launcher. `just` alone lists them.

set positional-arguments

_list:
    @just --list

# make everything ready, development tools included
setup:
    ./agd setup --dev

# run the tests; arguments go to pytest
test *arguments:
    ./agd dev test "$@"

# hold the docs against the code and the measured results
test-docs:
    ./agd dev test tests/docs

# write a function: just generate "Write a function ..." --test "assert ..."
generate *arguments:
    ./agd generate "$@"

# look at this machine
doctor:
    ./agd doctor

# the newest runs
runs:
    ./agd runs list

# remove what set-up made in this folder
uninstall:
    ./agd uninstall
