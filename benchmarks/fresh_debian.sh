#!/bin/sh
# The two commands of the README, pasted as they stand, in a Debian 12 that has nothing but Python with pip and venv, a C
# compiler, git and CA certificates; as an ordinary user. Prints time and disk. Needs root, debootstrap and about 4 GB.
#
#   benchmarks/fresh_debian.sh FOLDER                    the commands of the README
#   benchmarks/fresh_debian.sh FOLDER './agd setup' ...  these commands instead
#
# FOLDER keeps the system for the next time; the user's home is made anew each time. What pip is configured to use here
# (find-links folders, constraints, certificates) is there, too, since packages come from where they come from here.
# Mounts are made in a mount namespace of their own and end with it; the root is changed by pivot_root, because the
# kernel forbids user namespaces (and so bubblewrap) inside a chroot.
set -eu

mkdir -p "$1"
system=$(CDPATH='' cd -- "$1" && pwd -P)
shift
source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
project=/home/stranger/agentic-diffusion

if [ ! -e "$system/debian-is-ready" ]; then
    debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,gcc,libc6-dev,ca-certificates,git \
        bookworm "$system"
    chroot "$system" useradd --create-home stranger
    touch "$system/debian-is-ready"
fi
cp /etc/resolv.conf /etc/hosts "$system/etc/"

# pip's configuration: its values as PIP_ variables, the files that they name at the same paths.
settings=$(
    cd "$source" && python3 - <<'PYTHON'
import sys
sys.path.insert(0, "src")
from agentic_diffusion.packages import pip_settings
found = pip_settings.read(sys.executable)
print("PIP_FIND_LINKS=" + " ".join(str(folder) for folder in found.folders()))
print("PIP_CONSTRAINT=" + " ".join(found.constraints))
print("PIP_CERT=" + found.cert)
print("PIP_INDEX_URL=" + found.index_url)
PYTHON
)
value() { printf '%s\n' "$settings" | sed -n "s/^$1=//p"; }
for file in $(value PIP_CONSTRAINT) $(value PIP_CERT); do
    mkdir -p "$system$(dirname "$file")"
    cp "$file" "$system$file"
done
for folder in $(value PIP_FIND_LINKS); do
    mkdir -p "$system$folder"
done
printf '%s\n' "$settings" | sed -n "s/^\([A-Z_]*\)=\(..*\)/export \1='\2'/p" >"$system/pip-settings.sh"

rm -rf "${system:?}/home/stranger"
mkdir -p "$system/home/stranger"
git clone --quiet --no-hardlinks "$source" "$system$project"
chroot "$system" chown -R stranger: /home/stranger

if [ $# -eq 0 ]; then
    # Lines of the README that start with ./agd; a line that ends in a backslash goes on.
    sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$source/README.md" | grep '^ *\./agd ' | head -n 2
else
    printf '%s\n' "$@"
fi >"$system/commands"
[ -s "$system/commands" ] || { echo "the README has no line that starts with ./agd" >&2; exit 2; }

cat >"$system/run-commands.sh" <<'INSIDE'
cd "$1"
. /pip-settings.sh
status=0
while IFS= read -r command <&3; do
    printf '$ %s\n' "$command"
    begin=$(date +%s.%N)
    result=0
    /bin/sh -c "$command" </dev/null || result=$?
    end=$(date +%s.%N)
    awk -v a="$begin" -v b="$end" -v r="$result" 'BEGIN { printf "-> exit code %d, %.1f s\n", r, b - a }'
    [ "$result" -eq 0 ] || status=$result
done 3</commands
echo "disk in MB:"
du -smc .agd ~/.cache ~/.local 2>/dev/null
exit "$status"
INSIDE

# shellcheck disable=SC2016 # the inner shell expands its own arguments
unshare --mount --pid --fork --kill-child /bin/sh -euc '
    system=$1 links=$2 project=$3
    mount --make-rprivate /
    mount --bind "$system" "$system"
    mount -t proc proc "$system/proc"
    mount --rbind /dev "$system/dev"
    mount --rbind /sys "$system/sys"
    for folder in $links; do
        mount --bind "$folder" "$system$folder"
        mount -o remount,bind,ro "$system$folder"
    done
    cd "$system"
    pivot_root . .
    umount -l .
    exec env -i HOME=/home/stranger USER=stranger LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin \
        /usr/bin/setpriv --reuid stranger --regid stranger --init-groups --inh-caps=-all \
        /bin/sh /run-commands.sh "$project"
' sh "$system" "$(value PIP_FIND_LINKS)" "$project"
