{{- /*
What the chart refuses, each with the way out. Everything that would start and then sign people in
wrongly, or lose what it was told, is refused here rather than found out in the pod's log.
*/ -}}
{{- define "keywright.refuse" -}}
{{- include "keywright.refusePublicUrl" . -}}
{{- include "keywright.refuseStores" . -}}
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
{{- if and .Values.ingress.enabled (regexMatch "^(\\[|[0-9.]+(:|$))" $rest) -}}
{{- fail (printf "ingress.enabled needs a DNS name in publicUrl, and %q has an IP address" $url) -}}
{{- end -}}
{{- end -}}

{{- define "keywright.refuseStores" -}}
{{- $v := .Values -}}
{{- $database := include "keywright.hasDatabase" . -}}
{{- if gt (int $v.replicaCount) 1 -}}
{{- if not $database -}}
{{- fail (printf "replicaCount %d needs PostgreSQL: a SQLite file serves one instance. Set database.url or database.existingSecret, or replicaCount=1" (int $v.replicaCount)) -}}
{{- end -}}
{{- if not (include "keywright.hasRedis" .) -}}
{{- fail (printf "replicaCount %d needs Redis: without it short-lived state stays in the process, which means one instance. Set redis.url or redis.existingSecret, or replicaCount=1" (int $v.replicaCount)) -}}
{{- end -}}
{{- end -}}
{{- if and $v.database.url (not (regexMatch "^postgres(ql)?://" $v.database.url)) -}}
{{- fail "database.url must begin with postgres://; leave it empty for SQLite" -}}
{{- end -}}
{{- if and $v.redis.url (not (regexMatch "^rediss?://" $v.redis.url)) -}}
{{- fail "redis.url must begin with redis:// or rediss://; leave it empty for state in the process" -}}
{{- end -}}
{{- if not (or $database $v.persistence.enabled) -}}
{{- fail "persistence.enabled=false without a database would lose accounts and signing keys with the pod: set database.url or database.existingSecret, or leave persistence on" -}}
{{- end -}}
{{- if and $v.secretKey.value (lt (len $v.secretKey.value) 32) -}}
{{- fail "secretKey.value must have 32 characters or more; leave it empty to have one generated" -}}
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
  "SECRET_KEY" "secretKey"
  "KEYWRIGHT_SECRETS__SECRET_KEY" "secretKey" -}}
{{- range .Values.extraEnv -}}
{{- $name := trimSuffix "_FILE" .name -}}
{{- if hasKey $own $name -}}
{{- fail (printf "extraEnv must not set %s: the chart does, from the value %s" .name (get $own $name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
