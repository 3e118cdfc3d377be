{{- /*
What the chart refuses, each with the way out. Everything that would start and then sign people in
wrongly, or lose what it was told, is refused here rather than found out in the pod's log.
*/ -}}
{{- define "keywright.refuse" -}}
{{- include "keywright.refusePublicUrl" . -}}
{{- include "keywright.refuseStores" . -}}
{{- include "keywright.refuseScale" . -}}
{{- include "keywright.refuseRoutes" . -}}
{{- include "keywright.refuseMail" . -}}
{{- include "keywright.refuseDoubles" . -}}
{{- include "keywright.refuseOwnEnv" . -}}
{{- end -}}

{{- define "keywright.refusePublicUrl" -}}
{{- $url := .Values.publicUrl -}}
{{- if not $url -}}
{{- fail "publicUrl is required: the address people and apps use, for example --set publicUrl=https://id.example.org" -}}
{{- end -}}
{{- if not (regexMatch "^https?://[^/]" $url) -}}
{{- fail (printf "publicUrl %q must begin with https:// and name a host, for example https://id.example.org" $url) -}}
{{- end -}}
{{- $rest := regexReplaceAll "^https?://" $url "" -}}
{{- if hasSuffix "/" $rest -}}
{{- fail (printf "publicUrl %q must not end with a slash: the issuer in every token is compared letter by letter; write %q" $url (regexReplaceAll "/+$" $url "")) -}}
{{- end -}}
{{- if regexMatch "[/?#@\\s]" $rest -}}
{{- fail (printf "publicUrl %q must be scheme and host only: no path, query, fragment or user name" $url) -}}
{{- end -}}
{{- if not (regexMatch "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\\[[0-9a-f:.]+\\])(:[0-9]{1,5})?$" $rest) -}}
{{- fail (printf "publicUrl %q has a host that cannot be used: lower-case letters, digits, dots and hyphens, and perhaps a port" $url) -}}
{{- end -}}
{{- if regexMatch "^(https://.*:443|http://.*:80)$" $url -}}
{{- fail (printf "publicUrl %q names the port that its scheme has anyway; write %q" $url (regexReplaceAll ":[0-9]+$" $url "")) -}}
{{- end -}}
{{- $loopback := regexMatch "^(localhost|127\\.[0-9]+\\.[0-9]+\\.[0-9]+|\\[::1\\])(:[0-9]+)?$" $rest -}}
{{- if and (hasPrefix "http://" $url) (not $loopback) -}}
{{- fail (printf "publicUrl %q must use https: http is accepted for loopback hosts only" $url) -}}
{{- end -}}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (regexMatch "^(\\[|[0-9.]+(:|$))" $rest) -}}
{{- fail (printf "ingress and httpRoute need a DNS name in publicUrl, and %q has an IP address" $url) -}}
{{- end -}}
{{- end -}}

{{- define "keywright.refuseStores" -}}
{{- $v := .Values -}}
{{- $database := include "keywright.hasDatabase" . -}}
{{- $most := int (include "keywright.mostReplicas" .) -}}
{{- $many := ternary "autoscaling.maxReplicas" "replicaCount" $v.autoscaling.enabled -}}
{{- if gt $most 1 -}}
{{- if not $database -}}
{{- fail (printf "%s %d needs PostgreSQL: a SQLite file serves one instance. Set database.url or database.existingSecret, or replicaCount=1" $many $most) -}}
{{- end -}}
{{- if not (include "keywright.hasRedis" .) -}}
{{- fail (printf "%s %d needs Redis: without it short-lived state stays in the process, which means one instance. Set redis.url or redis.existingSecret, or replicaCount=1" $many $most) -}}
{{- end -}}
{{- end -}}
{{- if and $v.database.url (not (regexMatch "^postgres(ql)?://" $v.database.url)) -}}
{{- fail "database.url must begin with postgres://; leave it empty for SQLite" -}}
{{- end -}}
{{- if and $v.redis.url (not (regexMatch "^rediss?([+](sentinel|cluster))?://" $v.redis.url)) -}}
{{- fail "redis.url must begin with redis://, redis+sentinel:// or redis+cluster://, each with rediss for TLS; leave it empty for state in the process" -}}
{{- end -}}
{{- if not (or $database $v.persistence.enabled) -}}
{{- fail "persistence.enabled=false without a database would lose accounts and signing keys with the pod: set database.url or database.existingSecret, or leave persistence on" -}}
{{- end -}}
{{- if and $v.secretKey.value (lt (len $v.secretKey.value) 32) -}}
{{- fail "secretKey.value must have 32 characters or more; leave it empty to have one generated" -}}
{{- end -}}
{{- end -}}

{{- define "keywright.refuseScale" -}}
{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas %d is above autoscaling.maxReplicas %d" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if not (dig "requests" "cpu" "" $.Values.resources) -}}
{{- fail "autoscaling.enabled needs resources.requests.cpu: the load is measured as a part of it" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "keywright.refuseRoutes" -}}
{{- $v := .Values -}}
{{- if and $v.ingress.enabled $v.httpRoute.enabled -}}
{{- fail "enable ingress or httpRoute, not both: two ways in are two places to keep right" -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the Gateway that takes the requests, for example [{ name: public, namespace: gateways }]" -}}
{{- end -}}
{{- if $v.networkPolicy.enabled -}}
{{- if and $v.metrics.serviceMonitor.enabled (not $v.networkPolicy.metricsFrom) -}}
{{- fail "networkPolicy.metricsFrom is empty, so metrics.serviceMonitor would get nothing: name who may read the metrics, for example [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: monitoring } } }]" -}}
{{- end -}}
{{- $open := list -}}
{{- range $v.networkPolicy.egressPorts }}{{ $open = append $open (int .) }}{{ end -}}
{{- $calls := dict "database.url" (list $v.database.url 5432) "redis.url" (list $v.redis.url 6379) "mail.url" (list $v.mail.url (ternary 587 465 (hasPrefix "smtp://" $v.mail.url))) -}}
{{- range $value, $call := $calls -}}
{{- $url := first $call -}}
{{- $port := regexFind ":[0-9]+$" (regexFind "^[^/?]*" (regexReplaceAll "^[a-z]+://([^@/]*@)?" $url "")) | trimPrefix ":" | default (last $call) | int -}}
{{- if and $url (not (has $port $open)) (not $v.networkPolicy.extraEgress) -}}
{{- fail (printf "networkPolicy.egressPorts lacks %d, the port of %s: add it, or open the way in networkPolicy.extraEgress" $port $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The mail server's password is a Secret: an address in the values is seen by whoever sees the pod. */ -}}
{{- define "keywright.refuseMail" -}}
{{- with .Values.mail -}}
{{- if .url -}}
{{- if not (regexMatch "^smtps?://" .url) -}}
{{- fail "mail.url must begin with smtps:// or smtp://" -}}
{{- end -}}
{{- if regexMatch "^smtps?://[^@/]*:[^@/]*@" .url -}}
{{- fail "mail.url must not hold the password: put it into a Secret and name that in mail.existingSecret" -}}
{{- end -}}
{{- if not .from -}}
{{- fail "mail.url needs mail.from: who writes, for example \"Example <id@example.org>\"" -}}
{{- end -}}
{{- if and (contains "@" .url) (not .existingSecret) -}}
{{- fail "mail.url names a user: mail.existingSecret must name the Secret with the password" -}}
{{- end -}}
{{- if and .existingSecret (not (contains "@" .url)) -}}
{{- fail "mail.existingSecret is a password without a user: write mail.url like smtps://user@host" -}}
{{- end -}}
{{- else if or .from .replyTo .existingSecret -}}
{{- fail "mail.from, mail.replyTo and mail.existingSecret need mail.url" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "keywright.refuseDoubles" -}}
{{- $v := .Values -}}
{{- if and $v.database.url $v.database.existingSecret -}}
{{- fail "set database.url or database.existingSecret, not both" -}}
{{- end -}}
{{- if and $v.redis.url $v.redis.existingSecret -}}
{{- fail "set redis.url or redis.existingSecret, not both" -}}
{{- end -}}
{{- if and $v.secretKey.value $v.secretKey.existingSecret -}}
{{- fail "set secretKey.value or secretKey.existingSecret, not both" -}}
{{- end -}}
{{- if and $v.config $v.existingConfigMap -}}
{{- fail "set config or existingConfigMap, not both" -}}
{{- end -}}
{{- end -}}

{{- /* A second setting of the same thing would win or lose by chance, so it is refused. */ -}}
{{- define "keywright.refuseOwnEnv" -}}
{{- $own := dict
  "KEYWRIGHT_SERVER__ISSUER" "publicUrl"
  "KEYWRIGHT_SERVER__LISTEN" "service"
  "KEYWRIGHT_SERVER__MANAGEMENT_LISTEN" "service"
  "KEYWRIGHT_CONFIG" "config or existingConfigMap"
  "DATABASE_URL" "database"
  "KEYWRIGHT_DATABASE__URL" "database"
  "REDIS_URL" "redis"
  "KEYWRIGHT_STATE__URL" "redis"
  "KEYWRIGHT_MAIL__URL" "mail"
  "KEYWRIGHT_MAIL__FROM" "mail"
  "KEYWRIGHT_MAIL__REPLY_TO" "mail"
  "KEYWRIGHT_MAIL__PASSWORD" "mail"
  "SECRET_KEY" "secretKey"
  "KEYWRIGHT_SECRETS__SECRET_KEY" "secretKey" -}}
{{- range .Values.extraEnv -}}
{{- $name := trimSuffix "_FILE" .name -}}
{{- if hasKey $own $name -}}
{{- fail (printf "extraEnv must not set %s: the chart does, from the value %s" .name (get $own $name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
