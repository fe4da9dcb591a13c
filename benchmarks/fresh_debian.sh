#!/bin/sh
# The two commands of the README, pasted as they stand, in a Debian 12 that has nothing but Python with pip and venv, a C
# compiler and CA certificates; as an ordinary user. Prints time and disk. Needs root, debootstrap and about 4 GB.
#
#   benchmarks/fresh_debian.sh FOLDER              the commands of the README
#   benchmarks/fresh_debian.sh FOLDER './agd setup' ...   these commands instead
#
# FOLDER keeps the system for the next time; the user's home is made anew each time. What pip is configured to use here
# (find-links folders, constraints, certificates) is there, too, since packages come from where they come from here.
set -eu

system=$1
shift
source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
project=home/stranger/agentic-diffusion

if [ ! -e "$system/debian-is-ready" ]; then
    debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,gcc,libc6-dev,ca-certificates,git \
        bookworm "$system"
    chroot "$system" useradd --create-home stranger
    touch "$system/debian-is-ready"
fi
system=$(CDPATH='' cd -- "$system" && pwd -P)

unmount() {
    # Deepest first; only what lies in our own folder.
    awk -v root="$system/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r | while read -r place; do
        umount "$place"
    done
}
trap unmount EXIT
trap 'exit 130' INT TERM

mkdir -p "$system/proc" "$system/dev"
mount -t proc proc "$system/proc"
mount --rbind /dev "$system/dev"
mount --make-rslave "$system/dev"
cp /etc/resolv.conf /etc/hosts "$system/etc/"

# pip's configuration: its values as PIP_ variables, the files and folders that they name at the same paths.
settings=$(python3 - <<'PYTHON'
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
for folder in $(value PIP_FIND_LINKS); do
    mkdir -p "$system$folder"
    mount --bind "$folder" "$system$folder"
    mount -o remount,bind,ro "$system$folder"
done
for file in $(value PIP_CONSTRAINT) $(value PIP_CERT); do
    mkdir -p "$system$(dirname "$file")"
    cp "$file" "$system$file"
done

rm -rf "${system:?}/home/stranger"
mkdir -p "$system/home/stranger"
git clone --quiet --no-hardlinks "$source" "$system/$project"
chroot "$system" chown -R stranger: /home/stranger

if [ $# -eq 0 ]; then
    # Lines of the README that start with ./agd; a line that ends in a backslash goes on.
    commands=$(sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$source/README.md" | grep '^ *\./agd ' | head -n 2)
else
    commands=$(printf '%s\n' "$@")
fi

inside() {
    env -i HOME=/home/stranger USER=stranger LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin \
        $(printf '%s\n' "$settings" | grep '=.' | grep -v ' ') \
        chroot --userspec=stranger:stranger "$system" /bin/sh -c "cd /$project && $1"
}

status=0
printf '%s\n' "$commands" | {
    while IFS= read -r command; do
        printf '$ %s\n' "$command"
        begin=$(date +%s.%N)
        result=0
        inside "$command" </dev/null || result=$?
        end=$(date +%s.%N)
        awk -v a="$begin" -v b="$end" -v r="$result" 'BEGIN { printf "-> exit code %d, %.1f s\n", r, b - a }'
        [ "$result" -eq 0 ] || status=$result
    done
    printf 'disk: '
    du -shc --apparent-size "$system/$project/.agd" "$system/home/stranger/.cache" "$system/home/stranger/.local" \
        2>/dev/null | awk '{ printf "%s %s; ", $1, $2 }'
    printf '\n'
    exit "$status"
}
