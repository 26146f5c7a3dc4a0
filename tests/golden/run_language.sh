#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run_language.sh - compiles run/language.ph, runs it in a new world and compares what it prints with
# run/language.out. Usage: run_language.sh PHC PHANTOM SOURCE_FOLDER
set -eu
phc=$1
phantom=$2
source=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$phc" -o "$folder" "$source/run/language.ph"
"$phantom" run "$folder/world.phantom" --boot .golden.run.language --classes "$folder" \
    --heap 64M > "$folder/out"
diff -u "$source/run/language.out" "$folder/out"
