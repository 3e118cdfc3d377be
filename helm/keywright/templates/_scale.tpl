{{- /* How many replicas there may be at once, by the values. */ -}}
{{- define "keywright.mostReplicas" -}}
{{- if .Values.autoscaling.enabled }}{{ .Values.autoscaling.maxReplicas }}{{ else }}{{ .Values.replicaCount }}{{ end -}}
{{- end -}}

{{- /*
Nobody's own constraints: the replicas of one version go to different zones and nodes, where there are
some to spare. ScheduleAnyway, because one that runs in the wrong place beats one that does not run.
*/ -}}
{{- define "keywright.topologySpread" -}}
{{- if .Values.topologySpreadConstraints -}}
{{- toYaml .Values.topologySpreadConstraints -}}
{{- else -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "keywright.selectorLabels" $ | nindent 6 }}
  {{- if semverCompare ">=1.27.0-0" $.Capabilities.KubeVersion.Version }}
  matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}
{{- end -}}
