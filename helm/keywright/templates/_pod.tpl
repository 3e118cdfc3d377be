{{- define "keywright.env" -}}
{{- $full := include "keywright.fullname" . -}}
- name: KEYWRIGHT_SERVER__ISSUER
  value: {{ .Values.publicUrl | quote }}
- name: KEYWRIGHT_SERVER__LISTEN
  value: "0.0.0.0:8080"
- name: KEYWRIGHT_SERVER__MANAGEMENT_LISTEN
  value: "0.0.0.0:9090"
{{- if include "keywright.configMap" . }}
- name: KEYWRIGHT_CONFIG
  value: /etc/keywright/keywright.toml
{{- end }}
- name: SECRET_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "keywright.secretKeySecret" . }}
      key: {{ .Values.secretKey.existingSecretKey | quote }}
- name: DATABASE_URL
{{- if include "keywright.hasDatabase" . }}
  valueFrom:
    secretKeyRef:
      name: {{ default (printf "%s-database" $full) .Values.database.existingSecret }}
      key: {{ .Values.database.existingSecretKey | quote }}
{{- else }}
  value: sqlite:/var/lib/keywright/keywright.db
{{- end }}
{{- if include "keywright.hasRedis" . }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ default (printf "%s-redis" $full) .Values.redis.existingSecret }}
      key: {{ .Values.redis.existingSecretKey | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "keywright.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if not (include "keywright.hasDatabase" .) }}
- name: data
  mountPath: /var/lib/keywright
{{- end }}
{{- if include "keywright.configMap" . }}
- name: config
  mountPath: /etc/keywright
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "keywright.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if not (include "keywright.hasDatabase" .) }}
- name: data
  persistentVolumeClaim:
    claimName: {{ include "keywright.claimName" . }}
{{- end }}
{{- with include "keywright.configMap" . }}
- name: config
  configMap:
    name: {{ . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /*
Liveness asks for the process alone; readiness also for the stores. Startup allows five minutes,
because migrations of a large database run before the first answer.
*/ -}}
{{- define "keywright.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: management }
  periodSeconds: 2
  failureThreshold: 150
livenessProbe:
  httpGet: { path: /livez, port: management }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: { path: /readyz, port: management }
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}
