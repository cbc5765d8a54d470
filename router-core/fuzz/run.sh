#!/usr/bin/env bash
# Builds the fuzz targets once and runs each for SECONDS (20 by default) from its corpus: run.sh [SECONDS]
# The first crash, hang or growth beyond 1 GiB ends it, and the path of the input that does it is printed.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-20}
folder=${CARGO_TARGET_DIR:-$PWD/target}/fuzz

# Without a sanitizer: there is no unsafe code here, and this way a stable toolchain will do.
fuzz() { cargo fuzz "$1" --fuzz-dir router-core/fuzz --target-dir "$folder" --sanitizer none "${@:2}"; }

fuzz build
for target in $(cargo fuzz list --fuzz-dir router-core/fuzz); do
    printf '\n-- %s\n' "$target"
    # What is found goes to the first folder, so that the corpus stays as it is.
    mkdir -p "$folder/found/$target"
    fuzz run "$target" "$folder/found/$target" "router-core/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=4096 -verbosity=0 -print_final_stats=1 \
        2>&1 | sed '/ Recommended dictionary/,/ End of recommended dictionary/d'
done
