{{- define "keywright.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* 50, not 63: room for the suffixes of the Secrets and the claim. */ -}}
{{- define "keywright.fullname" -}}
{{- $name := include "keywright.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "keywright.selectorLabels" -}}
app.kubernetes.io/name: {{ include "keywright.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "keywright.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "keywright.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* Not those of the pods: a Service that took the test for a pod would send it people. */ -}}
{{- define "keywright.testLabels" -}}
app.kubernetes.io/name: {{ include "keywright.name" . | trunc 58 | trimSuffix "-" }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "keywright.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "keywright.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "keywright.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Refused first: urlParse has no kind words for what it cannot read. */ -}}
{{- define "keywright.publicHost" -}}
{{- include "keywright.refusePublicUrl" . -}}
{{- (urlParse .Values.publicUrl).hostname -}}
{{- end -}}

{{- /* "yes" or nothing: which stores are outside the pod, and which objects the chart brings. */ -}}
{{- define "keywright.hasDatabase" -}}
{{- if or .Values.database.url .Values.database.existingSecret }}yes{{ end -}}
{{- end -}}

{{- define "keywright.hasRedis" -}}
{{- if or .Values.redis.url .Values.redis.existingSecret }}yes{{ end -}}
{{- end -}}

{{- define "keywright.secretKeySecret" -}}
{{- default (printf "%s-secret-key" (include "keywright.fullname" .)) .Values.secretKey.existingSecret -}}
{{- end -}}

{{- define "keywright.claimName" -}}
{{- default (printf "%s-data" (include "keywright.fullname" .)) .Values.persistence.existingClaim -}}
{{- end -}}

{{- define "keywright.configMap" -}}
{{- if .Values.existingConfigMap -}}
{{- .Values.existingConfigMap -}}
{{- else if .Values.config -}}
{{- include "keywright.fullname" . }}-config
{{- end -}}
{{- end -}}
