#!/bin/sh
# Makes assets/page/vendor anew: other people's modules of the page, each as one file. Run by hand when a version changes, and commit what
# came; neither the build nor the tests need node. The syntax is what Chromium 109 and Firefox 115 know.
set -eu
cd "$(dirname "$0")/page/vendor"
out=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts preact@11.2.0 htm@3.1.1 uplot@1.6.32 esbuild@0.28.2
node node_modules/esbuild/install.js

cat >preact.entry.js <<'JS'
import { Component, h, render, Fragment, createContext, options } from 'preact';
import htm from 'htm';
export * from 'preact/hooks';
export { Component, h, render, Fragment, createContext, options };
export const html = htm.bind(h);
JS
echo "export { default } from 'uplot';" >uplot.entry.js
bundle() { node_modules/.bin/esbuild "$1" --bundle --minify --format=esm --target=chrome109,firefox115,safari16 --legal-comments=none --log-level=warning --outfile="$2"; }
bundle preact.entry.js "$out/preact.js"
bundle uplot.entry.js "$out/uplot.js"
bundle node_modules/uplot/dist/uPlot.min.css "$out/uplot.css"

for name in preact htm uplot; do
    license=$(sed -n 's/^ *"license": *"\(.*\)",*$/\1/p' node_modules/$name/package.json)
    printf '==== %s, %s\n\n' "$name" "$license"
    cat node_modules/$name/LICENSE*
    echo
done >"$out/LICENSES.txt"

version() { sed -n 's/^ *"version": *"\(.*\)",*$/\1/p' "node_modules/$1/package.json"; }
cd "$out"
{
    echo "# file, made from, sha256; written by assets/vendor.sh"
    line() { printf '%s\t%s\t%s\n' "$1" "$2" "$(sha256sum "$1" | cut -d' ' -f1)"; }
    line preact.js "preact $(cd "$work" && version preact), htm $(cd "$work" && version htm)"
    line uplot.js "uplot $(cd "$work" && version uplot)"
    line uplot.css "uplot $(cd "$work" && version uplot)"
    line LICENSES.txt "their licences"
} >VERSIONS
