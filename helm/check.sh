#!/usr/bin/env bash
# Lints the Helm chart, renders it with every values file in helm/check/ and looks into the result;
# asks for what the chart must refuse and compares the words. Ends with "N passed, N failed".
#
# Needs helm 3, or Go to build it once into the cache. With python3 and pip the manifests are also
# checked against the Kubernetes schemas; without, those checks are skipped and counted as such.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
chart=$here/keywright
cache=${KEYWRIGHT_CACHE:-.cache}
case $cache in /*) ;; *) cache=$root/$cache ;; esac
helm_version=v3.20.2
kube_version=1.34.0
oldest_kube_version=1.25.0

passed=0 failed=0 skipped=0
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# A values file's own comments say what its rendering shows and lacks, and what its notes say.
wanted() { sed -n "s/^# $2: //p" "$here/check/$1.yaml"; }

find_helm() {
    local built=$cache/helm-$helm_version go=go
    if command -v helm >/dev/null && helm version --short 2>/dev/null | grep -q '^v3\.'; then
        helm=$(command -v helm)
        return
    fi
    helm=$built/helm
    [ -x "$helm" ] && return
    command -v go >/dev/null || go=/usr/local/go/bin/go
    if ! command -v "$go" >/dev/null; then
        echo "helm/check.sh needs helm 3, or Go to build it: neither was found." >&2
        exit 2
    fi
    echo "Building helm $helm_version into $built (once, a few minutes) ..."
    if ! GOBIN=$built "$go" install "helm.sh/helm/v3/cmd/helm@$helm_version" >"$out/go" 2>&1; then
        tail -n 20 "$out/go" >&2
        echo "helm/check.sh could not build helm $helm_version." >&2
        exit 2
    fi
}

# Leaves python empty when there is no way to the schemas.
find_python() {
    local venv=$cache/helm-venv stamp
    python=
    stamp=$venv/$(cksum <"$here/check/requirements.txt" | tr -d ' ').done
    if [ ! -e "$stamp" ]; then
        rm -rf "$venv"
        { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check \
            -r "$here/check/requirements.txt" && touch "$stamp"; } >"$out/pip" 2>&1 || {
            echo "No Python with kubernetes-validate, so the schema checks are skipped:"
            tail -n 3 "$out/pip"
            return
        }
    fi
    python=$venv/bin/python
}

pass() { passed=$((passed + 1)); echo "ok    $1"; }
flunk() { failed=$((failed + 1)); echo "FAIL  $1"; shift; printf '      %s\n' "$@"; }

# check NAME COMMAND...: passes when the command does.
check() {
    local name=$1
    shift
    if "$@" >"$out/said" 2>&1; then pass "$name"; else flunk "$name" "$(tail -n 15 "$out/said")"; fi
}

# The same for what needs the Python packages.
python_check() {
    local name=$1
    shift
    if [ -z "$python" ]; then
        skipped=$((skipped + 1)); echo "skip  $name"
    else
        check "$name" "$python" "$@"
    fi
}

render() { "$helm" template kw "$@" --namespace default; }
template() { render "$chart" --kube-version "$kube_version" "$@"; }
notes() { render "$out/noted" --kube-version "$kube_version" --show-only templates/notes.yaml "$@"; }

# Helm prints notes only with a cluster, so a copy of the chart renders them as a manifest.
prepare_notes() {
    cp -R "$chart" "$out/noted"
    {
        echo '{{ define "notes" }}'
        cat "$chart/templates/NOTES.txt"
        echo '{{ end }}{{ dict "notes" (include "notes" .) | toYaml }}'
    } >"$out/noted/templates/notes.yaml"
    rm "$out/noted/templates/NOTES.txt"
}

shows_and_lacks() {
    local case=$1 text status=0
    while IFS= read -r text; do
        grep -qF -- "$text" "$out/$case.yaml" || { echo "does not show: $text"; status=1; }
    done < <(wanted "$case" shows)
    while IFS= read -r text; do
        grep -qF -- "$text" "$out/$case.yaml" && { echo "shows, and must not: $text"; status=1; }
    done < <(wanted "$case" lacks)
    return $status
}

notes_say() {
    local case=$1 text status=0
    notes -f "$here/check/$case.yaml" >"$out/$case.notes" || return 1
    while IFS= read -r text; do
        grep -qF -- "$text" "$out/$case.notes" || { echo "the notes do not say: $text"; status=1; }
    done < <(echo "Keywright is on its way to" && wanted "$case" notes)
    return $status
}

check_case() {
    local case=$1 values=$here/check/$1.yaml
    check "$case: lints" "$helm" lint --strict --kube-version "$kube_version" "$chart" -f "$values"
    if ! template -f "$values" >"$out/$case.yaml" 2>"$out/said"; then
        flunk "$case: renders" "$(tail -n 5 "$out/said")"
        return
    fi
    check "$case: shows what it should" shows_and_lacks "$case"
    check "$case: notes" notes_say "$case"
    python_check "$case: is YAML" "$here/check/manifests.py" parse "$out/$case.yaml"
    python_check "$case: keeps the rules" "$here/check/manifests.py" rules "$out/$case.yaml"
    python_check "$case: fits Kubernetes ${kube_version%.*}" \
        "$here/check/manifests.py" schema "$out/$case.yaml" "${kube_version%.*}"
}

# refuse WORDS ARGUMENT...: rendering must fail, and say the words.
refuse() {
    local words=$1
    shift
    if template "$@" >"$out/said" 2>&1; then
        flunk "refuses: $*" "it rendered"
    elif grep -qF -- "$words" "$out/said"; then
        pass "refuses: $*"
    else
        flunk "refuses: $*" "without the words: $words" "$(tail -n 5 "$out/said")"
    fi
}

check_refusals() {
    local url=publicUrl=https://id.example.org
    local db=database.url=postgres://db/k redis=redis.url=redis://r:6379
    local env="$url,extraEnv[0].value=x,extraEnv[0].name"
    refuse "publicUrl is required"
    refuse "must begin with https://" --set publicUrl=id.example.org
    refuse "must begin with https://" --set publicUrl=ftp://id.example.org
    refuse "must not end with a slash" --set publicUrl=https://id.example.org/
    refuse "scheme and host only" --set publicUrl=https://id.example.org/sso
    refuse "scheme and host only" --set "publicUrl=https://id.example.org?a=b"
    refuse "scheme and host only" --set publicUrl=https://me@id.example.org
    refuse "a host that cannot be used" --set publicUrl=https://ID.example.org
    refuse "the port that its scheme has anyway" --set publicUrl=https://id.example.org:443
    refuse "must use https" --set publicUrl=http://id.example.org
    refuse "must use https" --set publicUrl=http://localhost.example.org
    refuse "needs a DNS name" --set publicUrl=https://192.0.2.1:8443,ingress.enabled=true
    refuse "needs PostgreSQL" --set "$url,replicaCount=2"
    refuse "needs PostgreSQL" --set "$url,replicaCount=2,$redis"
    refuse "needs Redis" --set "$url,replicaCount=2,$db"
    refuse "must begin with postgres://" --set "$url,database.url=sqlite:/tmp/k.db"
    refuse "must begin with redis://" --set "$url,redis.url=memory:"
    refuse "would lose accounts" --set "$url,persistence.enabled=false"
    refuse "32 characters or more" --set "$url,secretKey.value=short"
    refuse "database.existingSecret, not both" --set "$url,$db,database.existingSecret=s"
    refuse "redis.existingSecret, not both" --set "$url,$redis,redis.existingSecret=s"
    refuse "existingConfigMap, not both" --set "$url,config=a,existingConfigMap=b"
    refuse "extraEnv must not set DATABASE_URL" --set "$env=DATABASE_URL"
    refuse "extraEnv must not set SECRET_KEY_FILE" --set "$env=SECRET_KEY_FILE"
    refuse "publicURL" --set "$url,publicURL=x"
    refuse "replicas" --set "$url,ingress.replicas=1"
    refuse "replicaCount" --set-string "$url,replicaCount=1"
    refuse "incompatible with Kubernetes v1.24.0" --set "$url" --kube-version 1.24.0
}

check_oldest() {
    local file=$out/oldest.yaml
    template -f "$here/check/sqlite.yaml" --kube-version "$oldest_kube_version" >"$file" 2>"$out/said" || {
        flunk "Kubernetes $oldest_kube_version: renders" "$(tail -n 5 "$out/said")"
        return
    }
    python_check "Kubernetes $oldest_kube_version: fits" \
        "$here/check/manifests.py" schema "$file" "${oldest_kube_version%.*}"
}

check_lookup() {
    if command -v python3 >/dev/null; then
        check "a generated key is kept" python3 "$here/check/lookup.py" "$helm" "$chart"
    else
        skipped=$((skipped + 1)); echo "skip  a generated key is kept (no python3)"
    fi
}

find_helm
find_python
prepare_notes
echo "helm: $("$helm" version --short)"
for file in "$here"/check/*.yaml; do
    check_case "$(basename "$file" .yaml)"
done
check_oldest
check_refusals
check_lookup
python_check "values.yaml: at most 80 leaf keys" "$here/check/manifests.py" leaves "$chart/values.yaml"

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
