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
{{- with .Values.mail }}
{{- if .url }}
- name: KEYWRIGHT_MAIL__URL
  value: {{ .url | quote }}
- name: KEYWRIGHT_MAIL__FROM
  value: {{ .from | quote }}
{{- end }}
{{- with .replyTo }}
- name: KEYWRIGHT_MAIL__REPLY_TO
  value: {{ . | quote }}
{{- end }}
{{- if .existingSecret }}
- name: KEYWRIGHT_MAIL__PASSWORD_FILE
  value: /run/secrets/keywright-mail/password
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What the server and the migration before it have in common: they read the same configuration. */ -}}
{{- define "keywright.container" -}}
image: {{ include "keywright.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  {{- include "keywright.env" . | nindent 2 }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  {{- include "keywright.mounts" . | nindent 2 }}
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
{{- if .Values.mail.existingSecret }}
- name: mail
  mountPath: /run/secrets/keywright-mail
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
{{- with .Values.mail }}
{{- if .existingSecret }}
- name: mail
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ .existingSecretKey | quote }}
        path: password
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /*
Liveness asks for the process alone; readiness also for the stores. Startup allows five minutes for
stores that are slow or not there yet.
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
