#!/usr/bin/env bash
# Brings the modules that `measure modules` compiles into benches/modules, which git ignores: programs
# that others have written and published as npm packages. They are only compiled, never run.
#
# `npm pack` asks whatever registry the user has configured. Versions are fixed, and so is what is in
# the packages, by the SHA-256 of each module.
set -euo pipefail
cd "$(dirname "$0")"

# name, package, module in the package, its SHA-256
modules="
source-map source-map@0.8.0 lib/mappings.wasm 37cefcf2a41eb27127de929980441657b7443c3fecfe7adeb69b1eb2e45e2abe
tree-sitter web-tree-sitter@0.27.1 web-tree-sitter.wasm beca80e44cccbf2299ed4d1e3fa6462a9a6fe818aeebf847547a392227ce4acc
oniguruma vscode-oniguruma@2.0.1 release/onig.wasm 76ebc1f0d87b2e7449a45ff3cd1a1546a9f05f54bdac44ee03e8a2b8348897be
quickjs @jitl/quickjs-wasmfile-release-sync@0.32.0 dist/emscripten-module.wasm 105c3bed22d457e43e3d1c3c1c6959fda62a8fe06f0fc8a985303c3a2be72232
sqlite sql.js@1.16.0 dist/sql-wasm.wasm 43bbcdd44287e5a2db3b6b5af34b1a3485a7a441285d247976c1ebe3c61f8dbf
resvg @resvg/resvg-wasm@2.6.2 index_bg.wasm 22bf6e9f9a100d972da0411a69c5ba504367fc1fa87b3b64e3f35e53926d2d70
canvaskit canvaskit-wasm@0.42.0 bin/canvaskit.wasm 25ebed8e60158c5854f8dc807b936daca21354f8bfb6a2231266b0a93812f301
esbuild esbuild-wasm@0.28.2 esbuild.wasm b1831a5c0f6cf688034fb94d0419812f165ea316a3380d3fc00a151e562d2eaf
lightningcss lightningcss-wasm@1.33.0 lightningcss_node.wasm 479c64bb651164b6fd9a834055e65ab507d3e39f8d8a8b683b7e83787a69e7b1
"

for tool in npm tar sha256sum; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is missing" >&2
        exit 1
    fi
done
mkdir -p modules
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

while read -r name package path sum; do
    [ -n "$name" ] || continue
    target="modules/$name.wasm"
    if [ -f "$target" ] && echo "$sum  $target" | sha256sum --check --status; then
        echo "$name: there"
        continue
    fi
    archive=$(npm pack --silent --pack-destination "$work" "$package" | tail -n 1)
    tar --extract --gzip --to-stdout --file "$work/$archive" "package/$path" >"$work/module"
    if ! echo "$sum  $work/module" | sha256sum --check --status; then
        echo "$name: $package has another $path than expected" >&2
        exit 1
    fi
    mv "$work/module" "$target"
    echo "$name: $(stat --format %s "$target") bytes"
done <<<"$modules"
